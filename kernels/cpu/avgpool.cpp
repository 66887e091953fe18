// Adaptive average pooling.
//
//   forward   y[i,j] = mean of x over cell (i,j)
//   backward  dx[h,w] = sum over the cells (i,j) that contain (h,w) of dy[i,j] / size of the cell
//
// Layout    A unit of work is one block of channels of one image; the inner loops run over its channels.
#include <algorithm>

#include "kernels/cpu/lanes.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

struct Range {
    int first, last;  // last: one past the end
    int count() const { return last - first; }
};

Range cell(int i, int in, int out) { return {AvgPoolShape::first(i, in, out), AvgPoolShape::last(i, in, out)}; }

template <int kBlock>
void forward_plane(const AvgPoolShape& s, const float* x, float* y) {
    for (int i = 0; i < s.p; ++i) {
        const Range rows = cell(i, s.x.h, s.p);
        for (int j = 0; j < s.q; ++j) {
            const Range columns = cell(j, s.x.w, s.q);
            float sum[kBlock] = {};
            for (int h = rows.first; h < rows.last; ++h) {
                const float* row = x + int64_t(h) * s.x.w * kBlock;
                float part[kBlock] = {};  // summed per row: smaller rounding error on large maps
                for (int w = columns.first; w < columns.last; ++w) {
                    for (int c = 0; c < kBlock; ++c) part[c] += row[w * kBlock + c];
                }
                for (int c = 0; c < kBlock; ++c) sum[c] += part[c];
            }
            const float share = 1.0f / float(rows.count() * columns.count());
            float* out = y + (int64_t(i) * s.q + j) * kBlock;
            for (int c = 0; c < kBlock; ++c) out[c] = sum[c] * share;
        }
    }
}

template <int kBlock>
void backward_plane(const AvgPoolShape& s, const float* dy, float* dx, Write write) {
    if (write == Write::replace) std::fill_n(dx, s.x.pixels() * kBlock, 0.0f);
    for (int i = 0; i < s.p; ++i) {
        const Range rows = cell(i, s.x.h, s.p);
        for (int j = 0; j < s.q; ++j) {
            const Range columns = cell(j, s.x.w, s.q);
            const float share = 1.0f / float(rows.count() * columns.count());
            float g[kBlock];
            for (int c = 0; c < kBlock; ++c) {
                g[c] = dy[(int64_t(i) * s.q + j) * kBlock + c] * share;
            }
            for (int h = rows.first; h < rows.last; ++h) {
                float* row = dx + int64_t(h) * s.x.w * kBlock;
                for (int w = columns.first; w < columns.last; ++w) {
                    for (int c = 0; c < kBlock; ++c) row[w * kBlock + c] += g[c];
                }
            }
        }
    }
}

// Runs `plane(x offset, y offset)` for every block of channels of every image.
template <class Plane>
void for_each_plane(const AvgPoolShape& s, Plane plane) {
    const Map y = s.y();
#pragma omp parallel for collapse(2)
    for (int n = 0; n < s.x.n; ++n) {
        for (int b = 0; b < s.x.blocks(); ++b) {
            const int c = b * s.x.block;
            plane(s.x.at(n, c, 0, 0), y.at(n, c, 0, 0));
        }
    }
}

void forward(const AvgPoolShape& s, const AvgPool::Forward& args, Stream) {
    const auto* x = as<float>(args.x);
    auto* y = as<float>(args.y);
    with_block(s.x.block, [&](auto block) {
        for_each_plane(s, [&](int64_t in, int64_t out) { forward_plane<block>(s, x + in, y + out); });
    });
}

void backward(const AvgPoolShape& s, const AvgPool::Backward& args, Stream) {
    const auto* dy = as<float>(args.dy);
    auto* dx = as<float>(args.dx);
    with_block(s.x.block, [&](auto block) {
        for_each_plane(s, [&](int64_t in, int64_t out) { backward_plane<block>(s, dy + out, dx + in, args.write); });
    });
}

}  // namespace

extern const AvgPool avgpool{.forward = forward, .backward = backward};

}  // namespace fp::cpu
