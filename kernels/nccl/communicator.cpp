#include "kernels/nccl/communicator.h"

#include <utility>

#include "kernels/error.h"

namespace fp::nccl {
namespace {

constexpr auto kLook = std::chrono::milliseconds(50);     // between two looks of the watching thread
constexpr auto kSettle = std::chrono::microseconds(100);  // between two questions to a communicator at work

}  // namespace

void check(cudaError_t status, const char* call) {
    FP_REQUIRE(status == cudaSuccess, Exit::device, call, ": ", cudaGetErrorString(status));
}

void check(ncclResult_t status, const char* call, ncclComm_t comm) {
    if (status == ncclSuccess || status == ncclInProgress) return;
    const char* const more = comm ? ncclGetLastError(comm) : nullptr;
    fail_with(Exit::device, call, " by NCCL: ", ncclGetErrorString(status), more && *more ? ": " : "",
              more ? more : "");
}

Communicator::Communicator(const NcclSettings& settings, const ncclUniqueId& id) : settings_(settings) {
    check(cudaGetDevice(&gpu_), "cudaGetDevice");
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;  // calls return at once, so that a rank that is missing cannot hold this one for ever
    {
        const std::lock_guard lock(mutex_);
        try {
            check(ncclCommInitRankConfig(&comm_, settings.ranks, id, settings.rank, &config), "joining");
            settle("joining");
        } catch (const Error& error) {
            end(error.what());
            throw;
        }
    }
    thread_ = std::thread([this] { run(); });
}

Communicator::~Communicator() {
    abort();
    {
        const std::lock_guard lock(mutex_);
        leaves_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    for (const Queued& q : queued_) idle_.push_back(q.done);
    for (cudaEvent_t e : idle_) cudaEventDestroy(e);
}

// Asks until NCCL has taken in what it was told, with the limit of a call.
void Communicator::settle(const char* call) {
    const auto start = Clock::now();
    for (;;) {
        ncclResult_t state = ncclSuccess;
        check(ncclCommGetAsyncError(comm_, &state), call, comm_);
        check(state, call, comm_);
        if (state == ncclSuccess) return;
        std::string why = aborting_ ? "ended by this process" : settings_.lost ? settings_.lost() : "";
        if (why.empty() && Clock::now() - start > std::chrono::duration<double>(settings_.seconds))
            why = text("another rank has not come for ", settings_.seconds, " s (FAIRPRUNE_TIMEOUT)");
        if (!why.empty()) {
            end(text(call, " by NCCL: ", why));
            throw Error(failure_, Exit::device);
        }
        std::this_thread::sleep_for(kSettle);
    }
}

void Communicator::refuse_after_failure(const char* call) const {
    FP_REQUIRE(failure_.empty(), Exit::device, call, " by NCCL, after a failure: ", failure_);
    FP_CHECK(comm_, call, " by NCCL, after leaving");
}

void Communicator::watch(const char* call, cudaStream_t stream) {
    if (idle_.empty()) {
        cudaEvent_t made;
        check(cudaEventCreateWithFlags(&made, cudaEventDisableTiming), "cudaEventCreate");
        idle_.push_back(made);
    }
    check(cudaEventRecord(idle_.back(), stream), "cudaEventRecord");
    if (queued_.empty()) since_ = Clock::now();
    queued_.push_back({.done = idle_.back(), .call = text(call, ", call ", ++calls_)});
    idle_.pop_back();
    changed_.notify_all();
}

void Communicator::run() {
    cudaSetDevice(gpu_);
    std::unique_lock lock(mutex_);
    while (!leaves_) {
        if (queued_.empty() || !failure_.empty()) {
            changed_.wait(lock);
            continue;
        }
        if (const std::string why = fault(); !why.empty()) end(why);
        changed_.wait_for(lock, kLook);
    }
}

// What is wrong with the oldest call that is not done; takes away those that are.
std::string Communicator::fault() {
    while (!queued_.empty()) {
        const cudaError_t status = cudaEventQuery(queued_.front().done);
        if (status == cudaErrorNotReady) break;
        if (status != cudaSuccess) return text(queued_.front().call, ": ", cudaGetErrorString(status));
        idle_.push_back(queued_.front().done);
        queued_.pop_front();
        since_ = Clock::now();
    }
    if (queued_.empty()) return "";
    const std::string& call = queued_.front().call;
    ncclResult_t state = ncclSuccess;
    try {
        check(ncclCommGetAsyncError(comm_, &state), call.c_str(), comm_);
        check(state, call.c_str(), comm_);
    } catch (const Error& error) {
        return error.what();
    }
    if (settings_.lost)
        if (const std::string gone = settings_.lost(); !gone.empty()) return text(call, " by NCCL: ", gone);
    return is_late() ? text(call, " by NCCL: not done after ", settings_.seconds, " s (FAIRPRUNE_TIMEOUT)") : "";
}

void Communicator::end(const std::string& why) {
    if (failure_.empty()) failure_ = why;
    if (comm_) ncclCommAbort(std::exchange(comm_, nullptr));
}

std::string Communicator::failure() {
    const std::lock_guard lock(mutex_);
    return failure_;
}

void Communicator::abort() {
    aborting_ = true;  // wakes settle(), which holds the lock
    const std::lock_guard lock(mutex_);
    if (comm_) end("ended by this process");
}

void Communicator::leave() {
    const std::lock_guard lock(mutex_);
    refuse_after_failure("leaving");
    check(ncclCommFinalize(comm_), "leaving", comm_);
    settle("leaving");
    check(ncclCommDestroy(std::exchange(comm_, nullptr)), "leaving");
}

}  // namespace fp::nccl
