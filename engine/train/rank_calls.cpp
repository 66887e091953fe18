#include "engine/train/rank_calls.h"

#include <omp.h>

#include <utility>

namespace fp {

RankCalls::RankCalls(const Kernels& k)
    : kernels_(k), stream_(k.streams.open()), queued_(k.streams), called_(k.streams) {
    if (k.memory.is_host) thread_ = std::thread([this] { work(); });
}

RankCalls::~RankCalls() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    drop_errors([&] { kernels_.memory.synchronize(stream_); });
    drop_errors([&] { kernels_.streams.close(stream_); });
}

void RankCalls::submit(Call call) {
    if (!thread_.joinable()) {
        queued_.record({});
        queued_.precede(stream_);
        return call(stream_);
    }
    {
        const std::lock_guard lock(mutex_);
        if (failed_) return;  // wait() will throw it
        calls_.push_back(std::move(call));
    }
    changed_.notify_all();
}

void RankCalls::wait() {
    if (!thread_.joinable()) {
        called_.record(stream_);
        return called_.precede({});
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return calls_.empty() && !calling_; });
    if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
}

void RankCalls::work() {
    omp_set_num_threads(1);  // of this thread's kernels: the others are in backward
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [&] { return stop_ || !calls_.empty(); });
        if (stop_) return;
        const Call call = std::move(calls_.front());
        calls_.pop_front();
        calling_ = true;
        lock.unlock();
        std::exception_ptr failed;
        try {
            call({});
        } catch (...) {
            failed = std::current_exception();
        }
        lock.lock();
        calling_ = false;
        if (failed) {
            failed_ = failed;
            calls_.clear();
        }
        changed_.notify_all();
    }
}

}  // namespace fp
