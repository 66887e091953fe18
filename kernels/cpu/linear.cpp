// Linear layers: a sample is stored as one row of D = stored_c h w numbers, and the filters as a K x D matrix in tiles
// with the same order along D. A layer of any h x w is therefore one product without a reorder, y (n,K) = x (n,D) W^T, of
// register tiles whose pixels are samples (conv/tile.h).
//
// Work is cut by blocks of outputs and, where D is long, along D: a part of the filters that fits the L2 cache is used for
// all samples before the next is read. dx takes transposed filters, tile by tile; dw sums over samples (conv/outer_tile.h).
#include <omp.h>

#include <algorithm>

#include "kernels/cpu/channels.h"
#include "kernels/cpu/conv/direct.h"
#include "kernels/cpu/conv/outer_tile.h"
#include "kernels/cpu/conv/tile.h"
#include "kernels/error.h"

namespace fp::cpu {
namespace {

constexpr int kTall = 2;                       // blocks of outputs in a tile
constexpr int64_t kPartBlocks = 512 / kBlock;  // along D: 2 x 16 x 512 numbers of the filters, 64 KB

struct Sizes {
    int n, in, out;  // samples; blocks along D and along K
    int64_t d() const { return int64_t(in) * kBlock; }
    int64_t k() const { return int64_t(out) * kBlock; }
};

Sizes sizes(const LinearShape& s) {
    FP_CHECK(s.w.c_block == s.x.block && s.w.r == s.x.h && s.w.s == s.x.w,
             "linear: the filter is not as large as the map");
    return {s.x.n, int(s.x.stored() / s.x.n / kBlock), s.y().blocks()};
}

// y (n,to) = finish(x (n,from) w), w[to block][from block][lane of from][lane of to].
void multiply(int n, int from, int to, const float* x, const float* w, float* y, const Finish& finish) {
    static constexpr Tap kHere{0, 0};
    constexpr int64_t tile = int64_t(kBlock) * kBlock;
    const int groups = int(ceil_div(to, kTall)), parts = int(ceil_div(from, kPartBlocks));
#pragma omp parallel for schedule(dynamic)
    for (int group = 0; group < groups; ++group) {
        const int first = int(first_of(group, groups, to)), k = int(first_of(group + 1, groups, to)) - first;
        const int64_t rows = ceil_div(n, most_pixels(k));
        for (int part = 0; part < parts; ++part) {
            const int b = int(first_of(part, parts, from)), last = int(first_of(part + 1, parts, from));
            const Reach reach{.pixel = int64_t(from) * kBlock,
                              .x_block = kBlock,
                              .w_block = tile,
                              .panel = from * tile,
                              .blocks = last - b,
                              .taps = &kHere};
            Outputs out{.y = y, .pixel = int64_t(to) * kBlock, .panel = kBlock, .finish = finish};
            if (part > 0) out.finish = {.residual = y};
            for (int64_t row = 0; row < rows; ++row) {
                const int64_t i = first_of(row, rows, n), next = first_of(row + 1, rows, n);
                tile_for(int(next - i), k, kBlock)(reach, x + i * reach.pixel + b * kBlock,
                                                   w + (int64_t(first) * from + b) * tile, out, first * kBlock,
                                                   i * out.pixel + first * kBlock);
            }
        }
    }
}

size_t scratch_bytes(const LinearShape& s) { return sizeof(float) * size_t(s.w.stored()); }

void forward(const LinearShape& s, const Linear::Forward& a, void*, Stream) {
    const Sizes z = sizes(s);
    multiply(z.n, z.in, z.out, as<float>(a.x), as<float>(a.w), as<float>(a.y), {.bias = as<float>(a.bias)});
}

void backward_data(const LinearShape& s, const Linear::BackwardData& a, void* scratch, Stream) {
    const Sizes z = sizes(s);
    float* const filters = static_cast<float*>(scratch);
    const Filter matrix{.k = int(z.k()), .c = int(z.d()), .k_block = kBlock, .c_block = kBlock};
    direct::transpose(matrix, as<float>(a.w), filters);
    float* const dx = as<float>(a.dx);
    multiply(z.n, z.out, z.in, as<float>(a.dy), filters, dx, {.residual = a.write == Write::add ? dx : nullptr});
}

void backward_filter(const LinearShape& s, const Linear::BackwardFilter& a, void*, Stream) {
    const Sizes z = sizes(s);
    const bool add = a.write == Write::add;
    const int groups = int(ceil_div(z.out, kOuterBlocks));
    const OuterReach reach{.rows = z.n, .x_row = z.d(), .pixel = 0, .dy_row = z.k(), .panel = kBlock};
    float* const dw = as<float>(a.dw);
#pragma omp parallel for collapse(2) schedule(static)
    for (int b = 0; b < z.in; ++b)
        for (int group = 0; group < groups; ++group) {
            const int first = int(first_of(group, groups, z.out)), k = int(first_of(group + 1, groups, z.out)) - first;
            for (int c = 0; c < kBlock; c += kOuterInputs)
                outer_tile_for(kOuterInputs, k)(
                    reach, as<float>(a.x) + b * kBlock + c, as<float>(a.dy) + first * kBlock,
                    {dw + ((int64_t(first) * z.in + b) * kBlock + c) * kBlock, int64_t(z.in) * kBlock * kBlock, add});
        }
    if (a.dbias) channel_sums(s.y(), as<float>(a.dy), as<float>(a.dbias), a.write);
}

}  // namespace

extern const Linear linear{.scratch_bytes = scratch_bytes,
                           .forward = forward,
                           .backward_data = backward_data,
                           .backward_filter = backward_filter};

}  // namespace fp::cpu
