// The plan of a search: which points it has, and which of them is chosen.
#pragma once

#include <filesystem>

#include "engine/prune/settings.h"

namespace fp {

struct SweepSettings {
    PruneSettings base;
    std::string criterion = "snnl", amount = "5";  // of base; lists with commas where `sweep`
    int seeds = 1;                                 // runs per point: base.seed and those after it
    bool sweep = false;
    bool controls = false;  // beside each amount: the dense model and a random choice, tuned alike
};

struct SweepPoint {
    std::string name = {};       // "snnl+centre 10%", "dense, tuned alike"
    std::string criterion = {};  // "snnl+centre"
    PruneSettings settings = {};
    bool control = false;
};

// The names of the controls.
inline const std::string kDenseControl = "dense, tuned alike";
std::string random_control(const std::string& amount);

// Each run once: of the criteria, `none` has one amount, and with controls neither it nor `random` is listed again.
// Exit::usage where a list has an empty entry or names a point twice, or where nothing but controls is left.
std::vector<SweepPoint> sweep_points(const SweepSettings&);
// The folder of one run, in the folder of the sweep: "runs/snnl-10pct-seed2".
std::filesystem::path run_path(const SweepPoint&, uint64_t seed);

// A point's figures on validation, by seed.
struct SweepFigures {
    bool control = false;
    std::vector<double> accuracy, objective;
};
// The index of the chosen point: of those that are no controls and whose mean balanced accuracy is at least
// `least_accuracy`, the one of the best mean objective. -1: none.
int select_point(const std::vector<SweepFigures>&, double least_accuracy);
std::string selection_rule(const std::string& objective, double max_drop, int seeds);

}  // namespace fp
