// Work is cut into units: a band of rows of one image by some blocks of outputs. A unit copies what its band reads into
// its thread's scratch with the padding as zeros (where there is any), so that no tile tests a border; it then goes
// through its blocks of outputs, and for each, some blocks of inputs at a time whose filters fit the L1 cache, through
// the band tile by tile. No bit depends on how the work is cut among threads.
#include "kernels/cpu/conv/direct.h"

#include <omp.h>

#include <cstring>

namespace fp::cpu::direct {
namespace {

constexpr int kBandPixels = 64;             // of outputs: filters are read from L3 or memory once a band
constexpr int64_t kFilterFloats = 5 << 10;  // 20 KB

// The rows and columns of the source that a grid touches, from those of output (0, 0) to those of the last.
struct Extent {
    int top, left, bottom, right;  // of one output: least and largest offsets
};

// The columns that a tap reads.
int across(const Grid& g) { return g.from.block == 1 ? g.lanes : 1; }

Extent extent(const Grid& g) {
    Extent e{0, 0, 0, 0};
    bool first = true;
    for (const Place& t : g.taps) {
        if (first) e = {t.row, t.column, t.row, t.column};
        first = false;
        e.top = std::min(e.top, t.row);
        e.left = std::min(e.left, t.column);
        e.bottom = std::max(e.bottom, t.row);
        e.right = std::max(e.right, t.column + across(g) - 1);
    }
    return e;
}

struct Plan {
    const Grid& g;
    Extent e = extent(g);
    bool flat = false;         // one row of all pixels: a 1x1 window at stride 1
    bool padded = false;       // bands are copied
    int lanes = g.from.block;  // of a pixel
    int rows = g.rows, columns = g.columns;
    int bands = 1, groups = 1, splits = 1;
    int width = 0, height = 0;  // of the copy of a band's rows

