// y = max(x, 0), NaN stays NaN      dx = 0 where y <= 0, else dy
//
// Layout   any: padding is zero and stays zero, so a map is one flat run of stored numbers.
// Traffic  forward 8 bytes a number, backward 12 (16 to add).
// Bound    memory.
#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

void forward(const Map& map, const act* x_act, act* y_act, Stream) {
    const auto* x = static_cast<const float*>(x_act);
    auto* y = static_cast<float*>(y_act);
    for_pieces(map.stored(), [=](int64_t first, int64_t last) {
#pragma omp simd
        for (int64_t i = first; i < last; ++i) y[i] = x[i] <= 0 ? 0.0f : x[i];
    });
}

// By value: a load that only one side of ?: needs would keep the loop from being vectors.
float passed(float y, float dy) { return y <= 0 ? 0.0f : dy; }

void backward(
    const Map& map, const act* y_act, const act* dy_act, act* dx_act, Write write, Stream) {
    const auto* y = static_cast<const float*>(y_act);
    const auto* dy = static_cast<const float*>(dy_act);
    auto* dx = static_cast<float*>(dx_act);
    for_pieces(map.stored(), [=](int64_t first, int64_t last) {
        if (write == Write::replace) {
#pragma omp simd
            for (int64_t i = first; i < last; ++i) dx[i] = passed(y[i], dy[i]);
        } else {
#pragma omp simd
            for (int64_t i = first; i < last; ++i) dx[i] += passed(y[i], dy[i]);
        }
    });
}

}  // namespace

extern const Relu relu{.forward = forward, .backward = backward};

}  // namespace fp::cpu
