// One pass over the flat parameter block. Every g is first multiplied by `scale`, or by the factor of clipping.
//
//   sgd          g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//   adamw        w -= lr decay w;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//                w -= lr mhat / (sqrt(vhat) + eps),  mhat = m / (1 - beta1^step), vhat = v / (1 - beta2^step)
//   blend        average = keep average + (1 - keep) w
//   sum_squares  sum = sum g^2, in double: in 256 runs, whose length depends on the count alone, then over the runs
//   clip         norm = scale sqrt(sum of squares),  factor = scale min(1, most / norm)
//   sum_ranks    to[i] = ((p_0[i] + p_1[i]) + p_2[i]) + ...
//
// Traffic  bytes per number: sgd 20, adamw 28, blend 12, sum_squares 4; sum_ranks of R ranks 4 (R + 1), with the sums in L2.
// Bound    memory.
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

// The factor of a step's gradients. If it is not finite the step changes nothing.
template <class Step>
double scale_of(const Step& step) {
    return step.clipped ? step.clipped->factor : step.scale;
}

// w -= lr (direct g + through v): plain momentum is (0, 1), Nesterov's (1, momentum).
void sgd(int64_t count, const SgdStep& step, const Optimizer::Sgd& args, Stream) {
    auto *w = as<float>(args.w), *velocity = as<float>(args.v);
    const auto* gradient = as<float>(args.g);
    const auto scale = float(scale_of(step)), decay = float(step.decay), momentum = float(step.momentum);
    if (!std::isfinite(scale)) return;
    const auto direct = float(step.nesterov ? step.lr : 0.0);
    const auto through = float(step.nesterov ? step.lr * step.momentum : step.lr);
    for_pieces(count, [=](int64_t first, int64_t last) {
#pragma omp simd
        for (int64_t i = first; i < last; ++i) {
            const float g = scale * gradient[i] + decay * w[i];
            const float v = momentum * velocity[i] + g;
            velocity[i] = v;
            w[i] -= direct * g + through * v;
        }
    });
}

void adamw(int64_t count, const AdamwStep& step, const Optimizer::Adamw& args, Stream) {
    auto* w = as<float>(args.w);
    const auto* gradient = as<float>(args.g);
    auto *first_moment = as<float>(args.m), *second_moment = as<float>(args.v);
    const auto scale = float(scale_of(step)), eps = float(step.eps);
    if (!std::isfinite(scale)) return;
    const auto beta1 = float(step.beta1), rest1 = float(1 - step.beta1);
    const auto beta2 = float(step.beta2), rest2 = float(1 - step.beta2);
    const auto shrink = float(step.lr * step.decay);
    const auto rate = float(step.lr / (1 - std::pow(step.beta1, double(step.step))));
    const auto correction = float(1 / (1 - std::pow(step.beta2, double(step.step))));
    for_pieces(count, [=](int64_t first, int64_t last) {
#pragma omp simd
        for (int64_t i = first; i < last; ++i) {
            const float g = scale * gradient[i];
            const float m = beta1 * first_moment[i] + rest1 * g;
            const float v = beta2 * second_moment[i] + rest2 * g * g;
            first_moment[i] = m;
            second_moment[i] = v;
            w[i] -= shrink * w[i] + rate * m / (std::sqrt(v * correction) + eps);
        }
    });
}

void blend(int64_t count, const Optimizer::Blend& args, Stream) {
    auto* average = as<float>(args.average);
    const auto* w = as<float>(args.w);
    const auto keep = float(args.keep), rest = float(1 - args.keep);
    for_pieces(count, [=](int64_t first, int64_t last) {
#pragma omp simd
        for (int64_t i = first; i < last; ++i) average[i] = keep * average[i] + rest * w[i];
    });
}

void sum_squares(int64_t count, const par* g_par, double* sum, void*, Stream) {
    constexpr int kRuns = 256;
    const auto* g = as<float>(g_par);
    const int64_t run = ceil_div(count, kRuns);
    double partial[kRuns];
#pragma omp parallel for schedule(dynamic, 8) if (count > kPiece)
    for (int64_t r = 0; r < kRuns; ++r) {
        const int64_t last = std::min(count, (r + 1) * run);
        double squares = 0;
#pragma omp simd reduction(+ : squares)
        for (int64_t i = r * run; i < last; ++i) squares += double(g[i]) * double(g[i]);
        partial[r] = squares;
    }
    *sum = 0;
    for (const double p : partial) *sum += p;
}

void clip(int runs, const Optimizer::Clip& args, Stream) {
    double sum = 0;
    for (int i = 0; i < runs; ++i) sum += args.squares[i];
    *args.to = GradientScale::of(std::sqrt(sum) * args.scale, args.scale, args.most);
}

void sum_ranks(int64_t count, const Optimizer::SumRanks& args, Stream) {
    const auto* parts = as<float>(args.parts);
    auto* to = as<float>(args.to);
    for_pieces(count, [=, ranks = args.ranks](int64_t first, int64_t last) {
        if (to != parts) std::copy(parts + first, parts + last, to + first);
        for (int r = 1; r < ranks; ++r) {
            const float* part = parts + r * count;
#pragma omp simd
            for (int64_t i = first; i < last; ++i) to[i] += part[i];
        }
    });
}

}  // namespace

extern const Optimizer optimizer{.sgd = sgd,
                                 .adamw = adamw,
                                 .blend = blend,
                                 .scratch_bytes = [](int64_t) { return size_t(0); },
                                 .sum_squares = sum_squares,
                                 .clip = clip,
                                 .sum_ranks = sum_ranks};

}  // namespace fp::cpu
