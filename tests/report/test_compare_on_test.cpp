// The library's comparison on the test split is a look at it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/report/prune_report.h"
#include "kernels/kernels.h"
#include "tests/constant_network.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

LoadedModel constant(uint64_t seed) {
    LoadedModel out{.network = std::make_unique<Network>(
                        testing::kConstant, ModelSpec{.arch = "constant", .classes = 3}, kernels(Backend::reference)),
                    .card = {}};
    out.network->initialize(seed);
    out.card.preprocessing.image_size = 8;
    return out;
}

TEST(CompareOnTest, GoesOnRecord) {
    const testing::TemporaryFolder state;
    setenv(kStateVariable, state.path().c_str(), 1);
    const LoadedModel model = constant(1), pruned = constant(2);
    const ImageData data = open_images("synth:n=60,size=8,classes=3,groups=2,seed=71", {.image_size = 8});
    const PruneSettings settings{.attributes = {"group"}};
    const Baseline dense(model, data, settings);
    const TestResult first = compare_on_test(dense, pruned, {.tool = "a program"});
    ASSERT_TRUE(first.reads && first.reads->count);
    EXPECT_EQ(*first.reads->count, 1);
    EXPECT_EQ(first.reads->images, first.comparison.samples);
    EXPECT_EQ(first.reads->by.at("a program"), 1);
    EXPECT_EQ(first.reads->split, test_split(data.set, members(data.set, Split::test)).hash);
    const TestResult second = compare_on_test(dense, pruned);  // without a folder each call is one
    EXPECT_EQ(*second.reads->count, 2);
    EXPECT_EQ(second.reads->by.at("fairprune"), 1);
    setenv(kStateVariable, "off", 1);  // as isolated_state.cpp has it
    EXPECT_FALSE(compare_on_test(dense, pruned).reads->count);
}

}  // namespace
}  // namespace fp
