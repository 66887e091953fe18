// Max pooling.
//
//   forward   y[p,q] = max over the part of the window that lies on the map
//             argmax[p,q] = index of the (first) maximum in the window
//   backward  dx[h,w] = sum of dy[p,q] over the outputs (p,q) whose argmax is (h,w), in the order of p, then q
//
// Layout    A unit of work is one block of channels of one image; a vector holds the channels of one pixel.
// Backward  Each input gathers from the outputs whose window contains it, so every dx is written once and the order of
//           the sum is fixed. The inputs of a row repeat a pattern with the stride: that of (3, 2) and (2, 2) is laid
//           out without a branch (backward_groups); the ends of a row, and other windows, take their outputs in a loop.
// Bound     memory.
#include <algorithm>
#include <vector>

#include "kernels/cpu/lanes.h"
#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

constexpr int kMostWindow = 16;  // so that a byte holds the number of a tap

struct Range {
    int first, last;  // last: one past the end
};

// The taps of output p that lie on the map.
Range taps(const MaxPoolShape& s, int p, int size) {
    const int start = p * s.stride - s.pad;
    return {std::max(0, -start), std::min(s.window, size - start)};
}

// The outputs all of whose taps lie on a map of this size.
Range whole(const MaxPoolShape& s, int size, int count) {
    const int first = std::min(count, int(ceil_div(s.pad, s.stride)));
    const int last = size + s.pad < s.window ? 0 : std::min(count, (size + s.pad - s.window) / s.stride + 1);
    return {first, std::max(first, last)};
}

// The outputs whose window contains input i.
Range outputs(const MaxPoolShape& s, int i, int count) {
    const int reach = i + s.pad;
    const int first = reach < s.window ? 0 : (reach - s.window) / s.stride + 1;
    return {first, std::min(count, reach / s.stride + 1)};
}

template <int L>
bool any(const Ints<L>& lanes) {
    int32_t all = 0;
    for (int i = 0; i < L; ++i) all |= lanes[i];
    return all != 0;
}

// Calls body(constants of window and stride) for those that networks have, body(0, 0) for others.
template <class Body>
void with_window(const MaxPoolShape& s, const Body& body) {
    using std::integral_constant;
    if (s.window == 3 && s.stride == 2) return body(integral_constant<int, 3>(), integral_constant<int, 2>());
    if (s.window == 2 && s.stride == 2) return body(integral_constant<int, 2>(), integral_constant<int, 2>());
    body(integral_constant<int, 0>(), integral_constant<int, 0>());
}

// Whether b replaces a as the maximum. A NaN is larger than every number; of equals the first stays.
template <int L>
Ints<L> second_wins(const Floats<L>& a, const Floats<L>& b) {
    return ~(b <= a) & (a == a);
}

// A window, of which x is tap (0, 0), though that may lie off the map; rows of the map are `row` floats apart.
template <int L>
struct Window {
    const float* x;
    int64_t row;
};

// The part of a window that lies on the map. Only logical channels, which are -1, have an argmax: padding has 0.
template <int L, bool kArgmax>
void pool_part(
    const Window<L>& at, int window, Range rows, Range columns, const Ints<L>& logical, float* y, uint8_t* argmax) {
    const auto tap = [&](int r, int t) { return load<L>(at.x + r * at.row + t * L); };
    Floats<L> best = tap(rows.first, columns.first);
    Ints<L> winner = Ints<L>{} + (rows.first * window + columns.first);
    for (int r = rows.first; r < rows.last; ++r) {
        for (int t = columns.first; t < columns.last; ++t) {
            const Floats<L> v = tap(r, t);
            const Ints<L> wins = second_wins<L>(best, v);
            best = wins ? v : best;
            if constexpr (kArgmax) winner = wins ? Ints<L>{} + (r * window + t) : winner;
        }
    }
    store<L>(y, best);
    if constexpr (kArgmax) store<L>(argmax, winner & logical);
}

