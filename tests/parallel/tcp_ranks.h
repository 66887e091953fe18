// Ranks that join over TCP, as threads of a test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/error.h"
#include "kernels/tcp/socket.h"
#include "kernels/tcp/tcp.h"

namespace fp::testing {

inline int free_port() { return tcp::port_of(tcp::listen_at(0, true, 1)); }

struct Launch {
    int ranks = 2, port = free_port();
    double seconds = 20, join_seconds = 20;

    TcpSettings settings(int rank) const {
        return {.rank = rank,
                .ranks = ranks,
                .host = "host" + std::to_string(rank),
                .address = "127.0.0.1",
                .port = port,
                .run = "a run",
                .seconds = seconds,
                .join_seconds = join_seconds};
    }
};

// f(rank, settings) in a thread per rank. What ranks threw, in words; "" of those that threw nothing.
inline std::vector<std::string> ended(const Launch& run, const std::function<void(int, const TcpSettings&)>& f) {
    std::vector<std::string> words(size_t(run.ranks));
    std::vector<std::thread> threads;
    for (int r = 0; r < run.ranks; ++r)
        threads.emplace_back([&, r] {
            try {
                f(r, run.settings(r));
            } catch (const Error& error) {
                words[size_t(r)] = error.what();
                EXPECT_EQ(error.exit, Exit::device);
            }
        });
    for (std::thread& t : threads) t.join();
    return words;
}

// The same with open connections, which are closed at the end of f.
inline std::vector<std::string> connected(const Launch& run, const std::function<void(int, const Collectives&)>& f) {
    return ended(run, [&](int rank, const TcpSettings& settings) {
        const Collectives c = open_tcp(settings);
        const std::unique_ptr<void, void (*)(void*)> owner(c.state, c.close);
        f(rank, c);
    });
}

inline void gather_byte(const Collectives& c, int ranks) {
    std::vector<char> all(size_t(ranks), 0);
    const char one = 1;
    c.all_gather(c.state, &one, all.data(), 1, {});
}

}  // namespace fp::testing
