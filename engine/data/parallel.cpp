#include "engine/data/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace fp {

void for_each_sample(int64_t n,
                     int threads,
                     const std::function<void(int64_t i)>& work,
                     const std::function<void(int64_t done)>& progress) {
    constexpr int64_t kPiece = 64;
    std::atomic<int64_t> next = 0;
    std::mutex mutex;  // guards what follows
    int64_t done = 0;
    std::exception_ptr failure;

    const auto run = [&] {
        try {
            for (int64_t begin; (begin = next.fetch_add(kPiece)) < n;) {
                const int64_t end = std::min(begin + kPiece, n);
                for (int64_t i = begin; i < end; ++i) work(i);
                const std::lock_guard lock(mutex);
                done += end - begin;
                if (progress) progress(done);
            }
        } catch (...) {
            next = n;  // nobody begins another piece
            const std::lock_guard lock(mutex);
            if (!failure) failure = std::current_exception();
        }
    };
    if (threads <= 0) threads = int(std::max(1u, std::thread::hardware_concurrency()));
    const int64_t pieces = (n + kPiece - 1) / kPiece;
    std::vector<std::thread> others;
    for (int64_t t = 1; t < std::min<int64_t>(threads, pieces); ++t) others.emplace_back(run);
    run();
    for (std::thread& thread : others) thread.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace fp
