// The learning rate over a run.
#pragma once

#include <string>
#include <vector>

namespace fp {

//   constant    lr
//   step        lr gamma^floor(epoch / step)
//   multistep   lr gamma^(milestones passed)
//   cosine      final + (lr - final) (1 + cos(pi t)) / 2,   t = share of the epochs after warm-up
//   polynomial  final + (lr - final) (1 - t)^power
// The first `warmup` epochs rise linearly from lr / 100 to lr.
struct ScheduleOptions {
    std::string kind = "cosine";
    double lr = 0.05, final_lr = 0;
    double warmup = 0;  // epochs
    int step = 30;
    std::vector<int> milestones = {};
    double gamma = 0.1, power = 1;
};

// At `epoch` epochs from the start, fractions included, of a run of `epochs`. Exit::usage for an unknown kind.
double learning_rate(const ScheduleOptions&, double epoch, int epochs);

}  // namespace fp
