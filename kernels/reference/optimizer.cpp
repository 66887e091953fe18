// One pass over the flat parameter block. Every g is first multiplied by `scale`, or by the factor of clipping.
//
//   sgd          g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//   adamw        w -= lr decay w;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//                w -= lr mhat / (sqrt(vhat) + eps),  mhat = m / (1 - beta1^step), vhat = v / (1 - beta2^step)
//   blend        average = keep average + (1 - keep) w
//   sum_squares  sum = sum g^2
//   clip         norm = scale sqrt(sum of squares),  factor = scale min(1, most / norm)
//   sum_ranks    to[i] = ((p_0[i] + p_1[i]) + p_2[i]) + ...
#include <cmath>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

// The factor of a step's gradients. If it is not finite the step changes nothing.
template <class Step>
double scale_of(const Step& step) {
    return step.clipped ? step.clipped->factor : step.scale;
}

template <class T>
void sgd(int64_t count, const SgdStep& step, const Optimizer::Sgd& args, Stream) {
    auto *w = as<T>(args.w), *velocity = as<T>(args.v);
    const auto* gradient = as<T>(args.g);
    const double scale = scale_of(step);
    if (!std::isfinite(scale)) return;
    for (int64_t i = 0; i < count; ++i) {
        const double g = scale * gradient[i] + step.decay * w[i];
        const double v = step.momentum * velocity[i] + g;
        velocity[i] = T(v);
        w[i] = T(w[i] - step.lr * (step.nesterov ? g + step.momentum * v : v));
    }
}

template <class T>
void adamw(int64_t count, const AdamwStep& step, const Optimizer::Adamw& args, Stream) {
    auto *w = as<T>(args.w), *first = as<T>(args.m), *second = as<T>(args.v);
    const auto* gradient = as<T>(args.g);
    const double scale = scale_of(step);
    if (!std::isfinite(scale)) return;
    const double correction1 = 1 - std::pow(step.beta1, double(step.step));
    const double correction2 = 1 - std::pow(step.beta2, double(step.step));
    for (int64_t i = 0; i < count; ++i) {
        const double g = scale * gradient[i];
        const double m = step.beta1 * first[i] + (1 - step.beta1) * g;
        const double v = step.beta2 * second[i] + (1 - step.beta2) * g * g;
        first[i] = T(m);
        second[i] = T(v);
        w[i] = T(w[i] - step.lr * step.decay * w[i] -
                 step.lr * (m / correction1) / (std::sqrt(v / correction2) + step.eps));
    }
}

template <class T>
void blend(int64_t count, const Optimizer::Blend& args, Stream) {
    auto* average = as<T>(args.average);
    const auto* w = as<T>(args.w);
    for (int64_t i = 0; i < count; ++i) average[i] = T(args.keep * average[i] + (1 - args.keep) * w[i]);
}

template <class T>
void sum_squares(int64_t count, const par* g_par, double* sum, void*, Stream) {
    const auto* g = as<T>(g_par);
    *sum = 0;
    for (int64_t i = 0; i < count; ++i) *sum += double(g[i]) * g[i];
}

void clip(int runs, const Optimizer::Clip& args, Stream) {
    double sum = 0;
    for (int i = 0; i < runs; ++i) sum += args.squares[i];
    *args.to = GradientScale::of(std::sqrt(sum) * args.scale, args.scale, args.most);
}

template <class T>
void sum_ranks(int64_t count, const Optimizer::SumRanks& args, Stream) {
    const auto* parts = as<T>(args.parts);
    auto* to = as<T>(args.to);
    for (int64_t i = 0; i < count; ++i) {
        T sum = parts[i];
        for (int r = 1; r < args.ranks; ++r) sum += parts[r * count + i];
        to[i] = sum;
    }
}

template <class T>
constexpr Optimizer optimizer{.sgd = sgd<T>,
                              .adamw = adamw<T>,
                              .blend = blend<T>,
                              .scratch_bytes = [](int64_t) { return size_t(0); },
                              .sum_squares = sum_squares<T>,
                              .clip = clip,
                              .sum_ranks = sum_ranks<T>};

}  // namespace

extern const Optimizer optimizer_f32{optimizer<float>};
extern const Optimizer optimizer_f64{optimizer<double>};

}  // namespace fp::reference