    explicit Plan(const Grid& grid) : g(grid) {
        flat = g.taps.size() == 1 && across(g) == 1 && g.stride == 1 && g.step == 1 && e.top == 0 && e.left == 0 &&
               g.rows == g.from.h && g.columns == g.from.w && g.to.w == g.from.w && g.to.h == g.from.h;
        if (flat) {
            columns = rows * columns;
            rows = 1;
        }
        padded = e.top < 0 || e.left < 0 || (g.rows - 1) * g.stride + e.bottom >= g.from.h ||
                 (g.columns - 1) * g.stride + e.right >= g.from.w;
        bands = flat ? int(ceil_div(columns, kBandPixels)) : int(ceil_div(rows, ceil_div(kBandPixels, columns)));
        groups = int(ceil_div(g.to.blocks(), blocks_for(flat ? ceil_div(columns, bands) : columns, g.to.blocks())));
        const int64_t units = int64_t(g.from.n) * bands;
        splits = int(std::clamp<int64_t>(ceil_div(4 * omp_get_max_threads(), units), 1, groups));
        width = (g.columns - 1) * g.stride + e.right - e.left + 1;
        height = int(ceil_div(rows, bands) - 1) * g.stride + e.bottom - e.top + 1;
    }
    int64_t copy_plane() const { return int64_t(height) * width * lanes; }
    int64_t own() const { return padded ? round_up(g.from.blocks() * copy_plane(), 16) : 0; }
};

// Rows first .. of one image, every block, with zeros where there is no pixel.
void copy_band(const Plan& plan, const float* x, int first, int count, float* to) {
    const Map& m = plan.g.from;
    const int left = plan.e.left, lanes = plan.lanes;
    const int before = std::clamp(-left, 0, plan.width);
    const int last = std::clamp(m.w - left, before, plan.width);  // one past the pixels, in the copy's columns
    for (int b = 0; b < m.blocks(); ++b) {
        for (int r = 0; r < count; ++r) {
            float* const row = to + b * plan.copy_plane() + int64_t(r) * plan.width * lanes;
            const int h = first + r;
            if (h < 0 || h >= m.h) {
                std::fill_n(row, plan.width * lanes, 0.0f);
                continue;
            }
            const float* const from = x + (int64_t(b) * m.pixels() + int64_t(h) * m.w + left + before) * lanes;
            std::fill_n(row, before * lanes, 0.0f);
            std::memcpy(row + before * lanes, from, size_t(last - before) * lanes * sizeof(float));
            std::fill_n(row + last * lanes, (plan.width - last) * lanes, 0.0f);
        }
    }
}

// One unit: band `band` of image n, groups of outputs from `group` to `last_group`.
void unit(const Plan& plan,
          int n,
          int band,
          int group,
          int last_group,
          const float* x,
          const float* w,
          const Outputs& out,
          float* own) {
    const Grid& g = plan.g;
    const int lanes = plan.lanes, blocks = g.to.blocks();
    const int64_t line = plan.flat ? plan.columns : plan.rows;
    const int first = int(first_of(band, plan.bands, line)), last = int(first_of(band + 1, plan.bands, line));
    const float* const image = x + int64_t(n) * g.from.blocks() * g.from.pixels() * lanes;
    const int width = plan.padded ? plan.width : g.from.w;
    const int64_t plane = plan.padded ? plan.copy_plane() : g.from.pixels() * lanes;
    const int top = plan.padded ? first * g.stride + plan.e.top : 0, left = plan.padded ? plan.e.left : 0;
    if (plan.padded) copy_band(plan, image, top, (last - first - 1) * g.stride + plan.e.bottom - plan.e.top + 1, own);
    const float* const source = plan.padded ? own : image;

    std::vector<Tap> taps;
    for (const Place& t : g.taps) taps.push_back({(int64_t(t.row) * width + t.column) * lanes, t.w});
    Reach reach{.pixel = int64_t(g.stride) * lanes,
                .x_block = plane,
                .w_block = g.w_block,
                .panel = g.w_panel,
                .blocks = g.from.blocks(),
                .taps = taps.data(),
                .tap_count = int(taps.size())};
    for (; group < last_group; ++group) {
        const int kb = int(first_of(group, plan.groups, blocks)),
                  k = int(first_of(group + 1, plan.groups, blocks)) - kb;
        const int64_t target = (int64_t(n) * blocks + kb) * g.to.pixels() * kBlock;
        const int chunks =
            int(std::min<int64_t>(g.from.blocks(), ceil_div(g.from.blocks() * g.w_block * k, kFilterFloats)));
        for (int chunk = 0; chunk < chunks; ++chunk) {
            const int b = int(first_of(chunk, chunks, g.from.blocks()));
            reach.blocks = int(first_of(chunk + 1, chunks, g.from.blocks())) - b;
            Outputs some = out;  // bias and residual come with the first blocks of inputs, ReLU with the last
            if (chunk > 0) some.finish = {.bias = nullptr, .residual = out.y, .relu = out.finish.relu};
            if (chunk + 1 < chunks) some.finish.relu = false;
            const float* const filters = w + kb * g.w_panel + b * g.w_block;
            const float* const inputs = source + b * plane;
            const auto row = [&](int64_t from, int64_t to, int64_t count) {
                const int64_t parts = ceil_div(count, most_pixels(k));
                for (int64_t part = 0; part < parts; ++part) {
                    const int64_t q = first_of(part, parts, count), next = first_of(part + 1, parts, count);
                    tile_for(int(next - q), k, g.lanes)(reach, inputs + from + q * reach.pixel, filters, some,
                                                        kb * kBlock, target + to + q * out.pixel);
                }
            };
            if (plan.flat) {
                row(int64_t(first) * lanes, int64_t(first) * kBlock, last - first);
                continue;
            }
            for (int p = first; p < last; ++p)
                row((int64_t(p * g.stride - top) * width - left) * lanes,
                    (int64_t(g.first_row + p * g.step) * g.to.w + g.first_column) * kBlock, plan.columns);
        }
    }
}

}  // namespace

Grid forward_grid(const ConvShape& s) {
    const int block = s.x.block;
    const bool rows = block == 1 && (s.w.s == 7 || s.w.s == 3);  // a tap is a row of the window
    Grid g{.from = s.x,
           .to = s.y(),
           .rows = s.p(),
           .columns = s.q(),
           .stride = s.stride,
           .first_row = 0,
           .first_column = 0,
           .step = 1,
           .taps = {},
           .lanes = rows ? s.w.s : block,
           .w_block = int64_t(s.w.r) * s.w.s * block * kBlock,
           .w_panel = int64_t(s.w.c_blocks()) * s.w.r * s.w.s * block * kBlock};
    for (int r = 0; r < s.w.r; ++r)
        for (int q = 0; q < s.w.s; q += rows ? s.w.s : 1)
            g.taps.push_back({r - s.pad, q - s.pad, (int64_t(r) * s.w.s + q) * block * kBlock});
    return g;
}

// dx[h] = sum over r with h + pad - r = stride p of dy[p] w[r]. Of rows h = first + stride i, with those r of
// (first + pad - r) a multiple of the stride: p = i + (first + pad - r) / stride.
std::vector<Grid> backward_grids(const ConvShape& s) {
    std::vector<Grid> grids;
    for (int row = 0; row < std::min(s.stride, s.x.h); ++row)
        for (int column = 0; column < std::min(s.stride, s.x.w); ++column) {
            Grid& g = grids.emplace_back(Grid{.from = s.y(),
                                              .to = s.x,
                                              .rows = int(ceil_div(s.x.h - row, s.stride)),
                                              .columns = int(ceil_div(s.x.w - column, s.stride)),
                                              .stride = 1,
                                              .first_row = row,
                                              .first_column = column,
                                              .step = s.stride,
                                              .taps = {},
                                              .lanes = kBlock,
                                              .w_block = int64_t(s.w.r) * s.w.s * kBlock * kBlock,
                                              .w_panel = int64_t(s.w.k_blocks()) * s.w.r * s.w.s * kBlock * kBlock});
            for (int r = 0; r < s.w.r; ++r)
                for (int q = 0; q < s.w.s; ++q) {
                    const int dr = row + s.pad - r, dq = column + s.pad - q;
                    if (dr % s.stride == 0 && dq % s.stride == 0)
                        g.taps.push_back({dr / s.stride, dq / s.stride, (int64_t(r) * s.w.s + q) * kBlock * kBlock});
                }
        }
    return grids;
}

void transpose(const Filter& f, const float* w, float* filters) {
    const int taps = f.r * f.s, kbs = f.k_blocks(), cbs = f.c_blocks();
#pragma omp parallel for collapse(2)
    for (int cb = 0; cb < cbs; ++cb)
        for (int kb = 0; kb < kbs; ++kb)
            for (int t = 0; t < taps; ++t) {
                const float* const from = w + ((int64_t(kb) * cbs + cb) * taps + t) * kBlock * kBlock;
                float* const to = filters + ((int64_t(cb) * kbs + kb) * taps + t) * kBlock * kBlock;
                for (int k = 0; k < kBlock; ++k)
                    for (int c = 0; c < kBlock; ++c) to[k * kBlock + c] = from[c * kBlock + k];
            }
}

int64_t scratch(const Grid& g) { return omp_get_max_threads() * Plan(g).own(); }

void run(const Grid& g, const float* x, const float* w, float* y, const Finish& finish, float* scratch) {
    const Plan plan(g);
    const Outputs out{.y = y, .pixel = int64_t(g.step) * kBlock, .panel = g.to.pixels() * kBlock, .finish = finish};
#pragma omp parallel for collapse(3) schedule(dynamic)
    for (int n = 0; n < g.from.n; ++n)
        for (int band = 0; band < plan.bands; ++band)
            for (int split = 0; split < plan.splits; ++split)
                unit(plan, n, band, int(first_of(split, plan.splits, plan.groups)),
                     int(first_of(split + 1, plan.splits, plan.groups)), x, w, out,
                     scratch + omp_get_thread_num() * plan.own());
}

}  // namespace fp::cpu::direct