// The same of a whole window of numbers, where comparing is simpler. Returns lanes that may have had a NaN: all that had
// one, and those in which infinities of both signs met.
template <int L, int kWindow, bool kArgmax>
Ints<L> pool_numbers(const Window<L>& at, float* y, uint8_t* argmax) {
    constexpr int kTaps = kWindow * kWindow;
    const auto tap = [&](int i) { return load<L>(at.x + i / kWindow * at.row + i % kWindow * L); };
    Floats<L> best = tap(0), sum = best;
#pragma GCC unroll 16
    for (int i = 1; i < kTaps; ++i) {
        const Floats<L> v = tap(i);
        best = v > best ? v : best;
        sum += v;
    }
    store<L>(y, best);
    if constexpr (kArgmax) {
        Ints<L> winner = Ints<L>{} + (kTaps - 1);
#pragma GCC unroll 16
        for (int i = kTaps - 2; i >= 0; --i) winner = tap(i) == best ? Ints<L>{} + i : winner;
        store<L>(argmax, winner);
    }
    return sum != sum;
}

template <int L, int kWindow, bool kArgmax>
void forward_plane(const MaxPoolShape& s, const float* x, float* y, uint8_t* argmax, int channels) {
    Ints<L> logical;
    for (int c = 0; c < L; ++c) logical[c] = c < channels ? -1 : 0;
    const int64_t row = int64_t(s.x.w) * L;
    // In variables, since to the compiler a store of a vector might change s.
    const int count = s.q(), stride = s.stride * L, pad = s.pad * L;
    const Range inner = kWindow > 0 ? whole(s, s.x.w, count) : Range{0, 0};
    for (int p = 0; p < s.p(); ++p) {
        const Range rows = taps(s, p, s.x.h);
        const float* const first_window = x + (p * s.stride - s.pad) * row - pad;
        float* const to = y + int64_t(p) * count * L;
        uint8_t* const winners = kArgmax ? argmax + int64_t(p) * count * L : nullptr;
        const auto window = [&](int q) { return Window<L>{first_window + q * stride, row}; };
        const auto winner = [&](int q) { return kArgmax ? winners + q * L : nullptr; };
        const auto parts = [&](int first, int last) {
            for (int q = first; q < last; ++q)
                pool_part<L, kArgmax>(window(q), s.window, rows, taps(s, q, s.x.w), logical, to + q * L, winner(q));
        };
        Ints<L> strange = {};
        int done = 0;
        if (kWindow > 0 && rows.last - rows.first == kWindow) {
            parts(0, inner.first);
            for (int q = inner.first; q < inner.last; ++q)
                strange |= pool_numbers<L, std::max(kWindow, 1), kArgmax>(window(q), to + q * L, winner(q));
            done = any<L>(strange) ? inner.first : inner.last;
        }
        parts(done, count);
    }
}

// A row of outputs, seen from a row of inputs that its windows contain: the number of its windows' first tap there.
struct OutputRow {
    const float* dy;
    const uint8_t* argmax;
    int tap;
};

// The windows of one side that an input lies in, at most.
constexpr int most_windows(int window, int stride) { return (window + stride - 1) / stride; }

// Group g of a row's inputs: g * kStride - pad and the kStride - 1 behind it, which lie in the windows of the outputs
// g - (most_windows - 1) .. g. The groups of which all that is there:
template <int kWindow, int kStride>
Range whole_groups(const MaxPoolShape& s) {
    const int first = std::max(most_windows(kWindow, kStride) - 1, int(ceil_div(s.pad, kStride)));
    return {first, std::max(first, std::min(s.q(), (s.x.w + s.pad) / kStride))};
}

// dx of the inputs of these groups; `dx` is where the first of them lies.
template <int L, int kWindow, int kStride, int kRows, bool kAdd>
void backward_groups(const OutputRow* rows, Range groups, float* dx) {
    for (int g = groups.first; g < groups.last; ++g, dx += kStride * L) {
        Floats<L> sum[kStride] = {};
#pragma GCC unroll 4
        for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
            for (int before = most_windows(kWindow, kStride) - 1; before >= 0; --before) {
                const int64_t from = int64_t(g - before) * L;
                const Ints<L> winner = load<L>(rows[i].argmax + from) - rows[i].tap;
                const Floats<L> dy = load<L>(rows[i].dy + from);
#pragma GCC unroll 4
                for (int f = 0; f < kStride; ++f)
                    if (const int tap = f + before * kStride; tap < kWindow) sum[f] += winner == tap ? dy : Floats<L>{};
            }
        }
#pragma GCC unroll 4
        for (int f = 0; f < kStride; ++f) store<L>(dx + f * L, kAdd ? load<L>(dx + f * L) + sum[f] : sum[f]);
    }
}

