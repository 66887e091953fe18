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
    return choose({}, {set}, {{"a", scores}}, options, {}).removal.at("a");
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

// The channels that are removed from one set of 40, with scores 0 to 39, by a device that computes blocks of 16.
int removed_of_forty(const ChooseOptions& options, double noise, const std::vector<double>& scores = {}) {
    std::vector<double> values = scores;
    if (scores.empty()) {
        values.resize(40);
        std::iota(values.begin(), values.end(), 0.0);
    }
    Ties ties{.noise = {{"a", noise}}};
    for (int c = 0; c <= 40; ++c) ties.filled.push_back((c + 15) / 16 * 16);
    const ChannelSet set{.channels = 40, .layers = {"a"}, .rows = {}, .columns = {}};
    const auto left = [](Amount::Kind, const ModelSpec& spec) { return spec.widths.at("a") / 40.0; };
    const Choice choice = choose({}, {set}, {{"a", values}}, options, left, ties);
    const std::vector<int>& gone = choice.removal.at("a");
    for (int i = 0; i < int(gone.size()); ++i) EXPECT_EQ(gone[size_t(i)], i) << "the lowest go";
    return int(gone.size());
}

TEST(Choose, TiedChannelsFillBlocks) {
    // 12 go and 28 stay; 32 would fill two blocks. Channel 12 stays, so that 8 to 11 must be tied with it.
    EXPECT_EQ(removed_of_forty({.amount = "30%"}, 3.9), 12);
    EXPECT_EQ(removed_of_forty({.amount = "30%"}, 4), 8);
    // 20 stay, 16 are nearer than 32: channel 19 goes, so that 20 to 23 must be tied with it.
    EXPECT_EQ(removed_of_forty({.amount = "50%"}, 3.9), 20);
    EXPECT_EQ(removed_of_forty({.amount = "50%"}, 4), 24);
    EXPECT_EQ(removed_of_forty({.amount = "50%"}, 100), 24);
    // What fills blocks stays so.
    EXPECT_EQ(removed_of_forty({.amount = "20%"}, 100), 8);
    // All 40 would be as fast as 36, but something was to go.
    EXPECT_EQ(removed_of_forty({.amount = "10%"}, 3.9), 4);
    EXPECT_EQ(removed_of_forty({.amount = "10%"}, 4), 8);
    // Not below the minimum.
    EXPECT_EQ(removed_of_forty({.amount = "50%", .min_channels = 18}, 4), 20);
}

TEST(Choose, EqualScoresAreTiedWithoutNoise) {
    std::vector<double> scores(40, 2.0);
    EXPECT_EQ(removed_of_forty({.amount = "30%"}, 0, scores), 8);
    // Channel 8 is lower than channel 12, which stays, and channel 23 is higher than channel 11, which goes.
    for (int c = 0; c < 11; ++c) scores[size_t(c)] = 1;
    for (int c = 20; c < 40; ++c) scores[size_t(c)] = 3;
    EXPECT_EQ(removed_of_forty({.amount = "30%"}, 0, scores), 12);
}

TEST(Choose, NumbersAndRoundToAreTakenAtTheirWord) {
    EXPECT_EQ(removed_of_forty({.amount = "12"}, 100), 12);
    EXPECT_EQ(removed_of_forty({.amount = "30%", .round_to = 1}, 100), 12);
    EXPECT_EQ(removed_of_forty({.amount = "30%", .round_to = 10}, 100), 10);
}

TEST(Choose, TiesKeepToTheAmountOfACost) {
    // 70 % are 28 channels. 32 are more, and 16 are not tied.
    EXPECT_EQ(removed_of_forty({.amount = "macs:70%"}, 4), 12);
    // 75 % are 30 channels. 32 would be nearest, but they are more.
    EXPECT_EQ(removed_of_forty({.amount = "macs:75%"}, 14), 24);
    EXPECT_EQ(removed_of_forty({.amount = "macs:75%"}, 13), 10);
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
