// y = a + b      da = db = dy
//
// Layout   any: a map is one flat run of stored numbers, padding included.
// Traffic  forward 12 bytes per number, accumulate 8 (12 to add).
// Bound    memory.
#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

void forward(const Map& map, const Add::Forward& args, Stream) {
    const auto *a = as<float>(args.a), *b = as<float>(args.b);
    auto* y = as<float>(args.y);
    for_pieces(map.stored(), [=](int64_t first, int64_t last) {
#pragma omp simd
        for (int64_t i = first; i < last; ++i) y[i] = a[i] + b[i];
    });
}

void accumulate(const Map& map, const Add::Accumulate& args, Stream) {
    const auto* dy = as<float>(args.dy);
    auto* dx = as<float>(args.dx);
    for_pieces(map.stored(), [=, write = args.write](int64_t first, int64_t last) {
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
