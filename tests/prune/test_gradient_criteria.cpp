// Each criterion of gradients against the loss moved by finite differences.
#include "engine/prune/criteria/gradient_criteria.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/expect_error.h"
#include "tests/prune/criteria_bench.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::kResNet;
using testing::kVgg;
using Bench = testing::CriteriaBench;

ScoreOptions in_batches_of(int size) { return {.seed = 3, .predict = {.batch_size = size, .workers = 1}}; }

// Taylor: the squared slope of the loss when the channel's gate is scaled, per batch.
TEST(GradientCriteria, TaylorIsTheSquaredSlopeOfTheGate) {
    const std::vector<int64_t> samples{0, 2, 5, 7};
    {
        Bench b(kResNet);
        Session session(*b.net);
        const auto values = taylor_values(b.scoring(session, in_batches_of(2), samples));
        for (int c = 0; c < 2; ++c) {
            double want = 0;
            for (const std::vector<int64_t>& batch : {std::vector<int64_t>{0, 2}, {5, 7}})
                for (const char* norm : {"layer2.0.bn2", "layer2.0.downsample.1", "layer2.1.bn2"}) {
                    const double s =
                        b.slope_of_scaling(batch, {std::string(norm) + ".weight", std::string(norm) + ".bias"}, c);
                    want += s * s / 2;
                }
            EXPECT_NEAR(values.at("layer2.1.conv2")[c], want, 1e-6 * want) << c;
        }
    }
    Bench b(kVgg);
    Session session(*b.net);
    const auto values = taylor_values(b.scoring(session, in_batches_of(4), samples));
    const double s = b.slope_of_scaling(samples, {"features.3.weight", "features.3.bias"}, 1);
    EXPECT_NEAR(values.at("features.3")[1], s * s, 1e-6 * s * s);
}

Grouping halves(const Bench& b) {
    Grouping g{.name = "side", .groups = {"left", "right"}, .of = {}};
    for (size_t i = 0; i < b.images.set.samples.size(); ++i) g.of.push_back(int(i % 2));
    return g;
}

TEST(GradientCriteria, FairPruneIsTheDifferenceOfTheGroupsCurvature) {
    Bench b(kResNet);
    Session session(*b.net);
    const std::vector<int64_t> samples{0, 1, 2, 3, 4};
    std::string chosen;
    // One sample per batch: no random sign matters.
    const ScoreOptions one_by_one = in_batches_of(1);
    const Scoring from = b.scoring(session, one_by_one, samples);
    const auto values = fairprune_values(from, halves(b), {.beta = 0.5, .protected_group = "right"}, chosen);
    EXPECT_EQ(chosen, "right");
    const ChannelSet& set = set_of(b.sets, "layer1.0.conv1");
    double want = 0;
    for (const int64_t s : {1, 3}) want += 0.5 * b.sum_of_squares({s}, set, 1) / 2;
    for (const int64_t s : {0, 2, 4}) want -= 0.5 * 0.5 * b.sum_of_squares({s}, set, 1) / 3;
    EXPECT_NEAR(values.at(set.name())[1], want, 1e-5 * std::abs(want));

    fairprune_values(from, halves(b), {.beta = 0.5}, chosen);
    EXPECT_EQ(chosen, b.loss({0, 2, 4}) > b.loss({1, 3}) ? "left" : "right");
    expect_error(
        Exit::usage, [&] { fairprune_values(from, halves(b), {.beta = 0.5, .protected_group = "middle"}, chosen); },
        "middle", "side");
}

TEST(GradientCriteria, SignedBatchesEstimateTheSamplesSquares) {
    Bench b(kResNet);
    Session session(*b.net);
    const std::vector<int64_t> samples{0, 1};
    const Param& p = *b.net->params.find("layer4.1.bn2.weight");
    const auto squares = [&](int batch_size, SampleSigns signs, uint64_t seed) {
        double sum = 0;
        const PredictOptions predict{.batch_size = batch_size, .workers = 1};
        for_each_gradient({session, b.preprocessing, b.images, samples, predict}, signs, seed, [&](int64_t n) {
            for (const double g : b.net->params.get_grad(p)) sum += double(n) * double(n) * g * g / 2;
        });
        return sum;
    };
    const double exact = squares(1, SampleSigns::alike, 0);
    // Two samples have equal signs or different ones, equally often: the mean of both estimates is exact.
    const double first = squares(2, SampleSigns::signed_samples, 0);
    double second = first;
    for (uint64_t seed = 1; std::abs(second - first) < 1e-9 * exact && seed < 50; ++seed)
        second = squares(2, SampleSigns::signed_samples, seed);
    EXPECT_NE(first, second);
    EXPECT_NEAR((first + second) / 2, exact, 1e-9 * exact);
}

TEST(GradientCriteria, FairGrapeKeepsTheUnitOfTheGroupFurthestBelowItsShare) {
    // Shares: 0.6 and 0.4. First the best of group 0 (channel 0: 5, 0); now all kept is group 0's, so the best
    // of group 1 (channel 2: 0, 3); kept 5 : 3, group 0 has 0.625 of 0.6, so group 1's next (channel 3: 0, 1);
    // kept 5 : 4, then channel 1 alone is left.
    EXPECT_EQ(fairgrape_order({{5, 1, 0, 0}, {0, 0, 3, 1}}), (std::vector<int>{0, 2, 3, 1}));
    EXPECT_EQ(fairgrape_order({{0, 0}, {0, 0}}), (std::vector<int>{0, 1}));
}

TEST(GradientCriteria, FairGrapeImportanceComesFromTheGroupsOwnBatches) {
    Bench b(kResNet);
    Session session(*b.net);
    const std::vector<int64_t> samples{0, 1, 2, 3};
    const auto values = fairgrape_values(b.scoring(session, in_batches_of(2), samples), halves(b));
    const ChannelSet& set = set_of(b.sets, "layer1.0.conv1");
    std::vector<std::vector<double>> importance(2);
    for (int c = 0; c < set.channels; ++c) {
        importance[0].push_back(b.sum_of_squares({0, 2}, set, c));
        importance[1].push_back(b.sum_of_squares({1, 3}, set, c));
    }
    const auto order = fairgrape_order(importance);
    for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(values.at(set.name())[order[i]], double(order.size() - i));
}

}  // namespace
}  // namespace fp
