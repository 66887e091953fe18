#include "engine/train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

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

namespace {

using O = ScheduleOptions;
using Time = ScheduleTime;

constexpr Schedule kConstant{.name = "constant", .says = "lr", .rate = [](const O& o, const Time&) { return o.lr; }};

constexpr Schedule kStep{.name = "step", .says = "lr gamma^floor(epoch / step)", .rate = [](const O& o, const Time& t) {
                             return o.lr * std::pow(o.gamma, std::floor(t.epoch / o.step));
                         }};

constexpr Schedule kMultistep{
    .name = "multistep", .says = "lr gamma^(milestones passed)", .rate = [](const O& o, const Time& t) {
        const auto passed =
            std::count_if(o.milestones.begin(), o.milestones.end(), [&](int m) { return t.epoch >= m; });
        return o.lr * std::pow(o.gamma, double(passed));
    }};

constexpr Schedule kCosine{.name = "cosine",
                           .says = "final + (lr - final) (1 + cos(pi t)) / 2, t the share of the epochs after warm-up",
                           .rate = [](const O& o, const Time& t) {
                               return o.final_lr + (o.lr - o.final_lr) * (1 + std::cos(std::numbers::pi * t.share)) / 2;
                           }};

constexpr Schedule kPolynomial{
    .name = "polynomial", .says = "final + (lr - final) (1 - t)^power", .rate = [](const O& o, const Time& t) {
        return o.final_lr + (o.lr - o.final_lr) * std::pow(1 - t.share, o.power);
    }};

constexpr Schedule kPlateau{
    .name = "plateau",
    .says = "lr gamma^drops, a drop after `patience` epochs without a better validation",
    .rate = [](const O& o, const Time& t) { return o.lr * std::pow(o.gamma, t.plateau.drops); }};

}  // namespace

std::span<const Schedule* const> Schedule::all() {
    static constexpr std::array kAll{&kConstant, &kStep, &kMultistep, &kCosine, &kPolynomial, &kPlateau};
    return kAll;
}

double learning_rate(const ScheduleOptions& o, double epoch, int epochs, const Plateau& plateau) {
    if (epoch < o.warmup) return o.lr * (0.01 + 0.99 * epoch / o.warmup);
    const double share = std::min(1.0, (epoch - o.warmup) / std::max(1e-9, epochs - o.warmup));
    return o.kind->rate(o, {.epoch = epoch, .share = share, .plateau = plateau});
}

}  // namespace fp
