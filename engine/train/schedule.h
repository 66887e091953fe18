// The learning rate over a run.
#pragma once

#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "engine/io/one_of.h"

namespace fp {

struct ScheduleOptions;

// The state of a plateau schedule.
struct Plateau {
    double best = -std::numeric_limits<double>::infinity();
    int waited = 0, drops = 0;

    void see(double value, int patience);  // after an epoch; more is better, NaN is no better
};

// The time at which a rate is computed.
struct ScheduleTime {
    double epoch;  // from the start of the run, fractions included
    double share;  // of the epochs after warm-up, 0 to 1
    const Plateau& plateau;
};

// A schedule: the rate after warm-up. Its options are members of ScheduleOptions.
struct Schedule {
    std::string_view name, says;
    double (*rate)(const ScheduleOptions&, const ScheduleTime&);

    static constexpr std::string_view kind = "schedule";
    static std::span<const Schedule* const> all();
};

// The first `warmup` epochs rise linearly from lr / 100 to lr.
struct ScheduleOptions {
    OneOf<Schedule> kind = "cosine";
    double lr = 0.05, final_lr = 0;
    double warmup = 0;                 // epochs
    int step = 30;                     // step: epochs between drops
    std::vector<int> milestones = {};  // multistep: epochs of the drops
    double gamma = 0.1;                // factor of a drop
    double power = 1;                  // polynomial
    int patience = 10;                 // plateau: epochs without a better validation before a drop
};

// `epoch` epochs (fractions included) after the start of a run of `epochs`.
double learning_rate(const ScheduleOptions&, double epoch, int epochs, const Plateau& = {});

}  // namespace fp
