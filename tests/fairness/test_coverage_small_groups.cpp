// Simulated truth where figures are few or lifted by noise: differences of ECE, and five groups of which two are tiny. In
// the large: bench/experiments/simulate, part C. Bounds as in test_coverage.cpp: a right interval of 95 % covers in fewer
// than 32 of 40 draws in 1 of 5,000 seeds.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/fairness/compare.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"
#include "tests/fairness/truth.h"

namespace fp {
namespace {

using testing::Population;
using testing::Sample;

constexpr int kDraws = 40, kResamples = 100;
constexpr double kLeast = .8;

EvaluateOptions options_of(int draw) { return {.resamples = kResamples, .seed = uint64_t(draw), .threads = 1}; }
bool covers(double low, double truth, double high) { return low <= truth + 1e-12 && truth <= high + 1e-12; }

TEST(CoverageOfEce, TheIntervalOfTheDifferenceHoldsIt) {
    for (const auto& [tpr, other] : {std::pair{.79, .79}, {.88, .70}}) {
        const Population population =
            testing::two_of(testing::kSexMix, {testing::fair(tpr, 2), testing::fair(other, 2)});
        const Sample large = draw_lesions(population, 20000, 7, true);
        const double truth = tpr == other ? 0 : testing::ece_of({large, 0}) - testing::ece_of({large, 1});
        double covered = 0, off = 0;
        for (int draw = 0; draw < kDraws; ++draw) {
            const Sample sample = draw_lesions(population, 500, 6000 + uint64_t(draw), true);
            const Comparison c =
                compare(testing::predictions_of(sample, 0), testing::predictions_of(sample, 1), {}, options_of(draw));
            const Difference& ece = *std::ranges::find(c.metrics, "ece", &Difference::key);
            covered += double(covers(ece.low, truth, ece.high)) / kDraws;
            off += (ece.value - truth) / kDraws;
        }
        EXPECT_GE(covered, kLeast) << tpr << " and " << other;
        EXPECT_NEAR(off, 0, .03) << tpr << " and " << other;
    }
}

TEST(CoverageOfTinyGroups, TheirIntervalsAndThatOfTheGapHoldTheTruth) {
    const Population population = testing::by_site({testing::with_gap(.79, .1, 5), testing::with_gap(.79, .2, 5)});
    const Sample large = draw_lesions(population, 100000, 7);
    const auto first = testing::known_rates_of_groups(population, large, 0),
               second = testing::known_rates_of_groups(population, large, 1);
    std::map<std::string, double> covered;
    double worst = 1;
    for (int g = 0; g < 5; ++g) worst = std::min(worst, testing::accuracy_of_group(population, g, 0));
    for (int draw = 0; draw < kDraws; ++draw) {
        const Sample sample = draw_lesions(population, 1000, 7000 + uint64_t(draw));
        EvaluateOptions options = options_of(draw);
        options.min_group_size = 2;
        const Predictions ours = testing::predictions_of(sample, 0), theirs = testing::predictions_of(sample, 1);
        const AttributeReport sites = evaluate(ours, {"group"}, options).attributes[0];
        const auto count = [&](const std::string& what, double low, double truth, double high) {
            covered[what] += double(covers(low, truth, high)) / kDraws;
        };
        for (int g = 0; g < 5; ++g) {
            const std::string name(1, char('a' + g));
            const Measure& m = sites.group(name).metric("accuracy");
            count("accuracy of " + name, m.low, testing::accuracy_of_group(population, g, 0), m.high);
        }
        const Measure& w =
            std::ranges::find(sites.worst, "accuracy", [](const WorstGroup& v) { return v.measure.key; })->measure;
        count("worst group's accuracy", w.low, worst, w.high);
        const double square = testing::primary_square_of(first, sample);
        count("primary gap", sites.primary.low, std::sqrt(square), sites.primary.high);
        const PrimaryDifference d = compare(ours, theirs, {"group"}, options).attributes[0].primary;
        count("its difference", d.low, square - testing::primary_square_of(second, sample), d.high);
    }
    EXPECT_EQ(covered.size(), 8u);
    for (const auto& [what, share] : covered) EXPECT_GE(share, kLeast) << what;
}

}  // namespace
}  // namespace fp
