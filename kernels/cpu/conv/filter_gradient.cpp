// Images are taken in chunks that fit the L3 cache (with padding, x is copied first, so that no loop tests a border). Of
// a chunk, threads share out items: rows of taps of one block of inputs with a few blocks of outputs. An item goes
// through bands of pixels that fit the L1 cache, and for each through its taps; a tile's sums stay in registers over a
// band. One thread adds to an element of dw, in the order of the images, so bits do not depend on threads.
#include "kernels/cpu/conv/filter_gradient.h"

#include <omp.h>

#include <cstring>

#include "kernels/cpu/conv/outer_tile.h"

namespace fp::cpu::direct {
namespace {

constexpr int kBandPixels = 96;            // 64 + 3 * 64 bytes each: 24 KB, or half of that
constexpr int64_t kChunkFloats = 1 << 20;  // of x and dy: 4 MB

struct Plan {
    const ConvShape& s;
    Map y = s.y();
    bool flat = s.w.r == 1 && s.w.s == 1 && s.stride == 1 && s.pad == 0;
    bool planar = s.x.block == 1;
    int lanes = s.x.block;
    int height = s.x.h + 2 * s.pad, width = s.x.w + 2 * s.pad;  // of x with its padding
    int64_t x_image = int64_t(s.x.blocks()) * height * width * lanes, y_image = y.stored_c() * y.pixels();
    int chunk = int(std::clamp<int64_t>(kChunkFloats / (x_image + y_image), 1, s.x.n));  // images
    int inputs = planar ? int(ceil_div(s.w.s, ceil_div(s.w.s, kOuterInputs))) : kOuterInputs;
    int groups = int(ceil_div(y.blocks(), kOuterBlocks));
    int splits =
        int(std::clamp<int64_t>(ceil_div(4 * omp_get_max_threads(), int64_t(groups) * s.w.c_blocks()), 1, s.w.r));

    int64_t scratch() const { return s.pad > 0 ? chunk * x_image : 0; }
};

void copy_padded(const Plan& p, const float* x, int count, float* to) {
    const Map& m = p.s.x;
    const int pad = p.s.pad * p.lanes, line = m.w * p.lanes;
#pragma omp for collapse(2) schedule(static)
    for (int n = 0; n < count; ++n)
        for (int b = 0; b < m.blocks(); ++b) {
            float* out = to + n * p.x_image + int64_t(b) * p.height * p.width * p.lanes;
            const float* in = x + (int64_t(n) * m.blocks() + b) * m.pixels() * p.lanes;
            const auto zeros = [&](int64_t count_) { out = std::fill_n(out, count_, 0.0f); };
            zeros(int64_t(p.s.pad) * p.width * p.lanes);
            for (int h = 0; h < m.h; ++h, in += line) {
                zeros(pad);
                std::memcpy(out, in, size_t(line) * sizeof(float));
                out += line;
                zeros(pad);
            }
            zeros(int64_t(p.s.pad) * p.width * p.lanes);
        }
}

// Rows of taps r .. last_r of the block of inputs cb with a group of blocks of outputs, of `count` images; x is padded.
void item(
    const Plan& p, const float* x, const float* dy, float* dw, bool add, int count, int group, int cb, int split) {
    const ConvShape& s = p.s;
    const int kb = int(first_of(group, p.groups, p.y.blocks())),
              k = int(first_of(group + 1, p.groups, p.y.blocks())) - kb;
    const int rows = p.flat ? 1 : p.y.h, columns = p.flat ? int(p.y.pixels()) : p.y.w;
    const int64_t filters = int64_t(s.w.r) * s.w.s * p.lanes * kBlock;  // of a pair of blocks
    const int step = p.planar ? s.w.s : p.lanes;                        // inputs of a tap, or taps of a row
    float* const out = dw + (int64_t(kb) * s.w.c_blocks() + cb) * filters;
    const int first_r = int(first_of(split, p.splits, s.w.r)), last_r = int(first_of(split + 1, p.splits, s.w.r));
    OuterReach reach{.x_image = p.x_image,
                     .x_row = int64_t(s.stride) * p.width * p.lanes,
                     .pixel = int64_t(s.stride) * p.lanes,
                     .dy_image = p.y_image,
                     .dy_row = int64_t(columns) * kBlock,
                     .panel = p.y.pixels() * kBlock};
    const float* const xs = x + int64_t(cb) * p.height * p.width * p.lanes;
    const float* const ys = dy + int64_t(kb) * p.y.pixels() * kBlock;
    // A band is several images, some rows of one, or, of one long row, some pixels.
    const int64_t pixels = int64_t(rows) * columns;
    const int images = int(std::max<int64_t>(1, kBandPixels / pixels));
    const int row_parts = images > 1 ? 1 : int(ceil_div(rows, std::max(1, kBandPixels / columns)));
    const int column_parts = rows > 1 ? 1 : int(ceil_div(columns, kBandPixels));
    bool first_band = !add;
    for (int n = 0; n < count; n += images) {
        reach.images = std::min(images, count - n);
        for (int part = 0; part < row_parts * column_parts; ++part) {
            const int row = int(first_of(part / column_parts, row_parts, rows)),
                      column = int(first_of(part % column_parts, column_parts, columns));
            reach.rows = int(first_of(part / column_parts + 1, row_parts, rows)) - row;
            reach.pixels = int(first_of(part % column_parts + 1, column_parts, columns)) - column;
            const float* const xb = xs + n * p.x_image + row * reach.x_row + column * reach.pixel;
            const float* const yb = ys + n * p.y_image + (int64_t(row) * columns + column) * kBlock;
            for (int r = first_r; r < last_r; ++r)
                for (int tap = 0; tap < (p.planar ? 1 : s.w.s); ++tap)
                    for (int a = 0; a < step; a += p.inputs) {
                        const int64_t at = int64_t(tap) * p.lanes + a;
                        outer_tile_for(std::min(p.inputs, step - a), k)(
                            reach, xb + r * p.width * p.lanes + at, yb,
                            {out + (r * s.w.s * p.lanes + at) * kBlock, s.w.c_blocks() * filters, !first_band});
                    }
            first_band = false;
        }
    }
}

}  // namespace

int64_t filter_gradient_scratch(const ConvShape& s) { return Plan{s}.scratch(); }

void filter_gradient(const ConvShape& s, const float* x, const float* dy, float* dw, float* scratch) {
    const Plan p{s};
#pragma omp parallel
    for (int n = 0; n < s.x.n; n += p.chunk) {
        const int count = std::min(p.chunk, s.x.n - n);
        const float* padded = x + n * p.x_image;
        if (s.pad > 0) {
            copy_padded(p, x + int64_t(n) * s.x.stored_c() * s.x.pixels(), count, scratch);
            padded = scratch;
        }
#pragma omp for collapse(3) schedule(dynamic)
        for (int group = 0; group < p.groups; ++group)
            for (int cb = 0; cb < s.w.c_blocks(); ++cb)
                for (int split = 0; split < p.splits; ++split)
                    item(p, padded, dy + n * p.y_image, dw, n > 0, count, group, cb, split);
    }
}

}  // namespace fp::cpu::direct
