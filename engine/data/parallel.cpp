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
    if (threads <= 0) threads = int(std::max(1u, std::thread::hardware_concurrency()));
    const int64_t piece = std::clamp<int64_t>(n / threads, 1, 8);
    std::atomic<int64_t> next = 0;
    std::mutex mutex;  // guards what follows
    int64_t done = 0, failed = n;
    std::exception_ptr failure;

    const auto run = [&] {
        for (int64_t begin; (begin = next.fetch_add(piece)) < n;) {
            const int64_t end = std::min(begin + piece, n);
            int64_t i = begin;
            try {
                for (; i < end; ++i) work(i);
                const std::lock_guard lock(mutex);
                done += end - begin;
                if (progress) progress(done);
            } catch (...) {
                next = n;  // no further piece begins
                const std::lock_guard lock(mutex);
                if (!failure || i < failed) failure = std::current_exception();
                failed = std::min(failed, i);
            }
        }
    };
    std::vector<std::thread> others;
    for (int64_t t = 1; t < std::min<int64_t>(threads, (n + piece - 1) / piece); ++t) others.emplace_back(run);
    run();
    for (std::thread& thread : others) thread.join();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace fp
