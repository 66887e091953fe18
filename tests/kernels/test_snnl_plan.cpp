// Which kernel sums the pairs of the soft nearest neighbour loss, which block which tiles, and what the model expects.
#include "kernels/cuda/plan/snnl_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "kernels/error.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;

SnnlShape shape(int n, int c, int side) { return {.x = {.n = n, .c = c, .h = side, .w = side}}; }

class SnnlPlan : public ::testing::Test {
protected:
    ~SnnlPlan() override { snnl_forced() = {}; }
};

TEST_F(SnnlPlan, TheGroupsOfAChannelOwnEveryTileOnce) {
    for (const int n : {1, 128, 129, 500, 1024, 2200})
        for (const SnnlGroups groups : {SnnlGroups{1, 1}, {1, 2}, {2, 2}, {2, 4}, {4, 4}}) {
            SCOPED_TRACE(text(n, " samples, ", groups.across, " x ", groups.down));
            std::map<std::pair<int, int>, int> owners;
            for (int group = 0; group < groups.count(); ++group) {
                const SnnlWalk walk(n, groups, group);
                int64_t tiles = 0, begun = 0, ended = 0;
                for (auto t = walk.first(); walk.exists(t); t = walk.behind(t)) {
                    ++owners[{t.strip, t.row}], ++tiles;
                    begun += walk.begins_strip(t), ended += walk.ends_strip(t);
                    EXPECT_EQ(begun, ended + !walk.ends_strip(t));
                }
                EXPECT_EQ(tiles, walk.tiles());
            }
            const int strips = int(ceil_div(n, kSnnlSide));
            EXPECT_EQ(int(owners.size()), strips * (strips + 1) / 2);
            for (const auto& [tile, count] : owners) {
                EXPECT_LE(tile.second, tile.first);
                EXPECT_EQ(count, 1);
            }
        }
}

TEST_F(SnnlPlan, StepsFillSharedMemory) {
    for (const int64_t d : {1, 16, 64, 65, 196, 256, 257, 784, 3136}) {
        SCOPED_TRACE(text("D ", d));
        const SnnlSteps s(d);
        EXPECT_GE(64 * (s.steps - 1) + 16 * s.last, d);
        EXPECT_LT(64 * (s.steps - 1) + 16 * (s.last - 1), d);
        EXPECT_LE(s.last, 4);
        EXPECT_EQ(s.resident, d <= 256);
        EXPECT_EQ(s.column_slots + s.row_slots, kSnnlSlots);
        EXPECT_GE(s.row_slots, 2);
        EXPECT_GE(s.column_slots, s.resident ? s.steps : 2);
    }
}

TEST_F(SnnlPlan, GroupsWorkOnRowsThatFitL2) {
    EXPECT_EQ(snnl_groups(shape(128, 512, 7)).count(), 1);
    EXPECT_EQ(snnl_groups(shape(1024, 512, 7)).count(), 1);
    EXPECT_EQ(snnl_groups(shape(4096, 256, 14)).count(), 16);
    EXPECT_EQ(snnl_groups(shape(10000, 64, 56)).count(), 16);
    SnnlShape many = shape(10000, 64, 56);
    many.sets = 51;  // whose sums would take 4 GB
    EXPECT_EQ(snnl_groups(many).count(), 4);
    SnnlShape part = shape(1024, 64, 7);
    EXPECT_GT(snnl_groups(part).count(), 1);
    part.of_channels = 512;
    EXPECT_EQ(snnl_groups(part).count(), 1);
}

TEST_F(SnnlPlan, HopperTakesWgmmaWhereItIsFasterByTheModel) {
    for (const SnnlShape& s : {shape(1024, 512, 7), shape(4096, 256, 14), shape(10000, 64, 56), shape(14904, 512, 4)}) {
        EXPECT_EQ(snnl_kernel(s, true), SnnlKernel::wgmma);
        EXPECT_EQ(snnl_kernel(s, false), SnnlKernel::tensor);
    }
    EXPECT_EQ(snnl_kernel(shape(3, 16, 4), true), SnnlKernel::tensor);
    SnnlShape euclidean = shape(1024, 512, 7), cold = euclidean;
    euclidean.distance = SnnlShape::Distance::euclidean;
    cold.temperature = 0.01;
    EXPECT_EQ(snnl_kernel(euclidean, true), SnnlKernel::differences);
    EXPECT_EQ(snnl_kernel(cold, true), SnnlKernel::tensor);
    SnnlShape part = shape(1024, 8, 7);  // a part of the channels is summed by the kernel of the whole
    part.of_channels = 512;
    EXPECT_EQ(snnl_kernel(part, true), snnl_kernel(shape(1024, 512, 7), true));
}

TEST_F(SnnlPlan, AForcedKernelThatCannotDoItIsNamed) {
    snnl_forced() = {.kernel = SnnlKernel::wgmma};
    EXPECT_EQ(snnl_kernel(shape(3, 16, 4), true), SnnlKernel::wgmma);
    SnnlShape cold = shape(64, 8, 4);
    cold.temperature = 0.01;
    expect_error(
        Exit::usage, [&] { snnl_kernel(cold, true); }, "snnl", "wgmma");
    expect_error(
        Exit::usage, [&] { snnl_kernel(shape(64, 8, 4), false); }, "snnl", "wgmma");
    snnl_forced() = {.kernel = SnnlKernel::tensor};
    EXPECT_EQ(snnl_kernel(shape(1024, 512, 7), true), SnnlKernel::tensor);
}

// What snnl_sums.cu and snnl_sums_sm90a.cu quote.
TEST_F(SnnlPlan, ExpectedTimesOfTheHeads) {
    const auto milliseconds = [](const SnnlShape& s, SnnlKernel kernel) {
        return 1e3 * snnl_cost(kDevice, s, kernel, 4).seconds();
    };
    EXPECT_NEAR(milliseconds(shape(1024, 512, 7), SnnlKernel::tensor), 0.84, 0.01);
    EXPECT_NEAR(milliseconds(shape(128, 512, 7), SnnlKernel::wgmma), 0.016, 0.001);
    EXPECT_NEAR(milliseconds(shape(1024, 512, 7), SnnlKernel::wgmma), 0.23, 0.01);
    EXPECT_NEAR(milliseconds(shape(4096, 256, 14), SnnlKernel::wgmma), 4.2, 0.1);
    EXPECT_NEAR(milliseconds(shape(10000, 64, 56), SnnlKernel::wgmma), 101, 1);
}

}  // namespace
}  // namespace fp
