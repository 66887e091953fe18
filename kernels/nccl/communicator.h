// NCCL's communicator of a rank, and the thread that watches its calls.
//
// A call is queued in a stream and returns. Where another rank never makes the same call, the GPU would wait for ever, and
// with it everything behind it in the stream. So an event behind each call says when it is done, and a thread looks at the
// oldest that is not: after NCCL has reported an error, after a rank has gone, or after the limit, it ends the
// communicator (ncclCommAbort). The stream then goes on with wrong numbers, and every later call is an Error.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "kernels/nccl/nccl.h"

namespace fp::nccl {

// Exit::device in words, for any of CUDA's and NCCL's codes but success. `comm` may have more words.
void check(cudaError_t, const char* call);
void check(ncclResult_t, const char* call, ncclComm_t comm = nullptr);

class Communicator {
public:
    Communicator(const NcclSettings&, const ncclUniqueId&);
    ~Communicator();  // ends it, where leave() has not closed it
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;

    // Queues what `call` queues of NCCL's in the stream and watches it. An Error where an earlier call has failed.
    template <class Queue>
    void queue(const char* call, Stream stream, const Queue& queue) {
        const std::lock_guard lock(mutex_);
        const auto native = static_cast<cudaStream_t>(settings_.streams->native(stream));
        refuse_after_failure(call);
        queue(comm_, native);
        settle(call);
        watch(call, native);
    }

    int ranks() const { return settings_.ranks; }
    std::string failure();  // why it was ended; empty: it was not
    void abort();           // from any thread
    void leave();           // once all calls are done: closes it together with the other ranks

private:
    using Clock = std::chrono::steady_clock;
    struct Queued {
        cudaEvent_t done;
        std::string call;
    };

    void refuse_after_failure(const char* call) const;
    void settle(const char* call);
    void watch(const char* call, cudaStream_t);
    void run();
    std::string fault();
    void end(const std::string& why);
    bool is_late() const { return Clock::now() - since_ > std::chrono::duration<double>(settings_.seconds); }

    NcclSettings settings_;
    int gpu_ = 0;
    ncclComm_t comm_ = nullptr;
    std::mutex mutex_;  // of everything below and of all calls of NCCL
    std::condition_variable changed_;
    std::deque<Queued> queued_;
    std::vector<cudaEvent_t> idle_;
    Clock::time_point since_ = Clock::now();  // when the oldest of `queued_` became the oldest
    int64_t calls_ = 0;
    std::string failure_;
    std::atomic<bool> aborting_{false};
    bool leaves_ = false;
    std::thread thread_;
};

}  // namespace fp::nccl
