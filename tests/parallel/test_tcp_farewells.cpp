// What ranks hear of one that ends, and when: some ranks join and then send what the test says, byte by byte.
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "kernels/tcp/control.h"
#include "kernels/tcp/join.h"
#include "tests/parallel/tcp_ranks.h"

namespace fp::testing {
namespace {

using namespace tcp;

const auto kAWhile = std::chrono::milliseconds(200);  // in which a rank does what it should not

// The end of `control`, once something comes there.
Heard awaited(const Socket& control, int ranks) {
    Heard heard;
    for (int i = 0; i < 4000 && heard.is == Heard::Is::nothing; ++i) {
        heard = hear(control, ranks);
        if (heard.is == Heard::Is::nothing) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return heard;
}

// The part of a rank in gather_byte().
void send_byte(const Peer& to, uint64_t call) {
    const auto front = encode(Message{.kind = Kind::all_gather, .number = call, .bytes = 1});
    std::string bytes(front.data(), front.size()), why;
    bytes += char(1);
    EXPECT_TRUE(send_all(to.socket, bytes.data(), bytes.size(), seconds_from_now(20), why)) << why;
}

// Reads until the other side closes, so that what was sent to it is not lost with the connection.
void drain(const Peer& peer) {
    std::string why;
    char byte;
    while (receive_all(peer.socket, &byte, 1, seconds_from_now(20), why)) {}
}

struct Connected {
    Collectives c;
    explicit Connected(const TcpSettings& settings) : c(open_tcp(settings)) {}
    Connected(const Connected&) = delete;
    ~Connected() { c.close(c.state); }
};

// Rank 1 has completed the call and fails; its farewell is there before its last bytes. Rank 2, too, waits for them.
TEST(TcpFarewells, DoNotOvertakeTheCallBefore) {
    const auto words = ended({.ranks = 3}, [](int rank, const TcpSettings& settings) {
        if (rank == 1) {
            const std::vector<Peer> peers = join(settings);
            for (const size_t r : {0, 2}) say(peers[r].control, {.rank = 1, .end = End::failed, .calls = 1});
            std::this_thread::sleep_for(kAWhile);
            for (const size_t r : {0, 2}) send_byte(peers[r], 1);
            for (const size_t r : {0, 2}) drain(peers[r]);
            return;
        }
        const Connected rank_of(settings);
        gather_byte(rank_of.c, 3);
        gather_byte(rank_of.c, 3);
    });
    for (const size_t r : {0, 2}) EXPECT_EQ(words[r], "all_gather, call 2: rank 1 on host1 has failed");
}

// Nor those of a third rank, which all that completed the call have had.
TEST(TcpFarewells, DoNotEndACallThatWaitsForAnotherRank) {
    const auto words = ended({.ranks = 3}, [](int rank, const TcpSettings& settings) {
        if (rank > 0) {
            const std::vector<Peer> peers = join(settings);
            if (rank == 2) std::this_thread::sleep_for(kAWhile);
            send_byte(peers[0], 1);
            if (rank == 1) say(peers[0].control, {.rank = 1, .end = End::failed, .calls = 1});
            return drain(peers[0]);
        }
        const Connected rank_of(settings);
        gather_byte(rank_of.c, 3);
        gather_byte(rank_of.c, 3);
    });
    EXPECT_EQ(words[0], "all_gather, call 2: rank 1 on host1 has failed");
}

TEST(TcpFarewells, EndACallThatTheRankHasNotCompleted) {
    const auto words = ended({.ranks = 3}, [](int rank, const TcpSettings& settings) {
        if (rank > 0) {
            const std::vector<Peer> peers = join(settings);
            if (rank == 1) say(peers[0].control, {.rank = 1, .end = End::failed, .calls = 0});
            return drain(peers[0]);
        }
        const Connected rank_of(settings);
        gather_byte(rank_of.c, 3);
    });
    EXPECT_EQ(words[0], "all_gather, call 1: rank 1 on host1 has failed");
}

// It says that it has completed the call, and its connection ends before the bytes of it.
TEST(TcpFarewells, OfARankWhoseBytesNeverComeAreHeard) {
    const auto words = ended({}, [](int rank, const TcpSettings& settings) {
        if (rank == 1) {
            std::vector<Peer> peers = join(settings);
            say(peers[0].control, {.rank = 1, .end = End::failed, .calls = 1});
            return;
        }
        const Connected rank_of(settings);
        gather_byte(rank_of.c, 2);
    });
    EXPECT_EQ(words[0], "all_gather, call 1: rank 1 on host1 has failed");
}

TEST(TcpFarewells, ArePassedOnAsTheyCame) {
    for (const End how : {End::failed, End::gone}) {
        const auto words = ended({.ranks = 3}, [&](int rank, const TcpSettings& settings) {
            if (rank > 0) {
                const std::vector<Peer> peers = join(settings);
                if (rank == 1) say(peers[0].control, {.rank = 1, .end = how});
                const Heard heard = awaited(peers[0].control, 3);
                EXPECT_EQ(heard.is, Heard::Is::farewell);
                EXPECT_EQ(heard.farewell, (Farewell{.rank = 1, .end = how, .calls = 0}));
                return;
            }
            const Connected rank_of(settings);
            gather_byte(rank_of.c, 3);
        });
        EXPECT_EQ(words[0],
                  std::string("all_gather, call 1: rank 1 on host1 has ") + (how == End::failed ? "failed" : "gone"));
    }
}

// Rank 1 has lost rank 0, which is still there: it names rank 1, to itself and to others.
TEST(TcpFarewells, NoRankIsToldThatItHasGoneItself) {
    const std::string told = "rank 1 on host1 has lost its connection to this rank";
    const auto words = ended({.ranks = 3}, [&](int rank, const TcpSettings& settings) {
        if (rank > 0) {
            const std::vector<Peer> peers = join(settings);
            if (rank == 1) say(peers[0].control, {.rank = 0, .end = End::gone});
            EXPECT_EQ(awaited(peers[0].control, 3).farewell, (Farewell{.rank = 1, .end = End::gone}));
            return;
        }
        const Connected rank_of(settings);
        for (int i = 0; i < 4000 && rank_of.c.lost(rank_of.c.state).empty(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_EQ(rank_of.c.lost(rank_of.c.state), told);
        gather_byte(rank_of.c, 3);
    });
    EXPECT_EQ(words[0], "all_gather, call 1: " + told);
}

// Rank 1's connection for control ends without a word while rank 0 waits for rank 2 alone.
TEST(TcpFarewells, ARankThatClosesWithoutAWordEndsACallWithAnother) {
    const std::string told = "rank 1 on host1 has closed its connection";
    const auto words = ended({.ranks = 3}, [&](int rank, const TcpSettings& settings) {
        if (rank > 0) {
            std::vector<Peer> peers = join(settings);
            if (rank == 1) peers[0].control.close();
            if (rank == 2) {
                EXPECT_EQ(awaited(peers[0].control, 3).farewell, (Farewell{.rank = 1, .end = End::gone}));
            }
            return drain(peers[0]);  // rank 1's other connection stays open meanwhile
        }
        const Connected rank_of(settings);
        for (int i = 0; i < 4000 && rank_of.c.lost(rank_of.c.state).empty(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_EQ(rank_of.c.lost(rank_of.c.state), told);
        char byte = 0;
        rank_of.c.broadcast(rank_of.c.state, &byte, 1, 2, {});
    });
    EXPECT_EQ(words[0], "broadcast, call 1: " + told);
}

// What it has sent before is received first, and the call completed.
TEST(TcpFarewells, ARankThatClosesWithoutAWordHasItsBytesRead) {
    const auto words = ended({}, [](int rank, const TcpSettings& settings) {
        if (rank == 1) {
            std::vector<Peer> peers = join(settings);
            peers[0].control.close();
            std::this_thread::sleep_for(kAWhile);
            send_byte(peers[0], 1);
            char part[kMessageBytes + 1];
            std::string why;
            EXPECT_TRUE(receive_all(peers[0].socket, part, sizeof part, seconds_from_now(20), why)) << why;
            return;
        }
        const Connected rank_of(settings);
        gather_byte(rank_of.c, 2);
        gather_byte(rank_of.c, 2);
    });
    EXPECT_EQ(words[0], "all_gather, call 2: rank 1 on host1 has closed its connection");
}

}  // namespace
}  // namespace fp::testing
