// The plan of a search, its rule of choice, and what follows from its runs.
#include "engine/prune/sweep.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>

#include "engine/fairness/primary_gap.h"
#include "engine/prune/scan.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;

std::vector<std::string> names(const std::vector<SweepPoint>& points) {
    std::vector<std::string> out;
    for (const SweepPoint& p : points) out.push_back(p.name);
    return out;
}

TEST(Sweep, EveryCriterionWithEveryAmountAndTheControlsOfEach) {
    const auto points = sweep_points(
        {.base = {}, .criterion = "snnl+given-class,l1", .amount = "5,10%", .sweep = true, .controls = true});
    EXPECT_THAT(names(points), ElementsAre("dense, tuned alike", "random 5, tuned alike", "snnl+given-class 5", "l1 5",
                                           "random 10%, tuned alike", "snnl+given-class 10%", "l1 10%"));
    EXPECT_TRUE(points[0].control && points[1].control && !points[2].control);
    EXPECT_EQ(std::string(points[0].settings.score.criterion), "none");
    EXPECT_EQ(std::string(points[2].settings.score.criterion), "snnl");
    EXPECT_TRUE(points[2].settings.score.snnl.given_class);
    EXPECT_FALSE(points[3].settings.score.snnl.given_class);
    EXPECT_EQ(to_string(points[5].settings.choose.amount), "10%");
}

TEST(Sweep, PointsAreComparedAtEqualAmounts) {
    const auto round_to = [](SweepSettings s) { return sweep_points(s).at(0).settings.choose.round_to; };
    EXPECT_EQ(round_to({.base = {}, .amount = "10%"}), std::nullopt);
    EXPECT_EQ(round_to({.base = {}, .amount = "10%", .sweep = true}), 1);
    EXPECT_EQ(round_to({.base = {}, .amount = "10%", .controls = true}), 1);
    EXPECT_EQ(round_to({.base = {.choose = {.round_to = 16}}, .amount = "10%", .sweep = true}), 16);
}

TEST(Sweep, WithoutSweepThereIsOnePointAndItsControls) {
    EXPECT_THAT(names(sweep_points({.base = {}, .seeds = 3})), ElementsAre("snnl 5"));
    EXPECT_THAT(names(sweep_points({.base = {}, .controls = true})),
                ElementsAre("dense, tuned alike", "random 5, tuned alike", "snnl 5"));
}

TEST(Sweep, EachRunIsMadeOnce) {
    EXPECT_THAT(
        names(sweep_points(
            {.base = {}, .criterion = "random,none,l1", .amount = "5,10%", .sweep = true, .controls = true})),
        ElementsAre("dense, tuned alike", "random 5, tuned alike", "l1 5", "random 10%, tuned alike", "l1 10%"));
    EXPECT_THAT(names(sweep_points({.base = {}, .criterion = "random,none", .amount = "5,10%", .sweep = true})),
                ElementsAre("random 5", "none 5", "random 10%"));
    expect_error(
        Exit::usage, [] { sweep_points({.base = {}, .criterion = "random", .controls = true}); }, "--criterion random",
        "another");
}

TEST(Sweep, WhatCannotBePlannedIsRefused) {
    const auto refused = [](const char* criterion, const char* amount, const auto&... words) {
        expect_error(
            Exit::usage, [&] { sweep_points({.base = {}, .criterion = criterion, .amount = amount, .sweep = true}); },
            words...);
    };
    refused("l1,l1", "5", "l1 5", "twice");
    refused("l1,,l2", "5", "--criterion", "empty");
    refused("snnl+loud", "5", "`loud` is not one of exact, as-released", "learn=");
    refused("snnl+", "5", "empty");
    refused("snnl+protect=x", "5", "protect=x: is not a number");
    refused("snnl+protect=inf", "5", "protect=inf: is not a number");
    refused("snnl+samples=2.5", "5", "is not a whole number");
    refused("snnl+temperature=0", "5", "is not above 0");
    refused("l1", "5,half", "half");
}

TEST(Sweep, FoldersTellPointsApart) {
    EXPECT_EQ(run_path({.name = "snnl+given-class 10%"}, 2), "runs/snnl+given-class-10pct-seed2");
    EXPECT_EQ(run_path({.name = "dense, tuned alike"}, 1), "runs/dense-tuned-alike-seed1");
    EXPECT_NE(run_path({.name = "l1 macs:60%"}, 1), run_path({.name = "l1 params:60%"}, 1));
}

TEST(Sweep, CriteriaTakeSettings) {
    const PruneSettings p = with_criterion({}, "snnl+as-released+centre+protect=0.5+mask");
    EXPECT_EQ(p.score.snnl.definition, SnnlShape::Definition::as_released);
    EXPECT_TRUE(p.score.snnl.centred && p.mask);
    EXPECT_EQ(p.score.protect, 0.5);
}

