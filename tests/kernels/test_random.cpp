#include <gtest/gtest.h>

#include "kernels/random.h"

namespace fp {
namespace {

void expect_words(const Philox& p, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    EXPECT_EQ(p.word[0], a);
    EXPECT_EQ(p.word[1], b);
    EXPECT_EQ(p.word[2], c);
    EXPECT_EQ(p.word[3], d);
}

// The known answers that its authors publish with Random123 for philox4x32-10.
TEST(Random, PhiloxKnownAnswers) {
    expect_words(philox(0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
    expect_words(philox(~0ull, ~0ull, ~0ull), 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    expect_words(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e), 0xd16cfe09, 0x94fdcceb, 0x5001e420,
                 0x24126ea1);
}

TEST(Random, UniformStaysBelowOne) {
    EXPECT_EQ(uniform(uint32_t(0)), 0.0f);
    EXPECT_LT(uniform(~uint32_t(0)), 1.0f);
    for (uint64_t i = 0; i < 1000; ++i) {
        EXPECT_LT(uniform_double(7, i), 1.0);
        EXPECT_LT(uniform_below(10, 7, i), 10u);
    }
}

TEST(Random, FourNumbersShareACounter) {
    for (uint64_t i = 0; i < 8; ++i) EXPECT_EQ(uniform(5, i), uniform(philox(5, i / 4).word[i % 4])) << i;
}

TEST(Random, KeysOfDifferentPartsDiffer) {
    EXPECT_NE(key_of(1, 2), key_of(2, 1));
    EXPECT_NE(key_of(1), key_of(1, 0));
    EXPECT_NE(key_of(0, 1, 2), key_of(0, 1, 3));
}

}  // namespace
}  // namespace fp
