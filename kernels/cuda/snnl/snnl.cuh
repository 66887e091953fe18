// What the kernels of the soft nearest neighbour loss share: sizes, the layout of scratch memory, which pairs count,
// and the tiles of the N x N problem of a channel.
#pragma once

#include "kernels/cuda/plan/snnl_plan.h"
#include "kernels/cuda/products/gemm.cuh"
#include "kernels/f16.h"

namespace fp::FP_MACHINE {

constexpr int kSnnlTile = 64;
constexpr float kSmallestNorm = 1e-12f;

// Ways to combine terms of a sum (reduce.cuh).
struct Add {
    static constexpr float kNothing = 0;
    template <class T>
    __device__ static T combine(T a, T b) {
        return a + b;
    }
};

struct SnnlSizes {
    int n, c, d;             // c: channels of the range that this launch works on
    int first, all_c;        // the range's first channel, and the map's channels
    int stored_c, stored_d;  // stored_d: d rounded up to the step of the float32 products
    int stored_h;            // d rounded up to the step of the tensor core
    int sets;
    int tiles;  // of kSnnlTile samples
    // Blocks that share a channel's tiles; derived from the channels of the whole map, so that no bit depends on the range.
    int groups;
    SnnlKernel kernel;        // of the sums
    SnnlGroups wgmma_groups;  // of SnnlKernel::wgmma: how they share
    float sharpness;          // log2(e) / T: exponents are powers of two
    float half_scale;         // factor of the fp16 rows: the power of two nearest to sqrt(d), against denormal parts
    bool euclidean, released;
    bool bounded;  // no exponential can underflow, so that the sums need no shift

    static SnnlSizes of(const SnnlShape&, bool hopper);

    constexpr int64_t rows() const { return int64_t(c) * n * stored_d; }
    constexpr int64_t halves() const { return int64_t(c) * n * 2 * stored_h; }
    constexpr int64_t sums() const { return int64_t(sets) * 2 * n; }  // per channel
    // Channels of the gradient that this range writes: the last range writes the padding too.
    constexpr int written_c() const { return first + c == all_c ? stored_c - first : c; }
    // Samples with keys: whole tiles of SnnlKernel::wgmma.
    constexpr int keyed() const { return int(round_up(n, kSnnlSide)); }
};

// What SnnlKernel::wgmma compares instead of labels and strata. Pairs of known samples are near if their `near` is the
// same. Samples with an unknown label, and those from n up to keyed(), have -1.
struct SnnlKeys {
    int32_t* near;   // [sets][keyed]: the first sample of the same stratum
    int32_t* label;  // [sets][keyed]
    int32_t* whole;  // [sets][keyed / 64]: `near` of 64 samples if it is the same for all of them, else -1
};

// Scratch memory for a range of channels c; the size of each array is a multiple of 256 bytes. The scores of cosine
// need 4 C N D bytes and O(C N).
struct SnnlScratch {
    float* norms;   // [c][n]: |x|
    double* sums;   // [c][groups][sets][all, same][n]: sums (or maxima) over the tiles of each block
    float* shifts;  // [c][sets][all, same][n]: subtracted from the exponents; null if bounded
    float* rows;    // [c][n][stored_d]: x over its norm (cosine) or x; null where not needed
    f16* halves;    // [c][2][n][stored_h]: rows times half_scale in fp16, and the remainder in fp16 (cosine)
    SnnlKeys keys;  // for SnnlKernel::wgmma
    // For the gradient only:
    float* slopes;      // [c][n][stored_d]: -Sym rows; shares the memory of `halves`
    float* levels;      // [c][all, same][n]: log2 of the total sums; +inf for a sample that is no anchor
    float* anchors;     // [c]: their number
    float* slope_sums;  // [c][n]: row sums of Sym (euclidean)
    size_t bytes;

    static SnnlScratch in(const SnnlSizes&, void* scratch, bool gradient);
};

// The tiles of kRows x kColumns pairs of samples that contain pairs with j > i: row tile I has the column tiles from
// kAcross I on, of which the first kAcross are on the diagonal.
template <int kRows, int kColumns>
struct Triangle {
    static constexpr int kAcross = kRows / kColumns;
    int rows, columns;