TEST(Sweep, TheBestMeanObjectiveWithinTheDropIsChosenAndNoControl) {
    const double kNaN = std::nan("");
    const std::vector<SweepFigures> points{{.control = true, .accuracy = {0.9, 0.9}, .objective = {0, 0}},
                                           {.accuracy = {0.8, 0.9}, .objective = {-0.2, -0.1}},   // mean -0.15
                                           {.accuracy = {0.9, 0.9}, .objective = {-0.3, -0.02}},  // mean -0.16
                                           {.accuracy = {0.5, 0.9}, .objective = {0, 0}},         // too far below
                                           {.accuracy = {0.9, 0.9}, .objective = {kNaN, kNaN}}};
    EXPECT_EQ(select_point(points, 0.84), 1);
    EXPECT_EQ(select_point(points, 0.88), 2);
    EXPECT_EQ(select_point(points, 0.6), 3);
    EXPECT_EQ(select_point({points[0], points[4]}, 0), -1);
}

TEST(Sweep, AModelThatKnowsNothingIsNotChosenForItsSmallGap) {
    const double chance = 0.25;
    EXPECT_NEAR(least_accuracy(0.9, 4, 0.05), 0.85, 1e-12);
    EXPECT_NEAR(least_accuracy(0.9, 4, 1), 0.575, 1e-12);    // half of what is above chance
    EXPECT_NEAR(least_accuracy(0.3, 4, 0.1), 0.275, 1e-12);  // --max-drop alone would admit 0.2
    // Three points of a dense model at 0.28: constant, nearly so, and one that still knows as much.
    const std::vector<SweepFigures> points{{.accuracy = {chance}, .objective = {0}},
                                           {.accuracy = {0.26}, .objective = {-0.01}},
                                           {.accuracy = {0.27}, .objective = {-0.1}}};
    EXPECT_EQ(select_point(points, 0.28 - 0.05), 0);  // what --max-drop alone would do
    EXPECT_EQ(select_point(points, least_accuracy(0.28, 4, 0.05)), 2);
    for (const double dense : {chance, 0.2})  // nothing to keep: nothing is chosen
        EXPECT_EQ(select_point(points, least_accuracy(dense, 4, 1)), -1);
    EXPECT_THAT(selection_rule("rms:sex", 0.05, 3), HasSubstr("half as far above chance"));
    EXPECT_THAT(selection_rule("rms:sex", 0.05, 3), HasSubstr("by means over 3 tunings of one network, "));
}

// Two seeds of a point whose test figures are given; `gaps` are rms^2.
SweptPoint swept(const SweepPoint& point, double accuracy, const std::vector<double>& gaps, double shown = .1) {
    SweptPoint out{.point = point, .runs = {}};
    for (size_t i = 0; i < gaps.size(); ++i) {
        SweepRun& run = out.runs.emplace_back();
        run.seed = i;
        Round& round = run.result.rounds.emplace_back();
        round.val.metrics = {{.key = "balanced_accuracy", .value = accuracy}};
        round.objective = {.by = "rms:sex", .value = -gaps[i]};
        run.figures =
            TestFigures{.balanced_accuracy = accuracy,
                        .gaps = {{.attribute = "sex", .rms_squared = gaps[i], .fair_high = .03, .shown = shown},
                                 {.attribute = "age", .rms_squared = .1}}};
    }
    return out;
}

// Controls at gaps near .3, and a point near .11, over three tunings.
SweepResult three_tunings() {
    const auto points = sweep_points({.base = {}, .criterion = "l1", .controls = true});  // dense, random, l1
    SweepResult r;
    r.attributes = {"sex"};
    r.tunings = 3;
    r.points.push_back(swept(points[0], 0.8, {0.30, 0.32, 0.31}));
    r.points.push_back(swept(points[1], 0.7, {0.30, 0.33, 0.31}));
    r.points.push_back(swept(points[2], 0.8, {0.10, 0.11, 0.12}));
    r.selected = 2;
    return r;
}

TEST(Sweep, APointIsComparedWithTheControlsOfItsAmountSeedBySeed) {
    SweepResult r = three_tunings();
    summarize_points(r);
    EXPECT_TRUE(r.points[0].against.empty() && r.points[1].against.empty());
    ASSERT_EQ(r.points[2].against.size(), 2u);
    const AgainstControl &dense = r.points[2].against[0], &random = r.points[2].against[1];
    EXPECT_EQ(dense.control, kDenseControl);
    ASSERT_EQ(dense.gaps.size(), 1u);
    EXPECT_NEAR(dense.gaps[0].change.mean, -0.2, 1e-12);
    EXPECT_NEAR(random.balanced_accuracy.mean, 0.1, 1e-12);
    // Holm over two: the smaller p doubles, the larger one is at least that.
    const double p0 = dense.gaps[0].change.p, p1 = random.gaps[0].change.p;
    EXPECT_NEAR((p0 < p1 ? dense : random).gaps[0].p_holm, 2 * std::min(p0, p1), 1e-12);
    EXPECT_NEAR(r.points[2].test_gaps[0].rms_squared.mean, 0.11, 1e-12);
    EXPECT_EQ(r.points[2].test_gaps[0].fair_high, .03);
    EXPECT_TRUE(r.points[1].dominated);  // on validation less accurate, less fair, no faster
    EXPECT_FALSE(r.points[2].dominated);
}

