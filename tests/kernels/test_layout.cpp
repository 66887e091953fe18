#include <set>

#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

TEST(Layout, ByHand) {
    // 3 channels in blocks of 2: the second block holds channel 2 and padding.
    const Map m{.n = 2, .c = 3, .h = 1, .w = 2, .block = 2};
    EXPECT_EQ(m.stored(), 16);
    EXPECT_EQ(m.logical(), 12);
    EXPECT_EQ(m.at(0, 1, 0, 0), 1);
    EXPECT_EQ(m.at(0, 0, 0, 1), 2);
    EXPECT_EQ(m.at(0, 2, 0, 0), 4);
    EXPECT_EQ(m.at(1, 2, 0, 1), 14);
    // 3 filters over 5 channels, 1x2 windows, blocks of 2 filters and 4 channels
    const Filter f{.k = 3, .c = 5, .r = 1, .s = 2, .k_block = 2, .c_block = 4};
    EXPECT_EQ(f.stored(), 4 * 8 * 2);
    EXPECT_EQ(f.at(1, 0, 0, 0), 1);
    EXPECT_EQ(f.at(0, 1, 0, 0), 2);
    EXPECT_EQ(f.at(0, 0, 0, 1), 8);
    EXPECT_EQ(f.at(0, 4, 0, 0), 16);
    EXPECT_EQ(f.at(2, 0, 0, 0), 32);
}

void expect_each_element_its_own_place(const Places& places) {
    const std::set<int64_t> distinct(places.at.begin(), places.at.end());
    EXPECT_EQ(distinct.size(), places.at.size());
    EXPECT_GE(*distinct.begin(), 0);
    EXPECT_LT(*distinct.rbegin(), places.stored);
}

class LayoutOn : public OnBackend {};
FP_ON_EVERY_BACKEND(LayoutOn);

TEST_P(LayoutOn, EveryElementHasItsOwnPlace) {
    const Device on{table()};
    for (const int c : {1, 3, 16, 17, 45}) {
        SCOPED_TRACE(text(c, " channels"));
        const Map map = on.map({.n = 2, .c = c, .h = 3, .w = 2});
        expect_each_element_its_own_place(map);
        expect_each_element_its_own_place(table().filter(5, c, 3, 3, map.block));
    }
    const Map image = on.image({.n = 2, .c = 3, .h = 3, .w = 2});
    expect_each_element_its_own_place(image);
    expect_each_element_its_own_place(table().filter(17, 3, 7, 7, image.block));
}

}  // namespace
}  // namespace fp::testing
