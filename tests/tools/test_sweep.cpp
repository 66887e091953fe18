// The plan of a search, its rule of choice, its words.
#include "tools/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "tests/expect_error.h"
#include "tools/prune_report.h"
#include "tools/rankings.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;

std::vector<std::string> names(const std::vector<SweepPoint>& points) {
    std::vector<std::string> out;
    for (const SweepPoint& p : points) out.push_back(p.name);
    return out;
}

TEST(Sweep, EveryCriterionWithEveryAmountAndTheControlsOfEach) {
    PruningOptions p;
    p.criterion = "snnl+given-class,l1";
    p.amount = "5,10%";
    const auto points = sweep_points(p, {.sweep = true, .controls = true});
    EXPECT_THAT(names(points),
                ElementsAre("dense, tuned alike", "random 5, tuned alike", "snnl+given-class 5",
                            "l1 5", "random 10%, tuned alike", "snnl+given-class 10%", "l1 10%"));
    EXPECT_TRUE(points[0].control && points[1].control && !points[2].control);
    EXPECT_EQ(points[0].pruning.criterion, kNoCriterion);
    EXPECT_EQ(points[2].pruning.criterion, "snnl");
    EXPECT_TRUE(points[2].pruning.snnl.given_class);
    EXPECT_FALSE(points[3].pruning.snnl.given_class);
    EXPECT_EQ(points[5].pruning.amount, "10%");
}

TEST(Sweep, WithoutSweepThereIsOnePointAndItsControls) {
    PruningOptions p;
    EXPECT_THAT(names(sweep_points(p, {.seeds = 3})), ElementsAre("snnl 5"));
    EXPECT_THAT(names(sweep_points(p, {.controls = true})),
                ElementsAre("dense, tuned alike", "random 5, tuned alike", "snnl 5"));
}

TEST(Sweep, WhatCannotBePlannedIsRefused) {
    PruningOptions p;
    p.criterion = "l1,l1";
    expect_error(
        Exit::usage, [&] { sweep_points(p, {.sweep = true}); }, "l1 5", "twice");
    p.criterion = "l1,,l2";
    expect_error(
        Exit::usage, [&] { sweep_points(p, {.sweep = true}); }, "--criterion", "empty");
    p.criterion = "snnl+loud";
    expect_error(
        Exit::usage, [&] { sweep_points(p, {.sweep = true}); }, "loud");
    p.criterion = "snnl+protect=x";
    expect_error(
        Exit::usage, [&] { sweep_points(p, {.sweep = true}); }, "no number");
    p.criterion = "l1";
    p.amount = "5,half";
    expect_error(
        Exit::usage, [&] { sweep_points(p, {.sweep = true}); }, "half");
}

TEST(Sweep, FoldersTellPointsApart) {
    EXPECT_EQ(run_path({.name = "snnl+given-class 10%"}, 2), "runs/snnl+given-class-10pct-seed2");
    EXPECT_EQ(run_path({.name = "dense, tuned alike"}, 1), "runs/dense-tuned-alike-seed1");
    EXPECT_NE(run_path({.name = "l1 macs:60%"}, 1), run_path({.name = "l1 params:60%"}, 1));
}

TEST(Sweep, CriteriaTakeSettings) {
    const PruningOptions p = with_criterion({}, "snnl+as-released+centre+protect=0.5+mask");
    EXPECT_EQ(p.snnl.definition, SnnlShape::Definition::as_released);
    EXPECT_TRUE(p.snnl.centred && p.mask);
    EXPECT_EQ(p.protect, 0.5);
}

TEST(Sweep, TheBestMeanObjectiveWithinTheDropIsChosenAndNoControl) {
    const double kNaN = std::nan("");
    const std::vector<SweepFigures> points{
        {.control = true, .accuracy = {0.9, 0.9}, .objective = {0, 0}},
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
}

TEST(Rankings, EveryPairHasItsTauWithin80Columns) {
    std::vector<Ranking> rankings;
    for (int i = 0; i < 14; ++i)
        rankings.push_back({.name = "snnl+given-class+centre+protect=0." + std::to_string(i),
                            .scores = {{"a", {1, 2, 3, i < 2 ? 4.0 : 2.5}}}});
    rankings.push_back({.name = "elsewhere", .scores = {{"b", {1, 2}}}});
    const ordered_json table = rankings_json(rankings);
    EXPECT_EQ(table.at("tau").at(1), ordered_json::array({1.0}));
    EXPECT_NEAR(table.at("tau").at(2).at(0).get<double>(), 4.0 / 6, 1e-12);
    EXPECT_TRUE(table.at("tau").at(14).at(3).is_null());
    const std::string text = rankings_text(table);
    EXPECT_THAT(text, HasSubstr("elsewhere"));
    EXPECT_THAT(text, HasSubstr("  0.67"));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

// What verdict_of reads of fp_eval's documents.
ordered_json judged(
    double p_accuracy, double gap_before, double gap_after, double p_gap, double accuracy) {
    const auto difference = [](double other, double model, double p) -> ordered_json {
        return {{"value", model - other}, {"other", other}, {"model", model}, {"p_holm", p}};
    };
    ordered_json out;
    ordered_json& pruned = out["pruned"];
    pruned["classes"] = {"a", "b", "c", "d"};
    pruned["balanced_accuracy"]["value"] = accuracy;
    pruned["attributes"]["sex"]["gaps"]["eodd_mean"] = {{"value", gap_after}, {"fair_high", 0.1}};
    ordered_json& comparison = out["comparison"];
    comparison["confidence"] = 0.95;
    comparison["balanced_accuracy"] = difference(0.8, accuracy, p_accuracy);
    comparison["attributes"]["sex"]["gaps"]["eodd_mean"] = difference(gap_before, gap_after, p_gap);
    return out;
}

TEST(Verdict, SaysWhatChangedAndWhatCannotBeTold) {
    const std::string better = verdict_of(judged(0.5, 0.3, 0.2, 0.01, 0.79));
    EXPECT_THAT(better, HasSubstr("Balanced accuracy: no evidence of a change"));
    EXPECT_THAT(better, HasSubstr("gap by sex: better than the dense model (0.300 to 0.200"));
    EXPECT_THAT(better, HasSubstr("more than a classifier that treats the groups alike"));
    const std::string worse = verdict_of(judged(0.01, 0.05, 0.09, 0.02, 0.6));
    EXPECT_THAT(worse, HasSubstr("Balanced accuracy: worse than the dense model"));
    EXPECT_THAT(worse, HasSubstr("gap by sex: worse than the dense model"));
    EXPECT_THAT(worse, HasSubstr("within what a classifier that treats the groups alike"));
    EXPECT_THAT(verdict_of(judged(0.01, 0.3, 0.0, 0.01, 0.26)), HasSubstr("hardly tells"));
    ordered_json unknown = judged(0.5, 0.3, 0.2, 0.01, 0.79);
    unknown["comparison"]["attributes"]["sex"]["gaps"]["eodd_mean"]["p_holm"] = nullptr;
    EXPECT_THAT(verdict_of(unknown), HasSubstr("gap by sex: not estimable"));
}

}  // namespace
}  // namespace fp
