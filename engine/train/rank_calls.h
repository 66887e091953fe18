// Exchanges between ranks beside the work of the caller, one after another in the order in which they were submitted.
//
// On the host, whose calls return when they are complete, a thread makes them; nothing else may exchange between
// submit() and wait(). On a GPU they are queued at once in a stream of their own.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "engine/core/memory.h"

namespace fp {

class RankCalls {
public:
    using Call = std::function<void(Stream)>;

    explicit RankCalls(const Kernels&);
    ~RankCalls();  // after the call that is under way; the others are dropped
    RankCalls(const RankCalls&) = delete;
    RankCalls& operator=(const RankCalls&) = delete;

    // The call sees what was queued on the default stream before.
    void submit(Call);
    // What is queued on the default stream from now on comes after all calls; on the host they are complete. Throws
    // what the first of them to fail threw; those behind it were not made.
    void wait();

private:
    void work();

    const Kernels& kernels_;
    Stream stream_;
    OwnedEvent queued_, called_;
    std::mutex mutex_;  // guards what follows
    std::condition_variable changed_;
    std::deque<Call> calls_;
    bool calling_ = false, stop_ = false;
    std::exception_ptr failed_;
    std::thread thread_;
};

}  // namespace fp
