// The learning rate over a run.
#pragma once

#include <limits>
#include <string>
#include <vector>

namespace fp {

//   constant    lr
//   step        lr gamma^floor(epoch / step)
//   multistep   lr gamma^(milestones passed)
//   cosine      final + (lr - final) (1 + cos(pi t)) / 2,   t = share of the epochs after warm-up
//   polynomial  final + (lr - final) (1 - t)^power
//   plateau     lr gamma^drops, a drop after each `patience` epochs without a better validation
// The first `warmup` epochs rise linearly from lr / 100 to lr.
struct ScheduleOptions {
    std::string kind = "cosine";
    double lr = 0.05, final_lr = 0;
    double warmup = 0;  // epochs
    int step = 30;
    std::vector<int> milestones = {};
    double gamma = 0.1, power = 1;
    int patience = 10;  // plateau
};

// What a plateau schedule has seen so far.
struct Plateau {
    double best = -std::numeric_limits<double>::infinity();
    int waited = 0, drops = 0;

    void see(double value, int patience);  // after an epoch; more is better, NaN is no better
};

// At `epoch` epochs from the start, fractions included, of a run of `epochs`. Exit::usage for an unknown kind.
double learning_rate(const ScheduleOptions&, double epoch, int epochs, const Plateau& = {});

}  // namespace fp
