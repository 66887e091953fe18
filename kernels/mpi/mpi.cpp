// Exchanges by MPI: its own collectives on bytes, polled so that a call has a time limit. A shared object of its own.
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <thread>

#include "kernels/error.h"
#include "kernels/mpi/load/entry.h"

namespace fp::mpi {
namespace {

struct State {
    MpiSettings settings;
    MPI_Comm comm = MPI_COMM_NULL;
};
State& of(void* state) { return *static_cast<State*>(state); }

void check(int code, const char* call) {
    if (code == MPI_SUCCESS) return;
    char words[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    MPI_Error_string(code, words, &length);
    fail_with(Exit::device, call, " by MPI: ", std::string(words, size_t(length)));
}

// `bytes` bytes as one element or as some. MPI counts in int: a part that is larger is a type of blocks and a rest.
class Bytes {
public:
    explicit Bytes(size_t bytes) {
        if (bytes <= kBlock) {
            count = int(bytes);
            return;
        }
        FP_CHECK(bytes / kBlock <= size_t(std::numeric_limits<int>::max()), "MPI: a part of ", bytes, " bytes");
        MPI_Datatype block;
        check(MPI_Type_contiguous(int(kBlock), MPI_BYTE, &block), "a type");
        const int lengths[] = {int(bytes / kBlock), int(bytes % kBlock)};
        const MPI_Aint places[] = {0, MPI_Aint(bytes / kBlock * kBlock)};
        const MPI_Datatype types[] = {block, MPI_BYTE};
        check(MPI_Type_create_struct(2, lengths, places, types, &type), "a type");
        check(MPI_Type_commit(&type), "a type");
        MPI_Type_free(&block);
    }
    ~Bytes() {
        if (type != MPI_BYTE) MPI_Type_free(&type);
    }
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;

    MPI_Datatype type = MPI_BYTE;
    int count = 1;

private:
    static constexpr size_t kBlock = 16 << 20;
};

// MPI moves bytes while it is asked whether it has finished. Pauses grow with the time that the call has taken, to 1 ms.
void finish(const State& state, MPI_Request request, const char* call) {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    for (;;) {
        int done = 0;
        check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call);
        if (done) return;
        const auto taken = Clock::now() - start;
        FP_REQUIRE(taken < std::chrono::duration<double>(state.settings.seconds), Exit::device, call,
                   " by MPI: another rank has not come for ", state.settings.seconds, " s (FAIRPRUNE_TIMEOUT)");
        if (taken < std::chrono::microseconds(50))
            ::sched_yield();
        else
            std::this_thread::sleep_for(std::min<Clock::duration>(taken / 8, std::chrono::milliseconds(1)));
    }
}

// start(part, comm, request) makes a call of MPI that returns before it is done, with `bytes` as its part.
template <class Start>
void complete(void* state, const char* call, size_t bytes, const Start& start) {
    const Bytes part(bytes);
    MPI_Request request;
    check(start(part, of(state).comm, &request), call);
    finish(of(state), request, call);
}

void all_to_all(void* state, const void* send, void* receive, size_t bytes, Stream) {
    complete(state, "all_to_all", bytes, [&](const Bytes& part, MPI_Comm comm, MPI_Request* request) {
        return MPI_Ialltoall(send, part.count, part.type, receive, part.count, part.type, comm, request);
    });
}

void all_gather(void* state, const void* send, void* receive, size_t bytes, Stream) {
    complete(state, "all_gather", bytes, [&](const Bytes& part, MPI_Comm comm, MPI_Request* request) {
        return MPI_Iallgather(send, part.count, part.type, receive, part.count, part.type, comm, request);
    });
}

void broadcast(void* state, void* data, size_t bytes, int from, Stream) {
    complete(state, "broadcast", bytes, [&](const Bytes& part, MPI_Comm comm, MPI_Request* request) {
        return MPI_Ibcast(data, part.count, part.type, from, comm, request);
    });
}

void close(void* state) {
    std::unique_ptr<State> owner(&of(state));
    MPI_Comm_free(&owner->comm);
    MPI_Finalize();
}

}  // namespace
}  // namespace fp::mpi

void fairprune_mpi_open(const fp::MpiSettings* settings, fp::Collectives* opened) {
    using namespace fp;
    int started = 0, level = 0, rank = 0, ranks = 0;
    MPI_Initialized(&started);
    FP_REQUIRE(!started, Exit::device, "MPI has been started in this process before");
    mpi::check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level), "MPI_Init_thread");
    FP_REQUIRE(level >= MPI_THREAD_SERIALIZED, Exit::device, "this MPI has no calls from several threads");
    auto state = std::make_unique<mpi::State>();
    state->settings = *settings;
    mpi::check(MPI_Comm_dup(MPI_COMM_WORLD, &state->comm), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(state->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(state->comm, &rank);
    MPI_Comm_size(state->comm, &ranks);
    FP_REQUIRE(rank == settings->rank && ranks == settings->ranks, Exit::device, "MPI says that this is rank ", rank,
               " of ", ranks, ", the launcher's variables rank ", settings->rank, " of ", settings->ranks,
               ": mpirun is of another MPI than this build's, or did not start this process");
    *opened = {.name = "mpi",
               .state = state.release(),
               .all_to_all = mpi::all_to_all,
               .all_gather = mpi::all_gather,
               .broadcast = mpi::broadcast,
               .abort = [](void*) { MPI_Abort(MPI_COMM_WORLD, int(Exit::device)); },
               .close = mpi::close};
}
