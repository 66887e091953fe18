#include "engine/prune/check_cut.h"

#include <gtest/gtest.h>

namespace fp {
namespace {

LayerCost layer(int in, int out, double macs) { return {.in_channels = in, .out_channels = out, .macs = macs}; }

TEST(CheckCut, PaddingIsOfWidthsThatFilledBlocksBefore) {
    const Kernels& k = kernels(Backend::cpu);
    const int block = Map{.c = 1, .block = k.block(1)}.stored_c();  // 16, 8 or 4
    // Three channels and five classes fill no block in the dense network either.
    const std::vector<LayerCost> dense{
        layer(3, 4 * block, 10), {}, layer(4 * block, 4 * block, 100), layer(4 * block, 5, 1)};
    EXPECT_EQ(padding_share(k, dense, dense), 0);
    const std::vector<LayerCost> cut{
        layer(3, 2 * block, 5), {}, layer(2 * block, block / 2, 12), layer(block / 2, 5, 0.5)};
    // Half a block is computed as a whole one.
    EXPECT_NEAR(padding_share(k, dense, cut), (5 + 24 + 1) / 17.5 - 1, 1e-12);
    EXPECT_NE(padding_text(k, 0.071).find("cost 7 % more"), std::string::npos);
    EXPECT_NE(padding_text(k, 0.071).find("--round-to " + std::to_string(block)), std::string::npos);
    EXPECT_EQ(padding_text(k, 0.009), "");
}

TEST(CheckCut, TiesKnowTheBlocksOfTheDevice) {
    const Kernels& k = kernels(Backend::cpu);
    const int block = Map{.c = 1, .block = k.block(1)}.stored_c();
    const ChannelSet small{.channels = block, .layers = {"a"}, .rows = {}, .columns = {}},
        large{.channels = 2 * block, .layers = {"b"}, .rows = {}, .columns = {}};
    const Ties ties = ties_of(k, {small, large}, {{"b", 0.5}});
    ASSERT_EQ(int(ties.filled.size()), 2 * block + 1);
    for (const auto& [channels, filled] :
         {std::pair{0, 0}, {1, block}, {block, block}, {block + 1, 2 * block}, {2 * block, 2 * block}})
        EXPECT_EQ(ties.filled[size_t(channels)], filled) << channels;
    EXPECT_EQ(ties.noise.at("b"), 0.5);
}

}  // namespace
}  // namespace fp
