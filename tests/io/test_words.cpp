#include "engine/io/words.h"

#include <gtest/gtest.h>

namespace fp {
namespace {

TEST(Words, DigitsAreGroupedFromFiveOn) {
    EXPECT_EQ(grouped(0), "0");
    EXPECT_EQ(grouped(9999), "9999");
    EXPECT_EQ(grouped(10000), "10,000");
    EXPECT_EQ(grouped(1917940), "1,917,940");
    EXPECT_EQ(grouped(-123456), "-123,456");
    EXPECT_EQ(grouped(-9999), "-9999");
}

TEST(Words, OneIsSingular) {
    EXPECT_EQ(counted(1, "group"), "1 group");
    EXPECT_EQ(counted(0, "group"), "0 groups");
    EXPECT_EQ(counted(20000, "class", "classes"), "20,000 classes");
    EXPECT_EQ(counted(1, "class", "classes"), "1 class");
}

}  // namespace
}  // namespace fp
