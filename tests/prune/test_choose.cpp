#include "engine/prune/choose.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/expect_error.h"

namespace fp {
namespace {

// Removes from one set of 16 channels, whose scores rise with their index.
std::vector<int> removed(const ChooseOptions& options) {
    std::vector<double> scores(16);
    std::iota(scores.begin(), scores.end(), 0.0);
    const ChannelSet set{.channels = 16, .layers = {"a"}, .rows = {}, .columns = {}};
    return choose({}, {set}, {{"a", scores}}, options, {}).at("a");
}

TEST(Choose, TheLowestScoresGo) { EXPECT_EQ(removed({.amount = "3"}), (std::vector<int>{0, 1, 2})); }

TEST(Choose, WhatIsKeptIsAMultiple) {
    EXPECT_EQ(removed({.amount = "3", .round_to = 4}).size(), 4u);
    EXPECT_EQ(removed({.amount = "5", .round_to = 4}).size(), 4u);
    // At least 9 channels in multiples of 4 are at least 12.
    EXPECT_EQ(removed({.amount = "4", .min_channels = 9, .round_to = 4}).size(), 4u);
    testing::expect_error(
        Exit::data, [] { removed({.amount = "7", .min_channels = 9, .round_to = 4}); }, "1 to 4 of 16");
}

TEST(Choose, AmountsAreCountsOrShares) {
    for (const char* amount : {"5", "10%", "macs:60%", "params:60%", "latency:2.5%"})
        EXPECT_EQ(to_string(Amount(amount)), amount);
    for (const char* wrong : {"", "0", "-1", "2.5", "macs:5", "100%", "nan", "5 "})
        testing::expect_error(
            Exit::usage, [&] { Amount{wrong}; }, "amount `");
}

}  // namespace
}  // namespace fp