// columns: the outputs of each column of the map.
template <int L, int kWindow, int kStride, bool kAdd>
void backward_plane(
    const MaxPoolShape& s, const std::vector<Range>& columns, const float* dy, const uint8_t* argmax, float* dx) {
    OutputRow rows[kMostWindow];
    int count = 0;  // of rows
    const auto gather = [&](int first, int last) {
        for (int w = first; w < last; ++w) {
            Floats<L> sum = {};
            for (int i = 0; i < count; ++i)
                for (int q = columns[size_t(w)].first; q < columns[size_t(w)].last; ++q) {
                    const int64_t from = int64_t(q) * L;
                    const Ints<L> named = load<L>(rows[i].argmax + from) == rows[i].tap + w + s.pad - q * s.stride;
                    sum += named ? load<L>(rows[i].dy + from) : Floats<L>{};
                }
            store<L>(dx + w * L, kAdd ? load<L>(dx + w * L) + sum : sum);
        }
    };
    for (int h = 0; h < s.x.h; ++h, dx += int64_t(s.x.w) * L) {
        const Range reached = outputs(s, h, s.p());
        count = reached.last - reached.first;
        for (int i = 0; i < count; ++i) {
            const int p = reached.first + i;
            const int64_t row = int64_t(p) * s.q() * L;
            rows[i] = {dy + row, argmax + row, (h + s.pad - p * s.stride) * s.window};
        }
        int done = 0;
        if constexpr (kWindow > 0) {
            constexpr int kReach = most_windows(kWindow, kStride);
            static_assert(kReach <= 2);
            const Range groups = whole_groups<kWindow, kStride>(s);
            const int begin = groups.first * kStride - s.pad;
            if (count > 0 && groups.last > groups.first) {
                gather(0, begin);
                done = groups.last * kStride - s.pad;
                if (count == 1)
                    backward_groups<L, kWindow, kStride, 1, kAdd>(rows, groups, dx + begin * L);
                else
                    backward_groups<L, kWindow, kStride, kReach, kAdd>(rows, groups, dx + begin * L);
            }
        }
        gather(done, s.x.w);
    }
}

// Runs `plane(x offset, y offset, logical channels)` for every block of channels of every image.
template <class Plane>
void for_each_plane(const MaxPoolShape& s, Plane plane) {
    const Map y = s.y();
    FP_CHECK(s.pad < s.window && s.window <= kMostWindow, "maxpool: window ", s.window, ", pad ", s.pad);
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
        with_window(s, [&](auto window, auto) {
            with_flag(argmax != nullptr, [&](auto keeps) {
                for_each_plane(s, [&](int64_t in, int64_t out, int channels) {
                    forward_plane<block, window, keeps>(s, x + in, y + out, keeps ? argmax + out : nullptr, channels);
                });
            });
        });
    });
}

void backward(const MaxPoolShape& s, const MaxPool::Backward& args, Stream) {
    const auto* dy = as<float>(args.dy);
    auto* dx = as<float>(args.dx);
    std::vector<Range> columns;
    for (int w = 0; w < s.x.w; ++w) columns.push_back(outputs(s, w, s.q()));
    with_block(s.x.block, [&](auto block) {
        with_window(s, [&](auto window, auto stride) {
            with_flag(args.write == Write::add, [&](auto add) {
                for_each_plane(s, [&](int64_t in, int64_t out, int) {
                    backward_plane<block, window, stride, add>(s, columns, dy + out, args.argmax + out, dx + in);
                });
            });
        });
    });
}

}  // namespace

extern const MaxPool maxpool{.forward = forward, .backward = backward};

}  // namespace fp::cpu
