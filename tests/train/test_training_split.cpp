#include "engine/train/training_split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::IsSubsetOf;

TEST(TrainingSplit, a_limit_is_a_share_or_a_number) {
    EXPECT_EQ(limited("10%", 200), 20);
    EXPECT_EQ(limited("100%", 200), 200);
    EXPECT_EQ(limited("0.1%", 200), 1);
    EXPECT_EQ(limited("50", 200), 50);
    EXPECT_EQ(limited("500", 200), 200);
    for (const char* wrong : {"", "0", "-1", "x", "1.5", "0%", "101%", "%", "10 %%"})
        expect_error(
            Exit::usage, [&] { limited(wrong, 200); }, "--limit-train", wrong);
}

TEST(TrainingSplit, limits_draw_some_images_by_the_seed) {
    const ImageData data = open_images("synth:n=100,size=8,classes=2,groups=2", {.image_size = 8});
    const std::vector<int64_t> all = members(data.set, Split::train);
    const auto split = [&](const std::string& limit, int64_t overfit, uint64_t seed = 1) {
        FitOptions o{.settings = {.limit_train = limit, .overfit_batches = overfit}, .batch_size = 8, .seed = seed};
        return training_split(data, o);
    };
    EXPECT_EQ(split("100%", 0).train, all);
    EXPECT_EQ(split("100%", 0).val, members(data.set, Split::val));
    const TrainingSplit some = split("25", 0);
    EXPECT_EQ(some.train.size(), 25u);
    EXPECT_EQ(some.labels.size(), 25u);
    EXPECT_THAT(some.train, IsSubsetOf(all));
    EXPECT_TRUE(std::ranges::is_sorted(some.train));
    EXPECT_EQ(split("25", 0).train, some.train);
    EXPECT_NE(split("25", 0, 2).train, some.train);
    EXPECT_EQ(some.val, members(data.set, Split::val));
    const TrainingSplit two_batches = split("100%", 2);
    EXPECT_EQ(two_batches.train.size(), 16u);
    EXPECT_EQ(two_batches.val, two_batches.train);
    EXPECT_EQ(split("100%", std::numeric_limits<int64_t>::max()).train, all);
}

}  // namespace
}  // namespace fp
