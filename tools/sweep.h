// The plan of a search: criteria x amounts x seeds, each a run of its own under OUT/runs, scored once a criterion
// and seed; then a choice by validation; then one read of the test split for all of them (sweep_report.h).
#pragma once

#include "tools/prune_run.h"

namespace fp {

struct SweepPoint {
    std::string name;       // "snnl+centre 10%", "dense, tuned alike"
    std::string criterion;  // "snnl+centre"
    PruningOptions pruning;
    bool control = false;
};

struct SweepOptions {
    int seeds = 1;
    bool sweep = false;     // --criterion and --amount are lists, with commas
    bool controls = false;  // beside each amount: the dense model and a random choice, tuned alike
    bool asked() const { return sweep || controls || seeds > 1; }
};
void add_sweep_options(Options&, SweepOptions&);

// What the controls are called.
inline const std::string kDenseControl = "dense, tuned alike";
std::string random_control(const std::string& amount);

// Exit::usage where a list is empty or names a point twice.
std::vector<SweepPoint> sweep_points(const PruningOptions&, const SweepOptions&);
// "runs/snnl-10pct-seed2"
std::filesystem::path run_path(const SweepPoint&, uint64_t seed);

// A point's figures on validation, by seed.
struct SweepFigures {
    bool control = false;
    std::vector<double> accuracy = {}, objective = {};
};
// The rule: of the points that are no controls and whose mean validation balanced accuracy is at least
// least_accuracy(), the one of the best mean objective. -1: none.
int select_point(const std::vector<SweepFigures>&, double least_accuracy);
std::string selection_rule(const std::string& objective, double max_drop, int seeds);

}  // namespace fp
