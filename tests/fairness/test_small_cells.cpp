// Intervals of figures of few lesions. FP_COVERAGE_DRAWS=400 prints the tables of docs/method.md, 10.
#include "engine/fairness/small_cells.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "engine/fairness/gap_report.h"
#include "engine/fairness/macro_resamples.h"
#include "engine/fairness/metric_intervals.h"
#include "tests/fairness/simulate.h"

namespace fp {
namespace {

using testing::simulate;
using testing::SimulatedGroup;
using testing::Stream;

struct Draws {
    int count;
    bool shown;
};
Draws draws(int least) {
    const char* given = std::getenv("FP_COVERAGE_DRAWS");
    return given ? Draws{std::atoi(given), true} : Draws{least, false};
}
bool holds(const Interval& i, double truth) { return i.low <= truth && truth <= i.high; }

// `hits` of `images` of class 0, the rest taken for class 1; one lesion for every `per_lesion` images.
Predictions of_class(int images, int hits, int per_lesion) {
    Predictions p = simulate({{{images, 0}, {1, 1}}}, 1);
    for (int i = 0; i < images; ++i) {
        p.pred[size_t(i)] = i < hits ? 0 : 1;
        p.unit[size_t(i)] = "l" + std::to_string(i / per_lesion);
    }
    return p;
}
Cell recall(const Predictions& p) { return cells_of(p, whole(p))[0].tpr[0]; }

TEST(SmallCells, WilsonByHand) {
    // statsmodels: proportion_confint(8, 10, method="wilson") and (10, 10)
    const Cell eight = recall(of_class(10, 8, 1));
    EXPECT_EQ(eight.units, 10);
    EXPECT_NEAR(eight.effective, 10, 1e-12);  // an image a lesion: no fewer
    const Cell all = recall(of_class(10, 10, 1));
    EXPECT_EQ(all.effective, 10);
    EXPECT_NEAR(all.interval(.95).low, 0.7224672, 1e-6);
    EXPECT_DOUBLE_EQ(all.interval(.95).high, 1);
    const Cell ten{.units = 10, .cases = 10, .hits = 8, .effective = 10};
    EXPECT_NEAR(ten.interval(.95).low, 0.4901625, 1e-6);
    EXPECT_NEAR(ten.interval(.95).high, 0.9433178, 1e-6);
    EXPECT_TRUE(std::isnan(Cell{}.interval(.95).low));
}

TEST(SmallCells, ImagesOfOneLesionThatAgreeCountOnce) {
    EXPECT_EQ(recall(of_class(24, 24, 3)).effective, 8);
    EXPECT_NEAR(recall(of_class(24, 12, 3)).effective, 8, 1e-9);
    // Two images a lesion, of which one is always right: each lesion is the same, so images count.
    Predictions p = of_class(20, 20, 2);
    for (size_t i = 0; i < 20; i += 2) p.pred[i] = 1;
    EXPECT_EQ(recall(p).effective, 10) << "no variance at all says nothing";
    p.pred[0] = 0;
    EXPECT_EQ(recall(p).effective, 20);
}

TEST(SmallCells, EveryCellOfAGroup) {
    Predictions p = simulate({{{6, 4}, {1, 1}}, {{5, 0}, {1, 1}}}, 1);
    p.pred[0] = 1;
    p.unit[1] = p.unit[0];
    const GroupCells a = cells_of(p, by_attribute(p, "sex", 1))[0], b = cells_of(p, by_attribute(p, "sex", 1))[1];
    EXPECT_EQ(a.accuracy.units, 9);
    EXPECT_EQ(a.accuracy.cases, 10);
    EXPECT_EQ(a.accuracy.hits, 9);
    EXPECT_EQ(a.tpr[0].units, 5);
    EXPECT_EQ(a.tpr[0].hits, 5);
    EXPECT_EQ(a.fpr[1].units, 5);
    EXPECT_EQ(a.fpr[1].cases, 6);
    EXPECT_EQ(a.fpr[1].hits, 1);
    EXPECT_EQ(a.selected[1].units, 9);
    EXPECT_EQ(a.selected[1].hits, 5);
    EXPECT_EQ(b.tpr[1].cases, 0);
    EXPECT_EQ(b.fpr[0].units, 0);
    EXPECT_EQ(b.fpr[1].cases, 5);
    EXPECT_TRUE(a.accuracy.small());
}

TEST(SmallCells, ManyOfBothOutcomesAreLeftToTheBootstrap) {
    EXPECT_TRUE(recall(of_class(19, 10, 1)).small());
    EXPECT_FALSE(recall(of_class(30, 20, 1)).small());
    EXPECT_TRUE(recall(of_class(100, 98, 1)).small());  // two misses
}

double normal(Stream& stream) {
    return std::sqrt(-2 * std::log(1 - stream.next())) * std::cos(2 * M_PI * stream.next());
}

// Lesions of one to three images that agree in part; the rate at which an image is recognised is .8 or .95.
TEST(SmallCellsCoverage, RecallOfFewLesions) {
    const Draws d = draws(100);
    if (d.shown) fmt::print("{:>6}{:>9}{:>11}{:>8}\n", "rate", "lesions", "bootstrap", "cells");
    for (const double rate : {.8, .95})
        for (const int lesions : {4, 8, 15, 30}) {
            int naive = 0, covered = 0;
            Stream stream(uint64_t(100 * rate + lesions));
            const double bound = rate == .8 ? .841621 : 1.644854;
            for (int draw = 0; draw < d.count; ++draw) {
                Predictions p = of_class(3 * lesions, 0, 1);
                std::vector<int64_t> kept;
                for (int l = 0; l < lesions; ++l) {
                    const double own = normal(stream);
                    const int images = 1 + stream.below(3);
                    for (int i = 0; i < images; ++i) {
                        const size_t row = size_t(3 * l + i);
                        p.pred[row] = std::sqrt(.5) * (own + normal(stream)) < bound ? 0 : 1;
                        p.unit[row] = "l" + std::to_string(l);
                        kept.push_back(int64_t(row));
                    }
                }
                p = rows_of(p, kept);
                const EvaluateOptions options{.resamples = 200, .seed = uint64_t(draw), .threads = 1};
                const Measure tpr = evaluate(p, {}, options).class_figures[0].tpr;
                covered += holds({tpr.low, tpr.high}, rate);
                const Scored scored = score_cohort(Scorer(p), whole(p), options, MetricSet::counts);
                naive += holds(percentile_interval(scored.resampled.column(scored.seen.layout.tpr(0, 0)), .95), rate);
            }
            const double n = d.count;
            if (d.shown) fmt::print("{:6.2f}{:9}{:11.3f}{:8.3f}\n", rate, lesions, naive / n, covered / n);
            EXPECT_GE(covered / n, .87) << rate << " " << lesions;
            if (lesions == 4) {
                EXPECT_LT(naive / n, .85);
            }
        }
}

// Balanced accuracy and macro F1 of 120 lesions in eight classes, of which the smallest have three.
TEST(SmallCellsCoverage, MeansOverClasses) {
    const Draws d = draws(60);
    if (d.shown)
        fmt::print("{:>6}{:>18}{:>22}{:>10}{:>10}\n", "rate", "balanced: before", "after", "F1: before", "after");
    const std::vector<int> images{22, 54, 14, 6, 14, 3, 3, 4};
    const SimulatedGroup hard{images, {.75, .9, .8, .6, .7, .6, .8, .6}},
        easy{images, {.93, .93, .93, .93, .93, .93, .93, .93}};
    for (const SimulatedGroup& group : {hard, easy}) {
        SimulatedGroup many = group;  // the truth, as good as exactly
        for (int& n : many.images) n *= 2000;
        const Predictions large = simulate({many}, 1);
        const auto truth = count_metrics(tally(confusion(large)));
        int before[2] = {0, 0}, after[2] = {0, 0};
        for (int draw = 0; draw < d.count; ++draw) {
            const Predictions p = simulate({group}, 300 + uint64_t(draw));
            const EvaluateOptions options{.resamples = 200, .seed = uint64_t(draw), .threads = 1};
            const Cohort all = whole(p);
            const Scored scored = score_cohort(Scorer(p), all, options, MetricSet::counts);
            const MacroResamples macro(p, all, options);
            for (const int i : {0, 1}) {
                const int metric = i == 0 ? kBalancedAccuracy : kMacroF1;
                before[i] += holds(percentile_interval(scored.resampled.column(metric), .95), truth[size_t(metric)]);
                after[i] += holds(percentile_interval(macro.of(0, metric), .95), truth[size_t(metric)]);
            }
        }
        const double n = d.count;
        if (d.shown)
            fmt::print("{:6.2f}{:18.3f}{:22.3f}{:10.3f}{:10.3f}\n", group.tpr[0], before[0] / n, after[0] / n,
                       before[1] / n, after[1] / n);
        EXPECT_GE(after[0] / n, .85);
        EXPECT_GE(after[1] / n, .85);
    }
}

// Equal groups: whichever is seen worst, its own interval lies too low.
TEST(SmallCellsCoverage, TheWorstGroupsAccuracy) {
    const Draws d = draws(100);
    if (d.shown) fmt::print("{:>7}{:>8}{:>20}{:>10}\n", "groups", "images", "of the group seen", "of worst");
    for (const int images : {60, 250})
        for (const int groups : {2, 3, 5}) {
            int seen = 0, covered = 0;
            for (int draw = 0; draw < d.count; ++draw) {
                const std::vector<SimulatedGroup> alike(size_t(groups), {{images, images}, {.8, .8}});
                const Predictions p = simulate(alike, uint64_t(groups * 100'000 + draw));
                const Report r = evaluate(p, {"sex"}, {.resamples = 400, .seed = uint64_t(draw), .threads = 1});
                const AttributeReport& sex = r.attribute("sex");
                const Measure &worst = sex.worst[0].measure, &own = sex.group(sex.worst[0].group).metric("accuracy");
                covered += holds({worst.low, worst.high}, .8);
                seen += holds({own.low, own.high}, .8);
            }
            const double n = d.count;
            if (d.shown) fmt::print("{:7}{:8}{:20.3f}{:10.3f}\n", groups, 2 * images, seen / n, covered / n);
            EXPECT_GE(covered / n, .9) << groups;
        }
}

// Five groups of which two are tiny.
TEST(SmallCellsCoverage, AccuracyOfTinyGroups) {
    const Draws d = draws(60);
    int before = 0, after = 0, of = 0;
    for (int draw = 0; draw < d.count; ++draw) {
        std::vector<SimulatedGroup> groups;
        for (const int n : {200, 100, 50, 8, 6}) groups.push_back({{n, n}, {.9, .9}});
        const Predictions p = simulate(groups, 900 + uint64_t(draw));
        const EvaluateOptions options{.resamples = 200, .seed = uint64_t(draw), .threads = 1};
        const Report r = evaluate(p, {"sex"}, options);
        const Cohort cohort = by_attribute(p, "sex", 10);
        const Scored scored = score_cohort(Scorer(p), cohort, options, MetricSet::counts);
        for (int g = 0; g < 5; ++g, ++of) {
            const Measure& m = r.attribute("sex").groups[size_t(g)].metric("accuracy");
            after += holds({m.low, m.high}, .9);
            before +=
                holds(percentile_interval(scored.resampled.column(scored.seen.layout.metric(g, kAccuracy)), .95), .9);
        }
    }
    if (d.shown) fmt::print("five groups: bootstrap {:.3f}, cells {:.3f}\n", double(before) / of, double(after) / of);
    EXPECT_GE(double(after) / of, .92);
    EXPECT_LT(before, after);
}

// Classes of one image that is not recognised: where a resample lacks one, or its added unit is recognised, the mean is
// higher.
TEST(SmallCells, TheIntervalOfAMeanOverClassesHoldsTheValue) {
    const Predictions p = simulate({{{40, 1, 1, 1, 1, 1}, {1, 0, 0, 0, 0, 0}}}, 3);
    const EvaluateOptions options{.resamples = 300, .threads = 1};
    const Scored scored = score_cohort(Scorer(p), whole(p), options, MetricSet::counts);
    const Interval bare = percentile_interval(MacroResamples(p, whole(p), options).of(0, kBalancedAccuracy), .95),
                   given = MetricIntervals(p, whole(p), scored, options).of(0, kBalancedAccuracy, .95);
    EXPECT_GT(bare.low, 1. / 6 + .01);
    EXPECT_DOUBLE_EQ(given.low, 1. / 6);
    EXPECT_EQ(given.high, bare.high);
}

TEST(SmallCells, WithManyUnitsPerClassMacroResamplesAreTheBootstrap) {
    const Predictions p = simulate({{{900, 900}, {.8, .7}}}, 3);
    const EvaluateOptions options{.resamples = 300, .threads = 1};
    const Scored scored = score_cohort(Scorer(p), whole(p), options, MetricSet::counts);
    const Interval usual = percentile_interval(scored.resampled.column(kBalancedAccuracy), .95),
                   macro = percentile_interval(MacroResamples(p, whole(p), options).of(0, kBalancedAccuracy), .95);
    EXPECT_NEAR(usual.low, macro.low, .002);
    EXPECT_NEAR(usual.high, macro.high, .002);
}

}  // namespace
}  // namespace fp
