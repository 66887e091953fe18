// kernels/nccl on a stand-in for NCCL and CUDA: which of their functions it calls, in which order, and how it ends where a
// rank does not come. What NCCL itself does on GPUs is not tested here.
#include <gmock/gmock.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "kernels/nccl/load/entry.h"
#include "tests/expect_error.h"
#include "tests/parallel/stand_in/stand_in.h"

namespace fp::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Calls = std::vector<std::string>;

struct Rank {
    int rank;
    Stream stream;
    Collectives c;
};
using Body = std::function<void(const Rank&)>;

// f in a thread per rank, each with its own stream. What ranks threw, in words; "" of those that threw nothing.
Calls on_ranks(int ranks, const NcclSettings& settings, const Body& f) {
    char id[kNcclIdBytes];
    fairprune_nccl_id(id);
    Calls words(size_t(ranks), "");
    std::vector<std::thread> threads;
    for (int r = 0; r < ranks; ++r)
        threads.emplace_back([&, r] {
            const Stream stream = stand_in::open_stream();
            try {
                NcclSettings mine = settings;
                mine.rank = r;
                mine.ranks = ranks;
                mine.streams = &stand_in::streams();
                Rank me{.rank = r, .stream = stream, .c = {}};
                fairprune_nccl_open(&mine, id, &me.c);
                f(me);
            } catch (const Error& error) {
                words[size_t(r)] = error.what();
                EXPECT_EQ(error.exit, Exit::device);
            }
            stand_in::finish(stream);
            stand_in::close_stream(stream);
        });
    for (std::thread& t : threads) t.join();
    return words;
}

class Nccl : public ::testing::Test {
protected:
    void SetUp() override { stand_in::forget(); }
};

TEST_F(Nccl, MovesBytesInTheOrderOfTheStream) {
    for (const int slow : {0, 3}) {
        stand_in::forget();
        stand_in::answer_slowly(slow);
        const Calls words = on_ranks(3, {.seconds = 20}, [](const Rank& me) {
            EXPECT_STREQ(me.c.name, "nccl");
            EXPECT_TRUE(me.c.device_memory);
            const char letter = char('a' + me.rank);
            char send[] = {letter, '0', letter, '1', letter, '2'}, receive[7] = "------", all[10] = "---------";
            me.c.all_to_all(me.c.state, send, receive, 2, me.stream);
            me.c.all_gather(me.c.state, receive, all, 3, me.stream);  // of what comes before it in the stream
            stand_in::finish(me.stream);
            const char digit = char('0' + me.rank);
            const std::string mine{'a', digit, 'b', digit, 'c', digit};
            EXPECT_EQ(receive, mine);
            EXPECT_STREQ(all, "a0ba1ba2b");
            me.c.close(me.c.state);
        });
        EXPECT_EQ(words, Calls(3));
        EXPECT_THAT(stand_in::calls(1),
                    ElementsAre("Init 1 of 3", "Send 2 to 0", "Recv 2 from 0", "Send 2 to 1", "Recv 2 from 1",
                                "Send 2 to 2", "Recv 2 from 2", "GroupEnd", "AllGather 3", "Finalize", "Destroy"));
    }
}

// Rank 0 queues a call that rank 1 never makes.
Calls with_a_rank_that_waits(
    const NcclSettings& settings, const Body& meanwhile = [](const Rank&) {}) {
    return on_ranks(2, settings, [&](const Rank& me) {
        if (me.rank == 1) return;
        char one = 1, all[2];
        me.c.all_gather(me.c.state, &one, all, 1, me.stream);
        meanwhile(me);
        stand_in::finish(me.stream);  // comes back, since the communicator is aborted
        me.c.all_gather(me.c.state, &one, all, 1, me.stream);
    });
}

TEST_F(Nccl, ACallThatTakesTooLongIsEnded) {
    const Calls words = with_a_rank_that_waits({.seconds = 2});
    EXPECT_THAT(words[0],
                HasSubstr("all_gather by NCCL, after a failure: all_gather, call 1 by NCCL: not done after 2 s"));
    EXPECT_THAT(stand_in::calls(0), ElementsAre("Init 0 of 2", "AllGather 1", "Abort"));
}

TEST_F(Nccl, ARankThatHasGoneEndsTheCall) {
    std::atomic<bool> gone{false};
    const auto lost = [&] { return std::string(gone ? "rank 1 on node2 has gone" : ""); };
    const Calls words = with_a_rank_that_waits({.seconds = 600, .lost = lost}, [&](const Rank&) { gone = true; });
    EXPECT_THAT(words[0], HasSubstr("all_gather, call 1 by NCCL: rank 1 on node2 has gone"));
}

TEST_F(Nccl, AnErrorThatNcclReportsEndsTheCall) {
    const Calls words = with_a_rank_that_waits({.seconds = 600}, [](const Rank& me) {
        EXPECT_EQ(me.c.lost(me.c.state), "");
        stand_in::break_network(0);
    });
    EXPECT_THAT(words[0], HasSubstr("all_gather, call 1 by NCCL: an error of NCCL: more words"));
}

TEST_F(Nccl, AbortEndsTheCall) {
    const Calls words = with_a_rank_that_waits({.seconds = 600}, [](const Rank& me) {
        me.c.abort(me.c.state);
        EXPECT_EQ(me.c.lost(me.c.state), "ended by this process");
        me.c.abort(me.c.state);  // once is enough
    });
    EXPECT_THAT(words[0], HasSubstr("after a failure: ended by this process"));
    EXPECT_THAT(stand_in::calls(0), ElementsAre("Init 0 of 2", "AllGather 1", "Abort"));
}

TEST_F(Nccl, ARankThatNeverJoinsIsNotWaitedForWithoutEnd) {
    char id[kNcclIdBytes];
    fairprune_nccl_id(id);
    Collectives c;
    const NcclSettings settings{.rank = 0, .ranks = 2, .streams = &stand_in::streams(), .seconds = 0.1};
    expect_error(
        Exit::device, [&] { fairprune_nccl_open(&settings, id, &c); },
        "joining by NCCL: another rank has not come for 0.1 s");
    EXPECT_THAT(stand_in::calls(0), ElementsAre("Init 0 of 2", "Abort"));
}

TEST_F(Nccl, KnowsItsGpu) {
    char address[kNcclGpuBytes];
    fairprune_nccl_gpu(address);
    EXPECT_STREQ(address, "0000:01:00.0");
}

}  // namespace
}  // namespace fp::testing