// The same, with gaps by age that differ without a pattern.
SweepResult two_attributes(int selected) {
    SweepResult r = three_tunings();
    r.attributes = {"sex", "age"};
    r.selected = selected;
    for (size_t p = 0; p < 3; ++p)
        for (size_t i = 0; i < 3; ++i)
            r.points[p].runs[i].figures->gaps[1].rms_squared = .1 + .01 * double(i * i * (p + 1) % 5);
    summarize_points(r);
    return r;
}

TEST(Sweep, EveryAttributeIsComparedAndOnlyTheChosenPointIsTested) {
    const SweepResult chosen = two_attributes(2), none = two_attributes(-1);
    EXPECT_EQ(chosen.tests, 4);  // two attributes, two controls
    for (const AgainstControl& a : chosen.points[2].against) {
        ASSERT_EQ(a.gaps.size(), 2u);
        EXPECT_EQ(a.gaps[1].attribute, "age");
        for (const GapDifference& g : a.gaps) EXPECT_TRUE(g.tested());
    }
    EXPECT_EQ(none.tests, 0);
    for (const AgainstControl& a : none.points[2].against)
        for (const GapDifference& g : a.gaps) {
            EXPECT_FALSE(g.tested());
            EXPECT_TRUE(std::isnan(g.change.p));
            EXPECT_FALSE(std::isnan(g.change.low)) << "described";
        }
}

TEST(Sweep, SaysWhichChangeHolmLetsPassAndWhetherAFallCanReachIt) {
    SweepResult r = three_tunings();
    for (size_t i = 0; i < 3; ++i) r.points[2].runs[i].figures->gaps[0].rms_squared = .1 + .1 * double(i);
    summarize_points(r);
    EXPECT_NEAR(r.t_needed, 6.2053, 1e-3);  // of .025 two-sided, 2 degrees of freedom
    const GapDifference& g = r.points[2].against[0].gaps[0];
    EXPECT_NEAR(g.least_change, r.t_needed * g.change.sd / std::sqrt(3), 1e-12);
    EXPECT_FALSE(g.fall_can_pass());  // .36 or so is needed, and the control has .31
    SweepResult steady = three_tunings();
    summarize_points(steady);
    const GapDifference& passes = steady.points[2].against[0].gaps[0];
    EXPECT_TRUE(passes.fall_can_pass());
    EXPECT_EQ(passes.p_holm <= .05, std::abs(passes.change.mean) >= passes.least_change);
}

// Two classes, the first of a third; of ten images three are wrong, of men's of the first class fewer by the share `gap`.
Predictions two_groups(int images, double gap) {
    Predictions p;
    p.classes = {"a", "b"};
    p.columns = {"sex"};
    p.attributes.resize(1);
    for (int i = 0; i < images; ++i) {
        const int group = i % 2, label = i / 2 % 3 == 0 ? 0 : 1;
        const double wrong = group == 1 && label == 0 ? .3 - gap : .3;
        p.image.push_back(std::to_string(i));
        p.unit.push_back(std::to_string(i));
        p.label.push_back(label);
        p.pred.push_back(i / 4 % 10 < 10 * wrong ? 1 - label : label);
        p.split.emplace_back("test");
        p.attributes[0].push_back(group == 0 ? "female" : "male");
    }
    return p;
}

// One gap decides, and the one that is shown beside it does not: here it grows where the primary one shrinks.
TEST(Sweep, ThePrimaryGapIsTestedAndTheShownOneIsNot) {
    SweepResult r = three_tunings();
    for (SweptPoint& p : r.points)
        for (SweepRun& run : p.runs) run.figures->gaps[0].shown = p.point.control ? .01 : .9;
    summarize_points(r);
    const GapDifference& g = r.points[2].against[0].gaps[0];
    EXPECT_NEAR(g.change.mean, -0.2, 1e-12);
    EXPECT_LE(g.p_holm, .05);
    EXPECT_NEAR(r.points[2].test_gaps[0].shown, .9, 1e-12);
}