    constexpr explicit Triangle(int n) : rows(int(ceil_div(n, kRows))), columns(int(ceil_div(n, kColumns))) {}
    constexpr int64_t count() const { return int64_t(rows) * columns - int64_t(kAcross) * rows * (rows - 1) / 2; }
    struct Place {
        int row, column;
        constexpr bool on_diagonal() const { return column / kAcross == row; }
    };
    constexpr Place at(int64_t tile) const {  // below count()
        int row = 0;
        for (; tile >= columns - kAcross * row; ++row) tile -= columns - kAcross * row;
        return {row, kAcross * row + int(tile)};
    }
    constexpr Place behind(Place p) const {
        return p.column + 1 < columns ? Place{p.row, p.column + 1} : Place{p.row + 1, kAcross * (p.row + 1)};
    }
};

using OrdinaryTriangle = Triangle<kSnnlTile, kSnnlTile>;  // for products in float32
using TensorTriangle = Triangle<128, 64>;                 // for products on the tensor core

// Which pairs count, for one label set.
struct Pairs {
    const int32_t* labels;
    const int32_t* strata;  // may be null

    struct Sample {
        int index, label, stratum;  // label -1: unknown, or the sample does not exist
        __device__ bool near(const Sample& o) const {
            return index != o.index && label >= 0 && o.label >= 0 && stratum == o.stratum;
        }
        __device__ bool same(const Sample& o) const { return near(o) && label == o.label; }
    };
    __device__ Sample sample(int i, int n) const {
        if (i >= n) return {i, -1, 0};
        return {i, ldg(labels + i), strata ? ldg(strata + i) : 0};
    }
};

// Loads the rows of two tiles of samples of one channel (a Source of gemm.cuh).
template <class Tile>
struct SampleSource {
    AlongK<kSnnlTile> a, b;
    const float *rows_a, *rows_b;  // this thread's samples; null beyond the last one
    int k;

    __device__ SampleSource(const SnnlSizes& s, const float* rows, int tile_a, int tile_b) : k(a.k) {
        const bool part = a.takes_part(thread_index());
        const int i = tile_a * kSnnlTile + a.line, j = tile_b * kSnnlTile + b.line;
        rows_a = part && i < s.n ? rows + int64_t(i) * s.stored_d : nullptr;
        rows_b = part && j < s.n ? rows + int64_t(j) * s.stored_d : nullptr;
    }
    __device__ void fetch() {
        a.v = rows_a ? load_pack(rows_a + k) : Pack<float>{};
        b.v = rows_b ? load_pack(rows_b + k) : Pack<float>{};
        k += Tile::kK;
    }
    __device__ void place(typename Tile::A& a_, typename Tile::B& b_) const {
        a.place(a_);
        b.place(b_);
    }
};

// v_ij = -d_ij log2(e) / T for this thread's pairs of two tiles of samples. All threads of the block call compute().
template <bool kEuclidean>
struct ExponentTile {
    using Term = std::conditional_t<kEuclidean, SquaredDifference, Product>;
    using Tile = GemmTile<kSnnlTile, kSnnlTile, Term>;
    static constexpr int kSide = 4;  // a thread's pairs are 4 x 4

    typename Tile::Sums v;

    __device__ void compute(const SnnlSizes& s, const float* rows, int tile_a, int tile_b) {
        for (auto& row : v)
            for (float& e : row) e = 0;
        SampleSource<Tile> source(s, rows, tile_a, tile_b);
        Tile::accumulate(source, s.stored_d / Tile::kK, v);
        for (auto& row : v)
            for (float& e : row) e = kEuclidean ? -e * s.sharpness : (e - 1) * s.sharpness;
    }
    __device__ static int row(int i) { return Tile::row(i); }
    __device__ static int column(int j) { return Tile::first_column() + j; }
};

// snnl_prepare (snnl_prepare.cu) computes norms, rows unless null, and halves for cosine; snnl_sum (snnl_sums.cu) the
// sums over the tiles and, if not bounded, the shifts; snnl_sum_wgmma (snnl_sums_sm90a.cu) the same for
// SnnlKernel::wgmma.
template <class A>
void snnl_prepare(const SnnlSizes&, const A* x, const SnnlScratch&, Stream);
void snnl_sum(const SnnlSizes&, const int32_t* labels, const int32_t* strata, const SnnlScratch&, Stream);
void snnl_sum_wgmma(const SnnlSizes&, const int32_t* labels, const int32_t* strata, const SnnlScratch&, Stream);

}  // namespace fp::FP_MACHINE
