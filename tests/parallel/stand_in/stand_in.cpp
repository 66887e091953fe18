// CUDA's streams and NCCL's exchanges on the host. As on a GPU, a call returns when it is queued, is done behind the host's
// back, and waits in its stream until every rank has made the same one, or until its communicator is aborted.
#include "tests/parallel/stand_in/stand_in.h"

#include <nccl.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/error.h"

struct CUevent_st {
    std::atomic<bool> done{true};
};

// A thread that does what is queued, in order.
struct CUstream_st {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void()>> queue;
    bool works = false, ends = false;
    std::thread thread{[this] { run(); }};

    ~CUstream_st() {
        {
            const std::lock_guard lock(mutex);
            ends = true;
        }
        changed.notify_all();
        thread.join();
    }
    void run() {
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [&] { return ends || !queue.empty(); });
            if (queue.empty()) return;
            const auto work = std::move(queue.front());
            queue.pop_front();
            works = true;
            lock.unlock();
            work();
            lock.lock();
            works = false;
            changed.notify_all();
        }
    }
    void give(std::function<void()> work) {
        const std::lock_guard lock(mutex);
        queue.push_back(std::move(work));
        changed.notify_all();
    }
    void finish() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return queue.empty() && !works; });
    }
};

namespace {

// Messages on their way between the ranks of a communicator: from, to -> bytes.
struct World {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::pair<int, int>, std::deque<std::vector<char>>> messages;
    int ranks = 0, joined = 0, finalized = 0;
};

std::mutex all;  // of what follows
std::map<std::string, std::shared_ptr<World>> worlds;
std::map<int, std::vector<std::string>> calls_of;
std::map<int, bool> broken;
int slow = 0, ids = 0;

void note(int rank, const std::string& call) {
    const std::lock_guard lock(all);
    calls_of[rank].push_back(call);
}

}  // namespace

struct ncclComm {
    std::shared_ptr<World> world;
    int rank;
    std::shared_ptr<std::atomic<bool>> aborted = std::make_shared<std::atomic<bool>>(false);
    int questions = 0;
    bool finalizes = false;

    void begin() {
        const std::lock_guard lock(all);
        questions = slow;
    }
};

namespace {

struct Message {
    bool sends;
    const void* from;
    void* to;
    size_t bytes;
    int peer;
};

// What a rank sends and receives in one call, done by its stream.
void queue(ncclComm_t comm, cudaStream_t stream, std::vector<Message> messages) {
    comm->begin();
    stream->give([world = comm->world, rank = comm->rank, aborted = comm->aborted, messages = std::move(messages)] {
        std::unique_lock lock(world->mutex);
        for (const Message& m : messages)
            if (m.sends) {
                const auto* from = static_cast<const char*>(m.from);
                world->messages[{rank, m.peer}].emplace_back(from, from + m.bytes);
            }
        world->changed.notify_all();
        for (const Message& m : messages) {
            if (m.sends) continue;
            auto& coming = world->messages[{m.peer, rank}];
            world->changed.wait(lock, [&] { return *aborted || !coming.empty(); });
            if (*aborted) return;
            std::memcpy(m.to, coming.front().data(), m.bytes);
            coming.pop_front();
        }
    });
}

struct Group {
    bool open = false;
    ncclComm_t comm = nullptr;
    cudaStream_t stream = nullptr;
    std::vector<Message> messages = {};
};
thread_local Group group;

ncclResult_t add(const Message& m, ncclComm_t comm, cudaStream_t stream) {
    if (!group.open) return ncclInvalidUsage;
    group.comm = comm;
    group.stream = stream;
    group.messages.push_back(m);
    return ncclSuccess;
}

}  // namespace

const char* cudaGetErrorString(cudaError_t) { return "a CUDA error"; }
cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
cudaError_t cudaSetDevice(int) { return cudaSuccess; }
cudaError_t cudaDeviceGetPCIBusId(char* address, int, int) { return std::strcpy(address, "0000:01:00.0"), cudaSuccess; }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) { return *event = new CUevent_st, cudaSuccess; }
cudaError_t cudaEventDestroy(cudaEvent_t event) { return delete event, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    event->done = false;
    stream->give([event] { event->done = true; });
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) { return event->done ? cudaSuccess : cudaErrorNotReady; }

