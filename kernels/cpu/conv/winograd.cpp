// The output is cut into tiles of 4x4, and the tiles of all images into groups. Of a group, the transformed inputs are
// 36 matrices V_i (inputs x tiles); with the transformed filters U_i the products M_i = U_i V_i are register tiles
// (tile.h) whose pixels are tiles, and the transform of M gives the outputs of some blocks.
//
//   shared     all threads transform a large group together, then share out (blocks of outputs) x (parts of the group):
//              each filter is read once a group. For few tiles, or filters larger than the L2 cache.
//   own        each thread takes a group of its own, whose V stays in its L2 cache.
//
// Matrices lie a vector further apart than a power of two would put them, so that they do not share cache sets.
#include "kernels/cpu/conv/winograd.h"

#include <omp.h>

#include "kernels/cpu/conv/winograd_tiles.h"

namespace fp::cpu::winograd {
namespace {

constexpr int kBlocks = 2;  // of outputs in a register tile
constexpr int kOwnTiles = most_pixels(kBlocks) * (24 / most_pixels(kBlocks) + (kNativeLanes == 16));  // 24 or 28
constexpr int64_t kSharedFloats = 3 << 20;  // of V: 12 MB, in the L3 cache

struct Plan {
    Map from, to;
    int pad;
    Tiles line{to};
    int64_t tiles = line.count();
    bool shared = false;
    int group = kOwnTiles;  // tiles

