// Half precision on the host.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/f16.h"

namespace fp {
namespace {

TEST(F16, EveryNumberIsItself) {
    for (uint32_t bits = 0; bits < 65536; ++bits) {
        const f16 half{uint16_t(bits)};
        const float v = to_float(half);
        if (std::isnan(v))
            EXPECT_TRUE(std::isnan(to_float(half_of(v)))) << bits;
        else
            EXPECT_EQ(half_of(v).bits, bits) << v;
    }
    EXPECT_EQ(to_float({0x3c00}), 1);
    EXPECT_EQ(to_float({0x0001}), 0x1p-24f);
    EXPECT_EQ(to_float({0x7bff}), 65504);
    EXPECT_EQ(to_float({0xfc00}), -INFINITY);
}

TEST(F16, BetweenTwoNumbersTheNearestIsTakenAndTheEvenOneAtATie) {
    for (uint32_t bits = 0; bits < 0x7c00; ++bits) {
        const f16 low{uint16_t(bits)}, high{uint16_t(bits + 1)};
        // The first that is too large has no neighbour above; it counts as 65536.
        const float a = to_float(low), b = bits == 0x7bff ? 65536 : to_float(high);
        const float middle = (a + b) / 2;
        EXPECT_EQ(half_of(middle).bits, bits % 2 == 0 ? low.bits : high.bits) << middle;
        EXPECT_EQ(half_of(std::nextafter(middle, a)).bits, low.bits) << middle;
        EXPECT_EQ(half_of(std::nextafter(middle, b)).bits, high.bits) << middle;
        EXPECT_EQ(half_of(-middle).bits, half_of(middle).bits | 0x8000);
    }
    EXPECT_EQ(half_of(1e30f).bits, 0x7c00);
    EXPECT_EQ(half_of(1e-30f).bits, 0);
}

}  // namespace
}  // namespace fp
