// One pass over the flat parameter block. Every g is multiplied by `scale` first, or by clipping's factor.
//
//   sgd          g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//   adamw        w -= lr decay w;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//                w -= lr mhat / (sqrt(vhat) + eps),  mhat = m / (1 - beta1^step), vhat = v / (1 - beta2^step)
//   blend        average = keep average + (1 - keep) w
//   sum_squares  sum = sum g^2
//   clip         norm = scale sqrt(sum of squares),  factor = scale min(1, most / norm)
#include <cmath>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

// What a step multiplies gradients by. Where it is not finite the step changes nothing.
template <class Step>
double scale_of(const Step& step) {
    return step.clipped ? step.clipped->factor : step.scale;
}

template <class T>
void sgd(int64_t count, const SgdStep& step, par* w_par, const par* g_par, par* v_par, Stream) {
    auto* w = static_cast<T*>(w_par);
    const auto* gradient = static_cast<const T*>(g_par);
    auto* velocity = static_cast<T*>(v_par);
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
void adamw(int64_t count,
           const AdamwStep& step,
           par* w_par,
           const par* g_par,
           par* m_par,
           par* v_par,
           Stream) {
    auto* w = static_cast<T*>(w_par);
    const auto* gradient = static_cast<const T*>(g_par);
    auto* first = static_cast<T*>(m_par);
    auto* second = static_cast<T*>(v_par);
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
void blend(int64_t count, double keep, par* average_par, const par* w_par, Stream) {
    auto* average = static_cast<T*>(average_par);
    const auto* w = static_cast<const T*>(w_par);
    for (int64_t i = 0; i < count; ++i) average[i] = T(keep * average[i] + (1 - keep) * w[i]);
}

template <class T>
void sum_squares(int64_t count, const par* g_par, double* sum, void*, Stream) {
    const auto* g = static_cast<const T*>(g_par);
    *sum = 0;
    for (int64_t i = 0; i < count; ++i) *sum += double(g[i]) * g[i];
}

void clip(int runs, const double* squares, double scale, double most, GradientScale* to, Stream) {
    double sum = 0;
    for (int i = 0; i < runs; ++i) sum += squares[i];
    *to = GradientScale::of(std::sqrt(sum) * scale, scale, most);
}

template <class T>
constexpr Optimizer optimizer{.sgd = sgd<T>,
                              .adamw = adamw<T>,
                              .blend = blend<T>,
                              .scratch_bytes = [](int64_t) { return size_t(0); },
                              .sum_squares = sum_squares<T>,
                              .clip = clip};

}  // namespace

extern const Optimizer optimizer_f32{optimizer<float>};
extern const Optimizer optimizer_f64{optimizer<double>};

}  // namespace fp::reference
