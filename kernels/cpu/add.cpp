// y = a + b      da = db = dy
//
// Layout   any: a map is one flat run of stored numbers, padding included.
// Traffic  forward 12 bytes a number, accumulate 8 (12 to add).
// Bound    memory.
#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

void forward(const Map& map, const act* a_act, const act* b_act, act* y_act, Stream) {
    const auto* a = static_cast<const float*>(a_act);
    const auto* b = static_cast<const float*>(b_act);
    auto* y = static_cast<float*>(y_act);
    for_pieces(map.stored(), [=](int64_t first, int64_t last) {
#pragma omp simd
        for (int64_t i = first; i < last; ++i) y[i] = a[i] + b[i];
    });
}

void accumulate(const Map& map, const act* dy_act, act* dx_act, Write write, Stream) {
    const auto* dy = static_cast<const float*>(dy_act);
    auto* dx = static_cast<float*>(dx_act);
    for_pieces(map.stored(), [=](int64_t first, int64_t last) {
        if (write == Write::replace) {
            std::copy(dy + first, dy + last, dx + first);
        } else {
#pragma omp simd
            for (int64_t i = first; i < last; ++i) dx[i] += dy[i];
        }
    });
}

}  // namespace

extern const Add add{.forward = forward, .accumulate = accumulate};

}  // namespace fp::cpu
