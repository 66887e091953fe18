// Max pooling.
//
//   forward   y[p,q] = max over the part of the window that lies on the map
//             argmax[p,q] = index of the (first) maximum in the window
//   backward  dx[h,w] = sum of dy[p,q] over the outputs (p,q) whose argmax is (h,w)
//
// Layout    A unit of work is one block of channels of one image; a vector holds the channels of one pixel.
// Backward  Each input gathers from the outputs whose window contains it, so every dx is written once and the order of
//           the sum is fixed.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/cpu/lanes.h"
#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

struct Range {
    int first, last;  // last: one past the end
};

// The taps of output p that lie on the map.
Range taps(const MaxPoolShape& s, int p, int size) {
    const int start = p * s.stride - s.pad;
    return {std::max(0, -start), std::min(s.window, size - start)};
}

// The outputs whose window contains input i.
Range outputs(const MaxPoolShape& s, int i, int count) {
    const int reach = i + s.pad;
    const int first = reach < s.window ? 0 : (reach - s.window) / s.stride + 1;
    return {first, std::min(count, reach / s.stride + 1)};
}

// Whether b replaces a as the maximum. A NaN is larger than every number; of equals the first stays.
template <int L>
Ints<L> second_wins(const Floats<L>& a, const Floats<L>& b) {
    return (b > a) | ((b != b) & (a == a));
}

template <int L, bool kArgmax>
void forward_plane(const MaxPoolShape& s, const float* x, float* y, uint8_t* argmax, int channels) {
    Ints<L> logical;  // padding channels get argmax 0
    for (int c = 0; c < L; ++c) logical[c] = c < channels ? -1 : 0;
    for (int p = 0; p < s.p(); ++p) {
        const Range rows = taps(s, p, s.x.h);
        for (int q = 0; q < s.q(); ++q) {
            const Range columns = taps(s, q, s.x.w);
            const float* window = x + (int64_t(p * s.stride - s.pad) * s.x.w + q * s.stride - s.pad) * L;
            const auto tap = [&](int r, int t) { return load<L>(window + (int64_t(r) * s.x.w + t) * L); };
            Floats<L> best = tap(rows.first, columns.first);
            Ints<L> winner = Ints<L>{} + (rows.first * s.window + columns.first);
            for (int r = rows.first; r < rows.last; ++r) {
                for (int t = columns.first; t < columns.last; ++t) {
                    const Floats<L> v = tap(r, t);
                    const Ints<L> wins = second_wins<L>(best, v);
                    best = wins ? v : best;
                    if constexpr (kArgmax) winner = wins ? Ints<L>{} + (r * s.window + t) : winner;
                }
            }
            const int64_t out = (int64_t(p) * s.q() + q) * L;
            store<L>(y + out, best);
            if constexpr (kArgmax) store<L>(argmax + out, winner & logical);
        }
    }
}

// columns: the outputs of each column of the map.
template <int L>
void backward_plane(const MaxPoolShape& s,
                    const std::vector<Range>& columns,
                    const float* dy,
                    const uint8_t* argmax,
                    float* dx,
                    Write write) {
    const int window = s.window, stride = s.stride, width = s.q();
    for (int h = 0; h < s.x.h; ++h) {
        const Range rows = outputs(s, h, s.p());
        for (int w = 0; w < s.x.w; ++w, dx += L) {
            const auto [first, last] = columns[size_t(w)];
            Floats<L> sum = {};
            for (int p = rows.first; p < rows.last; ++p) {
                const int tap = (h + s.pad - p * stride) * window + w + s.pad;
                for (int q = first; q < last; ++q) {
                    const int64_t from = (int64_t(p) * width + q) * L;
                    const Ints<L> named = load<L>(argmax + from) == tap - q * stride;
                    sum += named ? load<L>(dy + from) : Floats<L>{};
                }
            }
            store<L>(dx, write == Write::add ? load<L>(dx) + sum : sum);
        }
    }
}

// Runs `plane(x offset, y offset, logical channels)` for every block of channels of every image.
template <class Plane>
void for_each_plane(const MaxPoolShape& s, Plane plane) {
    const Map y = s.y();
    FP_CHECK(s.pad < s.window && s.window * s.window <= 256, "maxpool: window ", s.window, ", pad ", s.pad);
#pragma omp parallel for collapse(2)
    for (int n = 0; n < s.x.n; ++n) {
        for (int b = 0; b < s.x.blocks(); ++b) {
            const int c = b * s.x.block;
            plane(s.x.at(n, c, 0, 0), y.at(n, c, 0, 0), s.x.c - c);
        }
    }
}

void forward(const MaxPoolShape& s, const MaxPool::Forward& args, Stream) {
    const auto* x = as<float>(args.x);
    auto* y = as<float>(args.y);
    uint8_t* argmax = args.argmax;
    with_block(s.x.block, [&](auto block) {
        for_each_plane(s, [&](int64_t in, int64_t out, int channels) {
            if (argmax)
                forward_plane<block, true>(s, x + in, y + out, argmax + out, channels);
            else
                forward_plane<block, false>(s, x + in, y + out, nullptr, channels);
        });
    });
}

void backward(const MaxPoolShape& s, const MaxPool::Backward& args, Stream) {
    const auto* dy = as<float>(args.dy);
    auto* dx = as<float>(args.dx);
    std::vector<Range> columns;
    for (int w = 0; w < s.x.w; ++w) columns.push_back(outputs(s, w, s.q()));
    with_block(s.x.block, [&](auto block) {
        for_each_plane(s, [&](int64_t in, int64_t out, int) {
            backward_plane<block>(s, columns, dy + out, args.argmax + out, dx + in, args.write);
        });
    });
}

}  // namespace

extern const MaxPool maxpool{.forward = forward, .backward = backward};

}  // namespace fp::cpu
