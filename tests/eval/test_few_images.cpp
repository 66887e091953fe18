#include "engine/eval/few_images.h"

#include <gtest/gtest.h>

#include <map>

namespace fp {
namespace {

TEST(FewImages, stand_for_every_class_and_group_of_every_split) {
    const ImageData all = open_images("synth:n=400,size=8,classes=3,groups=2,bias=0", {.image_size = 8});
    const ImageData few = few_images(all, {"group"}, 12);
    for (const Split split : kSplits) {
        const std::vector<int64_t> members_of_split = members(few.set, split);
        ASSERT_EQ(members_of_split.size(), 12u);
        std::map<std::pair<int, int>, int> cells;
        const Grouping g = group_by(few.set, "group");
        for (const int64_t s : members_of_split) ++cells[{few.set.samples[size_t(s)].label, g.of[size_t(s)]}];
        EXPECT_EQ(cells.size(), 6u);
        for (const auto& [cell, count] : cells) EXPECT_EQ(count, 2);
    }
    // An image is that of its sample.
    for (const int64_t i : {0, 17, 35}) {
        const Sample& sample = few.set.samples[size_t(i)];
        int64_t same = 0;
        while (all.set.samples[size_t(same)].image != sample.image) ++same;
        std::vector<uint8_t> got(8 * 8 * 3), want(got.size());
        few.source(i, {}, 8, got.data());
        all.source(same, {}, 8, want.data());
        EXPECT_EQ(got, want);
    }
    EXPECT_EQ(few_images(all, {}, 100'000).set.samples.size(), all.set.samples.size());
}

}  // namespace
}  // namespace fp
