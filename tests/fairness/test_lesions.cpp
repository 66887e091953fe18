// The simulation itself: it has the rates that it was asked for, and a second program for every figure.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/fairness/evaluate.h"
#include "tests/fairness/scenarios.h"
#include "tests/fairness/simulate.h"
#include "tests/fairness/truth.h"

namespace fp {
namespace {

using testing::Sample;

// Rates of groups and classes, the shares of both, and where misses go.
TEST(Lesions, HaveTheRatesAskedFor) {
    testing::Population population = testing::two_of(testing::kAgeMix, {testing::with_gap(.79, .2, 2)});
    population.models.push_back(testing::drifting(2));
    const Sample sample = draw_lesions(population, 40000, 3);
    const auto lesions = testing::lesions_of(sample);
    for (int g = 0; g < 2; ++g) {
        const double n = std::accumulate(lesions[size_t(g)].begin(), lesions[size_t(g)].end(), 0.0);
        EXPECT_NEAR(n / 40000, .5, .01);
        for (size_t m : {0, 1}) {
            const testing::TrueRates rates = testing::rates_of({sample, m, g});
            double accuracy = 0;
            for (size_t c = 0; c < 8; ++c) {
                const double share = population.mix[size_t(g)][c], tpr = population.models[m].tpr[size_t(g)][c];
                accuracy += share * tpr;
                EXPECT_NEAR(lesions[size_t(g)][c] / n, share, .01);
                // Images of a lesion err together: twice the binomial variance over lesions, three standard errors.
                EXPECT_NEAR(rates.tpr[c], tpr, 3 * std::sqrt(2 * tpr * (1 - tpr) / lesions[size_t(g)][c]) + .002);
            }
            EXPECT_NEAR(rates.accuracy, accuracy, .015);
        }
    }
    // 70 % of the drifting model's misses, and what it takes for the majority as other classes do.
    double misses = 0, majority = 0;
    for (size_t i = 0; i < sample.size(); ++i) {
        if (sample.truth[i] == 1 || sample.models[1].pred[i] == sample.truth[i]) continue;
        ++misses;
        majority += sample.models[1].pred[i] == 1;
    }
    EXPECT_GT(majority / misses, .7);
    EXPECT_LT(majority / misses, .85);
}

// Models err on the same images, and images of a lesion together.
TEST(Lesions, ErrTogether) {
    const Sample sample =
        draw_lesions(testing::two_of(testing::kSexMix, {testing::fair(.7, 2), testing::fair(.7, 2)}), 20000, 4);
    double both = 0, first = 0, second = 0, pairs = 0, alike = 0;
    const auto hit = [&](size_t m, size_t i) { return sample.models[m].pred[i] == sample.truth[i]; };
    for (size_t i = 0; i < sample.size(); ++i) {
        both += hit(0, i) && hit(1, i);
        first += hit(0, i);
        second += hit(1, i);
        if (i == 0 || sample.lesion[i] != sample.lesion[i - 1]) continue;
        ++pairs;
        alike += hit(0, i) == hit(0, i - 1);
    }
    const double n = double(sample.size());
    EXPECT_GT(both / n, first / n * second / n + .05);
    EXPECT_GT(alike / pairs, .7 * .7 + .3 * .3 + .08);
}

// The engine's figures of a sample are those of the other program.
TEST(Lesions, TheEngineComputesTheSame) {
    const Sample sample =
        draw_lesions(testing::two_of(testing::kAgeMix, {testing::with_gap(.79, .2, 2)}), 1500, 5, true);
    const Report report = evaluate(testing::predictions_of(sample), {"group"}, {.resamples = 0});
    const auto same = [&](const std::vector<Measure>& metrics, const testing::View& view) {
        const testing::TrueRates rates = testing::rates_of(view);
        const std::map<std::string, double> expected{{"accuracy", rates.accuracy},
                                                     {"balanced_accuracy", testing::mean_of(rates.tpr)},
                                                     {"macro_f1", testing::mean_of(rates.f1)},
                                                     {"macro_auc", testing::macro_auc_of(view)},
                                                     {"ece", testing::ece_of(view)}};
        for (const auto& [key, value] : expected)
            EXPECT_NEAR(std::ranges::find(metrics, key, &Measure::key)->value, value, 1e-12) << key;
    };
    same(report.metrics, {sample});
    const AttributeReport& groups = report.attributes[0];
    for (int g = 0; g < 2; ++g) {
        const GroupReport& group = groups.groups[size_t(g)];
        same(group.metrics, {sample, 0, g});
        const testing::TrueRates rates = testing::rates_of({sample, 0, g});
        for (size_t c = 0; c < 8; ++c) {
            EXPECT_NEAR(group.classes[c].tpr.value, rates.tpr[c], 1e-12);
            EXPECT_NEAR(group.classes[c].fpr.value, rates.fpr[c], 1e-12);
        }
    }
    EXPECT_NEAR(groups.gap("eodd").value, testing::eodd_of(sample, 0, 0, 1), 1e-12);
}

}  // namespace
}  // namespace fp
