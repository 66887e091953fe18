// A search: criteria x amounts x seeds, each a run in a folder of its own, scored once per criterion and seed; then one
// point is chosen on validation; then the test split is read once for all of them.
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
        double gap = {}, rms_squared = {}, fair_low = {}, fair_high = {};  // of kComparedGap
    };
    double accuracy = kNotEstimable, balanced_accuracy = kNotEstimable, macro_f1 = kNotEstimable;
    std::vector<AttributeGap> gaps;  // none of an attribute with fewer than two groups of enough samples

    double gap_by(const std::string& attribute) const;  // NaN where there is none
};
TestFigures test_figures(const Predictions&, const std::vector<std::string>& attributes, const Steps& progress = {});

struct SweepRun {
    uint64_t seed;
    std::filesystem::path folder;  // in that of the sweep
    PruneResult result;
    std::optional<Predictions> test = {};
    std::optional<TestFigures> figures = {};  // of `test`
};

// A point minus a control; runs of one seed are pairs.
struct AgainstControl {
    std::string control;
    SeedSummary gap, balanced_accuracy;
    double gap_p_holm = kNotEstimable;  // corrected for all such gaps of the search
};

struct SweptPoint {
    SweepPoint point;
    std::vector<SweepRun> runs;
    Ratio latency{1, 1, 1};  // measured time of the first seed's network over the dense model's
    SeedSummary val_accuracy = {}, val_objective = {};
    std::optional<SeedSummary> test_accuracy = {}, test_gap = {};
    bool dominated = false;  // another point is at least as good in accuracy, gap and time, and better in one
    // Its balanced accuracy is below SweepResult::least_accuracy, so its gap says nothing and it is no Pareto point.
    bool near_chance = false;
    std::vector<AgainstControl> against = {};
};

struct SweepResult {
    std::string rule, objective;
    std::string attribute;  // the first one, whose gaps are compared; empty: none
    Summary dense_val;
    std::optional<Predictions> dense_test = {};
    std::optional<TestFigures> dense_figures = {};
    // Half as far above chance as the dense model, on test where that is read, else on validation.
    double least_accuracy = 0;
    std::vector<SweptPoint> points = {};
    int selected = -1;  // index of the chosen point; -1: none kept enough accuracy
    RankTable rankings = {};

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

// Nothing where the observer stopped it; it is saved then. A test split is read once, after the choice.
std::optional<SweepResult> sweep(const Baseline&, const SweepSettings&, RunFolder&, const SweepStart& = {});

// A point's figures on validation.
SweepFigures validation_figures(const SweptPoint&);

struct ParetoFigures {
    double accuracy = 0;                       // more is better
    double gap = 0;                            // less is better
    double latency_low = 1, latency_high = 1;  // the interval of a measured time: less is better
    bool counts = true;                        // false: dominates no other
};

// Which models are dominated: another one is at least as good in every figure and better in one. Neither of two times
// is better where their intervals overlap. NaN is the worst value of a figure.
std::vector<bool> dominated(const std::vector<ParetoFigures>&);

// Fills in what follows from the runs: means over seeds, domination, differences from the controls.
void summarize_points(SweepResult&);

}  // namespace fp
