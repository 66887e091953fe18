#include "engine/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/error.h"

namespace fp {

void Plateau::see(double value, int patience) {
    ++waited;
    if (value > best) {
        best = value;
        waited = 0;
    } else if (waited == patience) {
        ++drops;
        waited = 0;
    }
}

double learning_rate(const ScheduleOptions& o, double epoch, int epochs, const Plateau& plateau) {
    if (epoch < o.warmup) return o.lr * (0.01 + 0.99 * epoch / o.warmup);
    const double t = std::min(1.0, (epoch - o.warmup) / std::max(1e-9, epochs - o.warmup));
    if (o.kind == "constant") return o.lr;
    if (o.kind == "step") return o.lr * std::pow(o.gamma, std::floor(epoch / o.step));
    if (o.kind == "multistep") {
        const auto passed = std::count_if(o.milestones.begin(), o.milestones.end(),
                                          [&](int m) { return epoch >= m; });
        return o.lr * std::pow(o.gamma, double(passed));
    }
    if (o.kind == "cosine")
        return o.final_lr + (o.lr - o.final_lr) * (1 + std::cos(std::numbers::pi * t)) / 2;
    if (o.kind == "polynomial") return o.final_lr + (o.lr - o.final_lr) * std::pow(1 - t, o.power);
    if (o.kind == "plateau") return o.lr * std::pow(o.gamma, plateau.drops);
    fail_with(Exit::usage, "schedule ", o.kind,
              " is unknown: constant, step, multistep, cosine, polynomial or plateau");
}

}  // namespace fp
