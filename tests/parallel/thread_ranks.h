// Ranks as threads of one process, which exchange through its memory. For tests of what ranks do together:
//   run_ranks(3, [](const Comm& comm) { EXPECT_EQ(comm.sum({1.0}), ...); });
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/parallel/comm.h"
#include "kernels/error.h"

namespace fp::testing {

// What the threads share. A call is two meetings: all have said what they send; all have read what they receive.
class ThreadRoom {
public:
    ThreadRoom(int ranks, double seconds) : seconds_(seconds), calls_(size_t(ranks)) {}

    struct Call {
        std::string name;
        const void* send = nullptr;
        size_t bytes = 0;
    };

    // Calls read(rank, what rank sends) for each rank. Every rank must make the same call.
    template <class Read>
    void exchange(int rank, const Call& call, const Read& read) {
        calls_[size_t(rank)] = call;
        meet(rank, call);
        for (size_t r = 0; r < calls_.size(); ++r)
            if (calls_[r].name != call.name || calls_[r].bytes != call.bytes)
                fail_with(Exit::device, "rank ", rank, " calls ", call.name, " of ", call.bytes, " bytes, rank ", r,
                          " ", calls_[r].name, " of ", calls_[r].bytes);
        for (size_t r = 0; r < calls_.size(); ++r) read(r, static_cast<const char*>(calls_[r].send));
        meet(rank, call);
    }

    void abort() {
        const std::lock_guard lock(mutex_);
        aborted_ = true;
        changed_.notify_all();
    }

private:
    void meet(int rank, const Call& call) {
        std::unique_lock lock(mutex_);
        const int64_t meeting = meetings_;
        if (++here_ == calls_.size()) {
            here_ = 0;
            ++meetings_;
            changed_.notify_all();
        }
        const auto ended = [&] { return aborted_ || meetings_ != meeting; };
        const bool in_time = changed_.wait_for(lock, std::chrono::duration<double>(seconds_), ended);
        if (meetings_ != meeting) return;
        fail_with(Exit::device, "rank ", rank, ": ", call.name,
                  in_time ? " was ended by another rank" : " waited too long");
    }

    double seconds_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Call> calls_;
    size_t here_ = 0;
    int64_t meetings_ = 0;
    bool aborted_ = false;
};

struct ThreadRank {
    ThreadRoom& room;
    int rank;

    static ThreadRank& of(void* state) { return *static_cast<ThreadRank*>(state); }
    Collectives collectives() {
        return {.name = "threads",
                .state = this,
                .all_to_all =
                    [](void* state, const void* send, void* receive, size_t bytes, Stream) {
                        const ThreadRank& me = of(state);
                        me.room.exchange(me.rank, {"all_to_all", send, bytes}, [&](size_t r, const char* sent) {
                            std::memcpy(static_cast<char*>(receive) + r * bytes, sent + size_t(me.rank) * bytes, bytes);
                        });
                    },
                .all_gather =
                    [](void* state, const void* send, void* receive, size_t bytes, Stream) {
                        const ThreadRank& me = of(state);
                        me.room.exchange(me.rank, {"all_gather", send, bytes}, [&](size_t r, const char* sent) {
                            std::memcpy(static_cast<char*>(receive) + r * bytes, sent, bytes);
                        });
                    },
                .broadcast =
                    [](void* state, void* data, size_t bytes, int from, Stream) {
                        const ThreadRank& me = of(state);
                        me.room.exchange(me.rank, {"broadcast", data, bytes}, [&](size_t r, const char* sent) {
                            if (int(r) == from && me.rank != from) std::memcpy(data, sent, bytes);
                        });
                    },
                .abort = [](void* state) { of(state).room.abort(); }};
    }
};

// Runs f(comm) in `ranks` threads and waits for all. What the first of them to fail throws is thrown here; it ends the
// calls that the others wait in. A call that waits longer than `seconds` fails.
template <class Run>
void run_ranks(int ranks, const Run& f, double seconds = 60) {
    ThreadRoom room(ranks, seconds);
    std::mutex mutex;
    std::exception_ptr first;
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] {
            ThreadRank me{room, rank};
            const Comm comm({.rank = rank, .ranks = ranks, .local_rank = rank, .local_ranks = ranks, .host = "threads"},
                            me.collectives());
            try {
                f(comm);
            } catch (...) {
                const std::lock_guard lock(mutex);
                if (!first) first = std::current_exception();
                comm.abort();
            }
        });
    for (std::thread& t : threads) t.join();
    if (first) std::rethrow_exception(first);
}

}  // namespace fp::testing
