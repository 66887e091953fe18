#include <gmock/gmock.h>

#include "engine/measure/roofline.h"

namespace fp {
namespace {

const Roofline kRoof{.flops = 1e9, .levels = {{1e6, 4e8}, {1e8, 1e8}}};

TEST(Roof, the_slower_of_arithmetic_and_memory_is_the_lower_bound) {
    const LowerBound product = lower_bound(kRoof, 4e9, 1e8), sum = lower_bound(kRoof, 1e9, 3e8);
    EXPECT_DOUBLE_EQ(product.seconds, 4);
    EXPECT_FALSE(product.memory);
    EXPECT_DOUBLE_EQ(sum.seconds, 3);
    EXPECT_TRUE(sum.memory);
}

TEST(Roof, what_a_cache_holds_is_bounded_by_the_cache) {
    EXPECT_DOUBLE_EQ(kRoof.bytes(10), 4e8) << "less than the smallest level";
    EXPECT_DOUBLE_EQ(kRoof.bytes(99e6), 4e8);
    EXPECT_DOUBLE_EQ(kRoof.bytes(1e8), 1e8);
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, 0, 4e6).seconds, 0.01);
}

TEST(Roof, a_coarse_clock_gives_a_number_of_calls_too) {
    EXPECT_EQ(calls_for(0.003, 0), 1000);
    EXPECT_EQ(calls_for(0.003, 1e-300), 1000);
    EXPECT_EQ(calls_for(0.003, 1e-4 / 1.5), 45);
    EXPECT_EQ(calls_for(0.003, 7), 1);
}

TEST(Roof, gradients_count_where_they_were_timed_and_what_ran_is_counted) {
    LayerCost conv{.macs = 1e9, .bytes = 1e6, .backward_macs = 2e9, .forward_seconds = 3};
    conv.executed_macs = 1e9;
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 2);
    conv.backward_seconds = 6;
    conv.executed_backward_macs = 2e9;
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 6);
    conv.executed_macs = 0.25e9;  // by Winograd's transforms
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 4.5);
    conv.backward_macs = conv.executed_backward_macs = 1e9;  // of a filter on images: those need no gradient
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 2.5);
    LayerCost relu{.bytes = 1e8, .forward_seconds = 2};
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, relu).seconds, 1);
    relu.backward_seconds = 2;
    EXPECT_EQ(lower_bound(kRoof, relu).seconds, 0) << "its backward is not counted";
}

TEST(Roof, every_device_here_has_one) {
    for (const Backend b : {Backend::reference_blocked, Backend::cpu})
        if (const Kernels* k = find_kernels(b)) {
            const Roofline roof = RoofProbe(*k).measure();
            EXPECT_GT(roof.flops, 1e6) << name(b);
            for (const Roofline::Level& level : roof.levels) EXPECT_GT(level.bytes, 1e6) << name(b);
        }
}

TEST(Roof, of_several_measurements_each_rate_is_the_fastest) {
    const Roofline other{.flops = 5e8, .levels = {{1e6, 3e8}, {1e8, 2e8}}}, fastest = faster_of(kRoof, other);
    EXPECT_EQ(fastest.flops, 1e9);
    EXPECT_EQ(fastest.bytes(1e6), 4e8);
    EXPECT_EQ(fastest.bytes(1e8), 2e8);
}

}  // namespace
}  // namespace fp