TEST(Sweep, TestFiguresAreThoseOfThePrimaryGap) {
    const Predictions p = two_groups(300, .3);
    const TestFigures figures = test_figures(p, {"sex"});
    const AttributeReport a = evaluate(p, {"sex"}, {}).attributes[0];  // as the point's own report has it
    ASSERT_NE(figures.gap_by("sex"), nullptr);
    EXPECT_EQ(figures.gap_by("sex")->rms_squared, a.primary.rms_squared);
    EXPECT_EQ(figures.gap_by("sex")->fair_high, a.primary.fair_high);
    EXPECT_EQ(figures.gap_by("sex")->shown, a.gap("eodd_mean").value);
    EXPECT_NE(a.primary.rms_squared, a.gap("eodd_mean").rms_squared);  // they are different gaps
    EXPECT_EQ(figures.gap_by("age"), nullptr);
}

TEST(Scan, TheGapIsTheOneThatPIsOf) {
    const Predictions before = two_groups(400, .3), after = two_groups(400, 0);
    const PrimaryDifference d = compare(after, before, {"sex"}).attributes[0].primary;
    const ScanFigure f = scan_figure(d);
    EXPECT_EQ(f.p, d.p);
    EXPECT_NEAR(f.value, std::sqrt(std::max(0., d.model)), 1e-12);
    EXPECT_NEAR(f.value - f.change, std::sqrt(d.other), 1e-12);
    // Before noise is subtracted the dense model's is known alone too.
    EXPECT_NEAR(primary_rms_squared(before, "sex", {}), d.other, 1e-12);
}

TEST(Sweep, ParetoMarksComeFromValidationAndNotFromTest) {
    const auto points = sweep_points({.base = {}, .criterion = "l1,l2", .sweep = true});
    SweepResult r;
    r.attributes = {"sex"};
    r.points.push_back(swept(points[0], 0.8, {0.1, 0.1}));
    r.points.push_back(swept(points[1], 0.7, {0.2, 0.2}));
    for (SweepRun& run : r.points[1].runs) {  // on test the second is the better one in everything
        run.figures->balanced_accuracy = 0.9;
        run.figures->gaps[0].rms_squared = 0.01;
    }
    summarize_points(r);
    EXPECT_FALSE(r.points[0].dominated);
    EXPECT_TRUE(r.points[1].dominated);
}

// A model whose time is known exactly.
ParetoFigures model(double accuracy, double gap, double latency) {
    return {.accuracy = accuracy, .objective = -gap, .latency_low = latency, .latency_high = latency};
}

TEST(Pareto, DominatedIsWorseInOneThingAndBetterInNone) {
    EXPECT_EQ(dominated({model(0.8, 0.1, 1), model(0.7, 0.1, 1),  // less accurate
                         model(0.7, 0.1, 0.5),                    // but faster
                         model(0.7, 0.05, 2),                     // but fairer
                         model(0.8, std::nan(""), 1)}),
              (std::vector<bool>{false, true, false, false, true}));
    EXPECT_EQ(dominated({model(0.5, 0.1, 1), model(0.5, 0.1, 1)}), (std::vector<bool>{false, false}));
}

TEST(Pareto, AModelThatKnowsTooLittleBeatsNoOtherAndIsNoParetoPoint) {
    ParetoFigures constant = model(0.25, 0, 0.5);
    constant.counts = false;
    EXPECT_EQ(dominated({constant, model(0.25, 0.1, 1)})[1], false);
    const auto points = sweep_points({.base = {}, .criterion = "l1,l2", .sweep = true});
    SweepResult r;
    r.attributes = {"sex"};
    r.least_accuracy = 0.5;
    r.points.push_back(swept(points[0], 0.25, {0.0, 0.0}));
    r.points.push_back(swept(points[1], 0.8, {0.2, 0.2}));
    summarize_points(r);
    EXPECT_TRUE(r.points[0].near_chance);
    EXPECT_FALSE(r.points[1].near_chance || r.points[1].dominated);
}

TEST(Pareto, TimesWhoseIntervalsOverlapAreAlike) {
    const ParetoFigures accurate{0.8, -0.1, 0.89, 0.93}, quick{0.7, -0.1, 0.85, 0.90}, quicker{0.7, -0.1, 0.80, 0.88};
    EXPECT_EQ(dominated({accurate, quick}), (std::vector<bool>{false, true}));
    EXPECT_EQ(dominated({accurate, quicker}), (std::vector<bool>{false, false}));
}

TEST(Sweep, TheKeptRoundIsTheBestOrElseTheLast) {
    PruneResult r;
    for (int i = 1; i <= 3; ++i) r.rounds.emplace_back().number = i;
    EXPECT_EQ(r.kept().number, 3);
    r.best_round = 2;
    EXPECT_EQ(r.kept().number, 2);
}

}  // namespace
}  // namespace fp