const char* ncclGetErrorString(ncclResult_t) { return "an error of NCCL"; }
const char* ncclGetLastError(ncclComm_t) { return "more words"; }

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
    const std::lock_guard lock(all);
    std::memset(id->internal, 0, sizeof id->internal);
    std::strcpy(id->internal, ("id " + std::to_string(++ids)).c_str());
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
    if (config->blocking != 0) return ncclInvalidUsage;
    note(rank, fp::text("Init ", rank, " of ", ranks));
    const std::lock_guard lock(all);
    auto& world = worlds[id.internal];
    if (!world) world = std::make_shared<World>();
    world->ranks = ranks;
    ++world->joined;
    *comm = new ncclComm{.world = world, .rank = rank, .questions = slow};
    return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* state) {
    const std::lock_guard lock(all);
    const bool apart =
        comm->world->joined < comm->world->ranks || (comm->finalizes && comm->world->finalized < comm->world->ranks);
    const bool asked = comm->questions > 0 && comm->questions-- > 0;
    *state = broken[comm->rank] ? ncclRemoteError : apart || asked ? ncclInProgress : ncclSuccess;
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    note(comm->rank, "Finalize");
    const std::lock_guard lock(all);
    comm->finalizes = true;
    ++comm->world->finalized;
    return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) { return note(comm->rank, "Destroy"), delete comm, ncclSuccess; }

ncclResult_t ncclCommAbort(ncclComm_t comm) {
    note(comm->rank, "Abort");
    {
        const std::lock_guard lock(comm->world->mutex);
        *comm->aborted = true;
    }
    comm->world->changed.notify_all();
    delete comm;
    return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
    group = {.open = true};
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
    if (!group.open) return ncclInvalidUsage;
    const Group ended = std::exchange(group, {});
    note(ended.comm->rank, "GroupEnd");
    queue(ended.comm, ended.stream, ended.messages);
    return ncclInProgress;
}

ncclResult_t ncclSend(const void* from, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t stream) {
    note(comm->rank, fp::text("Send ", count, " to ", peer));
    return add({.sends = true, .from = from, .to = nullptr, .bytes = count, .peer = peer}, comm, stream);
}

ncclResult_t ncclRecv(void* to, size_t count, ncclDataType_t, int peer, ncclComm_t comm, cudaStream_t stream) {
    note(comm->rank, fp::text("Recv ", count, " from ", peer));
    return add({.sends = false, .from = nullptr, .to = to, .bytes = count, .peer = peer}, comm, stream);
}

ncclResult_t ncclAllGather(
    const void* from, void* to, size_t count, ncclDataType_t, ncclComm_t comm, cudaStream_t stream) {
    note(comm->rank, fp::text("AllGather ", count));
    std::vector<Message> messages;
    for (int r = 0; r < comm->world->ranks; ++r) {
        messages.push_back({.sends = true, .from = from, .to = nullptr, .bytes = count, .peer = r});
        messages.push_back({.sends = false,
                            .from = nullptr,
                            .to = static_cast<char*>(to) + size_t(r) * count,
                            .bytes = count,
                            .peer = r});
    }
    queue(comm, stream, messages);
    return ncclInProgress;
}

namespace fp::testing::stand_in {

Stream open_stream() { return {new CUstream_st}; }
void close_stream(Stream s) { delete static_cast<CUstream_st*>(s.handle); }
void finish(Stream s) { static_cast<CUstream_st*>(s.handle)->finish(); }

const StreamApi& streams() {
    static const StreamApi api = [] {
        StreamApi a{};
        a.native = [](Stream s) { return s.handle; };
        return a;
    }();
    return api;
}

std::vector<std::string> calls(int rank) {
    const std::lock_guard lock(all);
    return calls_of[rank];
}
void forget() {
    const std::lock_guard lock(all);
    calls_of.clear();
    broken.clear();
    slow = 0;
}
void break_network(int rank) {
    const std::lock_guard lock(all);
    broken[rank] = true;
}
void answer_slowly(int questions) {
    const std::lock_guard lock(all);
    slow = questions;
}

}  // namespace fp::testing::stand_in
