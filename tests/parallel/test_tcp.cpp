#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include "kernels/tcp/hello.h"
#include "kernels/tcp/join.h"
#include "tests/expect_error.h"
#include "tests/parallel/check/checks.h"
#include "tests/parallel/tcp_ranks.h"

namespace fp::testing {
namespace {

using namespace tcp;

TEST(Tcp, CollectivesOfTwoToFourRanks) {
    for (const int ranks : {2, 3, 4}) {
        const Launch run{.ranks = ranks};
        const auto words = connected(run, [&](int rank, const Collectives& c) {
            check_collectives(Comm({.rank = rank, .ranks = ranks}, c), 5 << 20);
        });
        EXPECT_EQ(words, std::vector<std::string>(size_t(ranks)));
    }
}

// Larger than what the system keeps on the way: who only sends, or only receives, stops for ever.
TEST(Tcp, LargePartsGoBothWaysAtOnce) {
    const size_t bytes = 24 << 20;
    const auto words = connected({}, [&](int rank, const Collectives& c) {
        std::vector<char> send(2 * bytes, char(rank + 1)), receive(2 * bytes);
        c.all_to_all(c.state, send.data(), receive.data(), bytes, {});
        EXPECT_EQ(receive.front(), 1);
        EXPECT_EQ(receive[bytes - 1], 1);
        EXPECT_EQ(receive[bytes], 2);
        EXPECT_EQ(receive.back(), 2);
    });
    EXPECT_EQ(words, std::vector<std::string>(2));
}

TEST(Tcp, ARankThatLeavesEndsTheOthers) {
    const auto words = connected({.ranks = 3}, [](int rank, const Collectives& c) {
        gather_byte(c, 3);
        if (rank != 1) gather_byte(c, 3);
    });
    EXPECT_EQ(words[1], "");
    // Whoever sees it first tells the other: neither takes that one for the first to have gone.
    for (const size_t r : {0, 2})
        EXPECT_THAT(words[r], ::testing::HasSubstr("all_gather, call 2: rank 1 on host1 has "));
}

// Whoever hears of it first passes it on as it is, and no rank misses the call before.
TEST(Tcp, ARankThatFailsTellsTheOthers) {
    const auto words = connected({.ranks = 3}, [](int rank, const Collectives& c) {
        gather_byte(c, 3);
        if (rank == 2) return c.abort(c.state);
        try {
            gather_byte(c, 3);
        } catch (const Error&) {
            EXPECT_EQ(c.lost(c.state), "rank 2 on host2 has failed");
            throw;
        }
    });
    EXPECT_EQ(words[2], "");
    for (const size_t r : {0, 1}) EXPECT_EQ(words[r], "all_gather, call 2: rank 2 on host2 has failed");
}

// Rank 1 fails while it has sent a part of its bytes: rank 0, which waits for the rest, hears why.
TEST(Tcp, ARankThatFailsWithinACallSaysSo) {
    const size_t bytes = 64 << 20;
    std::atomic<bool> begun{false};
    const auto words = connected({}, [&](int rank, const Collectives& c) {
        std::vector<char> all(2 * bytes);
        if (rank == 0) {
            while (!begun) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            c.all_gather(c.state, all.data() + bytes, all.data(), bytes, {});
            return;
        }
        std::thread other([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            c.abort(c.state);
            begun = true;
        });
        const std::unique_ptr<std::thread, void (*)(std::thread*)> ends(&other, [](std::thread* t) { t->join(); });
        c.all_gather(c.state, all.data() + bytes, all.data(), bytes, {});
    });
    EXPECT_EQ(words[0], "all_gather, call 1: rank 1 on host1 has failed");
    EXPECT_EQ(words[1], "all_gather, call 1: ended by this process");
}

// Rank 1 computes for long, and rank 0 waits for its bytes alone: it ends all the same where rank 2 fails.
TEST(Tcp, ARankThatWaitsForAnotherHearsOfAFailure) {
    std::atomic<bool> ended{false};
    const auto words = connected({.ranks = 3}, [&](int rank, const Collectives& c) {
        if (rank == 1)
            while (!ended) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (rank == 2) c.abort(c.state);
        if (rank > 0) return;
        const std::unique_ptr<std::atomic<bool>, void (*)(std::atomic<bool>*)> done(&ended, [](auto* e) { *e = true; });
        char byte = 0;
        c.broadcast(c.state, &byte, 1, 1, {});
    });
    EXPECT_EQ(words[0], "broadcast, call 1: rank 2 on host2 has failed");
}

// Rank 1 has failed, rank 2 has left: only one of them is missed.
TEST(Tcp, KnowsOfARankThatHasFailed) {
    const auto words = connected({.ranks = 3}, [&](int rank, const Collectives& c) {
        if (rank == 1) c.abort(c.state);
        if (rank > 0) return;
        for (int i = 0; i < 2000 && c.lost(c.state).empty(); ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        EXPECT_EQ(c.lost(c.state), "rank 1 on host1 has failed");
    });
    EXPECT_EQ(words, std::vector<std::string>(3));
}

TEST(Tcp, ARankThatHasLeftIsNotLost) {
    std::atomic<bool> left{false};
    const auto words = ended({}, [&](int rank, const TcpSettings& settings) {
        const Collectives c = open_tcp(settings);
        gather_byte(c, 2);
        if (rank == 1) {
            c.close(c.state);
            left = true;
            return;
        }
        while (!left) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::this_thread::sleep_for(std::chrono::milliseconds(50));  // for its farewell to come
        EXPECT_EQ(c.lost(c.state), "");
        c.close(c.state);
    });
    EXPECT_EQ(words, std::vector<std::string>(2));
}

TEST(Tcp, ALateRankIsNamed) {
    std::atomic<int> waits{1};
    const auto words = connected({.ranks = 2, .seconds = 0.2}, [&](int rank, const Collectives& c) {
        if (rank == 0) {
            const std::unique_ptr<std::atomic<int>, void (*)(std::atomic<int>*)> done(&waits, [](auto* w) { *w = 0; });
            gather_byte(c, 2);
        }
        while (waits) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
    EXPECT_EQ(words[0],
              "all_gather, call 1: nothing has come or gone for 0.2 s (FAIRPRUNE_TIMEOUT); awaited: rank 1 on host1");
}

TEST(Tcp, DifferentCallsAreRefused) {
    const auto words = connected({}, [](int rank, const Collectives& c) {
        char bytes[4] = {};
        if (rank == 0)
            c.broadcast(c.state, bytes, 2, 1, {});
        else
            gather_byte(c, 2);
    });
    EXPECT_THAT(words[0],
                ::testing::HasSubstr("broadcast, call 1: rank 1 on host1 is at call 1, all_gather of 1 bytes"));
    EXPECT_THAT(words[1], ::testing::HasSubstr("all_gather, call 1: rank 0 on host0 has "));
    const auto sizes = connected({}, [](int rank, const Collectives& c) {
        char send[8] = {}, receive[16];
        c.all_gather(c.state, send, receive, rank == 0 ? 8 : 4, {});
    });
    EXPECT_THAT(sizes[0] + sizes[1], ::testing::HasSubstr("bytes, and this rank sends"));
}

TEST(Tcp, AbortWakesACallOfThisProcess) {
    std::atomic<int> waits{1};
    const auto words = connected({}, [&](int rank, const Collectives& c) {
        if (rank == 0) {
            std::thread other([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(20));
                c.abort(c.state);
            });
            const std::unique_ptr<std::thread, void (*)(std::thread*)> ends(&other, [](std::thread* t) { t->join(); });
            gather_byte(c, 2);
        } else {
            while (c.lost(c.state).empty() && waits) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    });
    EXPECT_EQ(words[0], "all_gather, call 1: ended by this process");
    EXPECT_EQ(words[1], "");
}

// ---- Joining

TEST(Tcp, ARankThatDoesNotComeIsNamed) {
    const auto words = ended({.ranks = 4, .join_seconds = 2}, [](int rank, const TcpSettings& settings) {
        if (rank < 2) open_tcp(settings);
    });
    EXPECT_THAT(words[0], ::testing::HasSubstr("of 4 ranks these have not come to host0:"));
    EXPECT_THAT(words[0], ::testing::HasSubstr("within 2 s: 2, 3"));
    EXPECT_THAT(words[1], ::testing::HasSubstr("rank 0 "));
    const auto alone = ended({.ranks = 2, .join_seconds = 0.3}, [](int rank, const TcpSettings& settings) {
        if (rank == 1) open_tcp(settings);
    });
    EXPECT_THAT(alone[1], ::testing::HasSubstr("rank 0 does not answer within 0.3 s: 127.0.0.1:"));
    EXPECT_THAT(alone[1], ::testing::HasSubstr("Connection refused"));
}

TEST(Tcp, APortInUseIsNamed) {
    const Socket taken = listen_at(0, true, 1);
    const Launch run{.ranks = 2, .port = port_of(taken)};
    expect_error(
        Exit::device, [&] { open_tcp(run.settings(0)); }, "cannot listen at port " + std::to_string(run.port),
        "Address already in use");
}

TEST(Tcp, AnAddressThatIsNotKnownIsNamed) {
    TcpSettings settings = Launch{}.settings(1);
    settings.address = "no-such-host.invalid";
    expect_error(
        Exit::device, [&] { open_tcp(settings); }, "`no-such-host.invalid` of rank 0 is not known");
}

constexpr size_t kAll = size_t(-1);

// What somebody sends to rank 0's port while it waits for the others; what it gets back, of at most so many bytes.
std::string knock(int port, const std::string& bytes, size_t most) {
    std::string why, back;
    Socket s;
    const auto address = resolve("127.0.0.1", port)[0];
    for (int i = 0; i < 2000 && !s.is_open(); ++i) {
        s = connect_to(address, seconds_from_now(5), why);
        if (!s.is_open()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    send_all(s, bytes.data(), bytes.size(), seconds_from_now(5), why);
    char c;
    while (back.size() < most && receive_all(s, &c, 1, seconds_from_now(5), why)) back += c;
    return back;
}

std::string bytes_of(const Hello& hello) {
    const auto bytes = encode(hello);
    return {bytes.data(), bytes.size()};
}
std::string bytes_of(Answer answer) {
    const auto bytes = encode(answer);
    return {bytes.data(), bytes.size()};
}

TEST(Tcp, StrangersAreSentAwayAndRanksStillJoin) {
    const Launch run;
    const Hello good{.rank = 1, .ranks = 2, .port = 9, .run = hash_of("a run"), .host = "x"};
    std::vector<std::string> back;
    std::vector<std::string> words = ended(run, [&](int rank, const TcpSettings& settings) {
        if (rank == 1) {
            EXPECT_EQ(knock(run.port, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", kAll), "");
            EXPECT_EQ(knock(run.port, std::string(100'000, '\xFF'), kAll), "");
            knock(run.port, "", 0);
            knock(run.port, bytes_of(good).substr(0, 40), 0);
            Hello other = good;
            other.run = hash_of("another run");
            EXPECT_EQ(knock(run.port, bytes_of(other), kAll), bytes_of(Answer::run));
            other.link = Link::control;
            EXPECT_EQ(knock(run.port, bytes_of(other), kAll), bytes_of(Answer::run));
            other = good, other.ranks = 3;
            EXPECT_EQ(knock(run.port, bytes_of(other), kAll), bytes_of(Answer::ranks));
            for (const uint32_t r : {0u, 2u, 0xFFFFFFFFu}) {
                other = good, other.rank = r;
                EXPECT_EQ(knock(run.port, bytes_of(other), kAll), bytes_of(Answer::rank));
            }
            std::string version = bytes_of(good);
            version[8] = 99;
            EXPECT_EQ(knock(run.port, version, kAll), bytes_of(Answer::version));
            other = good, other.link = Link::control;  // one that comes again, since its second connection failed
            EXPECT_EQ(knock(run.port, bytes_of(other), bytes_of(Answer::welcome).size()), bytes_of(Answer::welcome));
        }
        const Collectives c = open_tcp(settings);
        gather_byte(c, 2);
        c.close(c.state);
    });
    EXPECT_EQ(words, std::vector<std::string>(2));
}

TEST(Tcp, ARankOfAnotherRunIsRefused) {
    const auto words = ended({.ranks = 2, .join_seconds = 2}, [](int rank, TcpSettings settings) {
        if (rank == 1) settings.run = "another run";
        open_tcp(settings);
    });
    EXPECT_THAT(words[1], ::testing::HasSubstr("refuses this process: it is of another run"));
    EXPECT_THAT(words[0], ::testing::HasSubstr("refused: 127.0.0.1:"));
}

TEST(Tcp, AnotherProgramAtThePortIsNoRank) {
    const Socket other = listen_at(0, true, 4);
    std::thread answers([&] {
        Socket s;
        for (int i = 0; i < 2000 && !s.is_open(); ++i) {
            s = accept_from(other);
            if (!s.is_open()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
        std::string why;
        send_all(s, "SSH-2.0-OpenSSH_9.2p1 Debian\r\n", 30, seconds_from_now(5), why);
        char c;
        while (receive_all(s, &c, 1, seconds_from_now(5), why)) {}
    });
    const Launch run{.ranks = 2, .port = port_of(other)};
    expect_error(
        Exit::device, [&] { open_tcp(run.settings(1)); }, "is another program; FAIRPRUNE_PORT");
    answers.join();
}

}  // namespace
}  // namespace fp::testing
