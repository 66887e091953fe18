// A search: criteria x amounts x seeds, each a run in a folder of its own, scored once per criterion and seed; then one
// point is chosen and Pareto points are marked on validation; then the test split is read for all of them.
//
// Runs are spread over the ranks of the folder, each done by one rank alone: the bits are those of one process with as
// many threads.
//
// Every run starts from the same dense model, so the runs of a point are tunings of one network: their spread is that
// of tuning. What another training would show, only other trainings tell (recipes/run --trainings N).
#pragma once

#include "engine/fairness/intervals.h"
#include "engine/measure/stopwatch.h"
#include "engine/prune/loop.h"
#include "engine/prune/ranks.h"
#include "engine/prune/sweep_plan.h"

namespace fp {

// One model on the test split.
struct TestFigures {
    struct AttributeGap {
        std::string attribute = {};
        double rms_squared = kNotEstimable, fair_high = kNotEstimable;  // of the primary gap, which is tested
        double shown = kNotEstimable;                                   // kShownGap, which is not
    };
    double accuracy = kNotEstimable, balanced_accuracy = kNotEstimable, macro_f1 = kNotEstimable;
    std::vector<AttributeGap> gaps;  // none of an attribute with fewer than two groups of enough samples

    const AttributeGap* gap_by(const std::string& attribute) const;  // null where there is none
};
TestFigures test_figures(const Predictions&, const std::vector<std::string>& attributes, const Steps& progress = {});

struct SweepRun {
    uint64_t seed;
    std::filesystem::path folder;  // in that of the sweep
    PruneResult result;
    std::optional<Predictions> test = {};
    std::optional<TestFigures> figures = {};  // of `test`
};

// The gaps by an attribute on test, over the tunings of a point.
struct GapSummary {
    std::string attribute;
    SeedSummary rms_squared;           // of the primary gap
    double fair_high = kNotEstimable;  // mean of the ends of the fair ranges of its rms
    double shown = kNotEstimable;      // mean of kShownGap
};

// rms^2 of the primary gap minus that of a control; tunings of one seed are pairs.
struct GapDifference {
    std::string attribute;
    SeedSummary change;              // p is NaN where the difference is described and not tested
    double control = kNotEstimable;  // the control's mean rms^2
    double p_holm = kNotEstimable;   // corrected for all tests of the search
    // The least change that Holm's correction lets pass as the first of the tests, with this spread.
    double least_change = kNotEstimable;

    bool tested() const { return !std::isnan(p_holm); }
    // rms^2 falls by no more than the control's: false where no fall could have passed.
    bool fall_can_pass() const { return control >= least_change; }
};

// A point minus a control. The chosen point's gaps are tested, one test per attribute and control.
struct AgainstControl {
    std::string control;
    std::vector<GapDifference> gaps;
    SeedSummary balanced_accuracy;
};

struct SweptPoint {
    SweepPoint point;
    std::vector<SweepRun> runs;
    Ratio latency{1, 1, 1};  // measured time of the first seed's network over the dense model's
    SeedSummary val_accuracy = {}, val_objective = {};
    std::optional<SeedSummary> test_accuracy = {};
    std::vector<GapSummary> test_gaps = {};  // of each attribute that has one
    // On validation another point is at least as good in accuracy, objective and time, and better in one.
    bool dominated = false;
    // Its balanced accuracy is below SweepResult::least_accuracy, so its gap says nothing and it is no Pareto point.
    bool near_chance = false;
    std::vector<AgainstControl> against = {};
};

struct SweepResult {
    std::string rule, objective;
    std::vector<std::string> attributes;
    int tunings = 1;  // runs per point
    Summary dense_val;
    double dense_objective = kNotEstimable;  // on validation
    std::optional<TestReads> test_reads = {};
    std::optional<Predictions> dense_test = {};
    std::optional<TestFigures> dense_figures = {};
    // Half as far above chance as the dense model, on validation.
    double least_accuracy = 0;
    std::vector<SweptPoint> points = {};
    int selected = -1;  // index of the chosen point; -1: none kept enough accuracy
    RankTable rankings = {};
    int tests = 0;                    // of the chosen point's gaps
    double t_needed = kNotEstimable;  // the |t| that Holm's correction asks of the first of them

    // The chosen point, else the first that is no control.
    const SweptPoint& shown() const;
};

struct SweepStart {
    Caller caller = {};
    bool force = false;  // start over; otherwise existing runs are resumed
    Observer observer = {};
};

// Exit::usage where starting over would delete one of these files in the folder of a run of the search.
void require_kept(const SweepSettings&, const std::filesystem::path& folder, const std::vector<std::string>& reads);

// Makes the runs, or goes on with them. Every rank of the folder calls it, with a Baseline of its own. False where one of
// them was asked to stop; the runs are saved then.
bool run_points(const Baseline&, const SweepSettings&, RunFolder&, const SweepStart& = {});

// What follows from runs that have ended, with one reading of the test split after the choice. For one rank.
SweepResult judge_points(const Baseline&, const SweepSettings&, const RunFolder&, const SweepStart& = {});

// Both, in one process. Nothing where the observer stopped it.
std::optional<SweepResult> sweep(const Baseline&, const SweepSettings&, RunFolder&, const SweepStart& = {});

// A point's figures on validation.
SweepFigures validation_figures(const SweptPoint&);

struct ParetoFigures {
    double accuracy = 0, objective = 0;        // more is better
    double latency_low = 1, latency_high = 1;  // the interval of a measured time: less is better
    bool counts = true;                        // false: dominates no other
};

// Which models are dominated: another one is at least as good in every figure and better in one. Neither of two times
// is better where their intervals overlap. NaN is the worst value of a figure.
std::vector<bool> dominated(const std::vector<ParetoFigures>&);

// Fills in what follows from the runs: means over tunings, domination, differences from the controls and their tests.
void summarize_points(SweepResult&);

}  // namespace fp
