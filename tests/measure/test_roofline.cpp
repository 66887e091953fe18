#include <gmock/gmock.h>

#include "engine/measure/roofline.h"

namespace fp {
namespace {

constexpr Roofline kRoof{.flops = 1e9, .bytes = 1e8};

TEST(Roof, the_slower_of_arithmetic_and_memory_is_the_lower_bound) {
    const LowerBound product = lower_bound(kRoof, 4e9, 1e8), sum = lower_bound(kRoof, 1e9, 3e8);
    EXPECT_DOUBLE_EQ(product.seconds, 4);
    EXPECT_FALSE(product.memory);
    EXPECT_DOUBLE_EQ(sum.seconds, 3);
    EXPECT_TRUE(sum.memory);
}

TEST(Roof, gradients_count_where_they_were_timed) {
    LayerCost conv{.macs = 1e9, .bytes = 1e6, .backward_macs = 2e9, .forward_seconds = 3};
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 2);
    conv.backward_seconds = 6;
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 6);
    conv.backward_macs = 1e9;  // of a filter on images: those need no gradient
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, conv).seconds, 4);
    LayerCost relu{.bytes = 1e8, .forward_seconds = 2};
    EXPECT_DOUBLE_EQ(lower_bound(kRoof, relu).seconds, 1);
    relu.backward_seconds = 2;
    EXPECT_EQ(lower_bound(kRoof, relu).seconds, 0) << "its backward is not counted";
}

TEST(Roof, every_device_here_has_one) {
    for (const Backend b : {Backend::reference_blocked, Backend::cpu})
        if (const Kernels* k = find_kernels(b)) {
            const Roofline roof = measure_roofline(*k);
            EXPECT_GT(roof.flops, 1e6) << name(b);
            EXPECT_GT(roof.bytes, 1e6) << name(b);
        }
}

}  // namespace
}  // namespace fp