    Plan(const Map& from_, const Map& to_, int pad_) : from(from_), to(to_), pad(pad_) {
        const int threads = omp_get_max_threads();
        shared = tiles < int64_t(4) * kOwnTiles * threads || from.stored_c() * int64_t(to.stored_c()) > 256 * 256;
        if (!shared) return;
        const int64_t most = std::max<int64_t>(kOwnTiles, kSharedFloats / (kProducts * from.stored_c()));
        const int64_t groups = ceil_div(tiles, most);
        group = int(ceil_div(tiles, groups));
    }
    int64_t v_block() const { return int64_t(group) * kBlock; }
    int64_t v_product() const { return from.blocks() * v_block() + kBlock; }
    int64_t v() const { return kProducts * v_product(); }
    // A part of a group for one thread.
    int64_t m_product() const { return int64_t(kBlocks) * kOwnTiles * kBlock + kBlock; }
    int64_t m() const { return kProducts * m_product(); }
    int64_t scratch() const {
        const int threads = omp_get_max_threads();
        return round_up(v(), 16) * (shared ? 1 : threads) + round_up(m(), 16) * threads;
    }
};

// The outputs of tiles first .. first + count of the line, of `blocks` blocks from kb on; v: of the first tile.
void multiply(const Plan& p,
              int64_t first,
              int count,
              int kb,
              int blocks,
              const float* v,
              const float* filters,
              float* m,
              const Outputs& out) {
    const int64_t channels = int64_t(p.from.blocks()) * kBlock * kBlock;
    static constexpr Tap kHere{0, 0};
    const Reach reach{.pixel = kBlock,
                      .x_block = p.v_block(),
                      .w_block = kBlock * kBlock,
                      .panel = channels,
                      .blocks = p.from.blocks(),
                      .taps = &kHere};
    const int64_t block = int64_t(kOwnTiles) * kBlock;
    const int64_t parts = ceil_div(count, most_pixels(blocks));
    for (int i = 0; i < kProducts; ++i) {
        const Outputs sums{.y = m + i * p.m_product(), .pixel = kBlock, .panel = block};
        for (int64_t part = 0; part < parts; ++part) {
            const int64_t t = first_of(part, parts, count), next = first_of(part + 1, parts, count);
            tile_for(int(next - t), blocks, kBlock)(reach, v + i * p.v_product() + t * kBlock,
                                                    filters + (int64_t(i) * p.to.blocks() + kb) * channels, sums, 0,
                                                    t * kBlock);
        }
    }
    const auto [bias, residual, relu] = out.finish;
    for (int j = 0; j < blocks; ++j) {
        const Vector shift = bias ? load<kBlock>(bias + (kb + j) * kBlock) : Vector{};
        for (int t = 0; t < count; ++t) {
            const Tiles::Place at = p.line.place(first + t);
            const int tall = std::min(kTile, p.to.h - at.row), wide = std::min(kTile, p.to.w - at.column);
            const int64_t to =
                (((int64_t(at.n) * p.to.blocks() + kb + j) * p.to.h + at.row) * p.to.w + at.column) * kBlock;
            const float* const sums = m + j * block + t * kBlock;
            transform<kPatch, kTile>(
                output, [&](int r, int c) { return load<kBlock>(sums + (r * kPatch + c) * p.m_product()); },
                [&](int r, int c, Vector value) {
                    if (r >= tall || c >= wide) return;
                    const int64_t pixel = to + (int64_t(r) * p.to.w + c) * kBlock;
                    value += shift;
                    if (residual) value += load<kBlock>(residual + pixel);
                    if (relu) value = value > 0 ? value : Vector{};
                    store<kBlock>(out.y + pixel, value);
                });
        }
    }
}

template <class At>
void transform_filter(At at, float* filters, int64_t product) {
    transform<3, kPatch>(filter, at, [&](int r, int c, const Vector& value) {
        store<kBlock>(filters + (r * kPatch + c) * product, value);
    });
}

}  // namespace

int64_t filter_floats(const ConvShape& s) { return kProducts * int64_t(s.x.stored_c()) * s.y().stored_c(); }

void transform_filters(const ConvShape& s, const float* w, float* filters) {
    const int kbs = s.w.k_blocks(), cbs = s.w.c_blocks();
    const int64_t product = filter_floats(s) / kProducts;
#pragma omp parallel for collapse(2)
    for (int kb = 0; kb < kbs; ++kb)
        for (int cb = 0; cb < cbs; ++cb)
            for (int c = 0; c < kBlock; ++c) {
                const int64_t pair = int64_t(kb) * cbs + cb;
                const float* const taps = w + (pair * 9 * kBlock + c) * kBlock;
                transform_filter([&](int r, int q) { return load<kBlock>(taps + (r * 3 + q) * kBlock * kBlock); },
                                 filters + (pair * kBlock + c) * kBlock, product);
            }
}

void transform_filters_for_dx(const ConvShape& s, const float* w, float* filters) {
    const int kbs = s.w.k_blocks(), cbs = s.w.c_blocks();
    const int64_t product = filter_floats(s) / kProducts;
#pragma omp parallel for collapse(2)
    for (int cb = 0; cb < cbs; ++cb)
        for (int kb = 0; kb < kbs; ++kb) {
            const float* const from = w + (int64_t(kb) * cbs + cb) * 9 * kBlock * kBlock;
            alignas(64) float turned[9][kBlock][kBlock];  // [tap][k][c]
            for (int t = 0; t < 9; ++t)
                for (int c = 0; c < kBlock; ++c)
                    for (int k = 0; k < kBlock; ++k) turned[8 - t][k][c] = from[(t * kBlock + c) * kBlock + k];
            for (int k = 0; k < kBlock; ++k)
                transform_filter([&](int r, int q) { return load<kBlock>(turned[r * 3 + q][k]); },
                                 filters + ((int64_t(cb) * kbs + kb) * kBlock + k) * kBlock, product);
        }
}

int64_t scratch(const Map& from, const Map& to) { return Plan(from, to, 1).scratch(); }

void run(const Map& from,
         const Map& to,
         int pad,
         const float* x,
         const float* filters,
         float* y,
         const Finish& finish,
         float* scratch) {
    const Plan p(from, to, pad);
    const Outputs out{.y = y, .pixel = kBlock, .panel = 0, .finish = finish};
    const int threads = omp_get_max_threads(), groups = int(ceil_div(to.blocks(), kBlocks));
    float* const ms = scratch + round_up(p.v(), 16) * (p.shared ? 1 : threads);
    const auto some = [&](int64_t first, int count, int group, const float* v) {
        const int kb = int(first_of(group, groups, to.blocks())), next = int(first_of(group + 1, groups, to.blocks()));
        multiply(p, first, count, kb, next - kb, v, filters, ms + omp_get_thread_num() * round_up(p.m(), 16), out);
    };
    if (!p.shared) {
#pragma omp parallel for schedule(dynamic)
        for (int64_t first = 0; first < p.tiles; first += p.group) {
            const int count = int(std::min<int64_t>(p.group, p.tiles - first));
            float* const v = scratch + omp_get_thread_num() * round_up(p.v(), 16);
            for (int t = 0; t < count; ++t)
                for (int b = 0; b < from.blocks(); ++b)
                    transform_input(from, pad, p.line.place(first + t), b, x, v + b * p.v_block() + t * kBlock,
                                    p.v_product());
            for (int group = 0; group < groups; ++group) some(first, count, group, v);
        }
        return;
    }
    for (int64_t first = 0; first < p.tiles; first += p.group) {
        const int count = int(std::min<int64_t>(p.group, p.tiles - first));
        const int parts = int(ceil_div(count, kOwnTiles));
#pragma omp parallel
        {
#pragma omp for collapse(2) schedule(static)
            for (int b = 0; b < from.blocks(); ++b)
                for (int t = 0; t < count; ++t)
                    transform_input(from, pad, p.line.place(first + t), b, x, scratch + b * p.v_block() + t * kBlock,
                                    p.v_product());
#pragma omp for collapse(2) schedule(dynamic)
            for (int group = 0; group < groups; ++group)
                for (int part = 0; part < parts; ++part) {
                    const int t = int(first_of(part, parts, count)), next = int(first_of(part + 1, parts, count));
                    some(first + t, next - t, group, scratch + t * kBlock);
                }
        }
    }
}

}  // namespace fp::cpu::winograd
