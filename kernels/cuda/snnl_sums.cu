// Soft nearest neighbours, second step: the sums over neighbours, with no N x N matrix.
//
//   all_i  = sum_{near(i,j)} 2^(v_ij - shift)      v_ij = -d_ij log2(e) / T
//   same_i = sum_{near, same label} 2^(v_ij - shift)
//
// for every channel, sample and label set. Where exponents are bounded (cosine, T >= 0.03) the shift is 0;
// else a first pass over the tiles finds each sum's largest exponent and that is its shift.
//
// Shapes    rows (C,N,D); labels (sets,N); sums (C,groups,sets,2,N) in double
// Threads   256 a block. A block owns a run of the tiles (I, J), J >= I, of 64 x 64 samples of one channel:
//           symmetric, so half the products. Each tile's row sums go to samples I and its column sums to
//           samples J of the block's own slot, tile after tile: one owner, one order, no atomics.
// Traffic   two times 64 rows a tile from L2; the whole problem once from HBM if a channel's rows fit L2
// Bound     compute: FFMA 2 D flops a pair, one exponential a pair (bounded); N^2 / 2 pairs a channel
// Model     (bench/gpu/run --model: H200) 512 channels of 1024 samples, D = 49: 0.97 ms of the scores' 1.03; the floor
//           of float32 on the ordinary cores is 0.44, that of fp16 in three products on the tensor cores 0.10
#include <limits>

#include "kernels/cuda/reduce.cuh"
#include "kernels/cuda/snnl.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256;
constexpr int kWarpRows = 4, kWarpColumns = 2;  // how the eight warps lie over a tile

struct Add {
    static constexpr float kNothing = 0;
    template <class T>
    __device__ static T combine(T a, T b) {
        return a + b;
    }
};
struct Largest {
    static constexpr float kNothing = -std::numeric_limits<float>::infinity();
    __device__ static float combine(float a, float b) { return fmaxf(a, b); }
    __device__ static double combine(double a, double b) { return fmax(a, b); }
};

// What one pair gives to sum `which` (0 all, 1 same) of a sample.
struct Bounded {  // sums, no shift: one exponential serves all
    using Reduce = Add;
    __device__ static float prepare(float v) { return fast_exp2(v); }
    __device__ static float value(float e, float) { return e; }
};
struct Shifted {
    using Reduce = Add;
    __device__ static float prepare(float v) { return v; }
    __device__ static float value(float v, float shift) { return fast_exp2(v - shift); }
};
struct Maximum {
    using Reduce = Largest;
    __device__ static float prepare(float v) { return v; }
    __device__ static float value(float v, float) { return v; }
};

// A tile's results for 64 rows and 64 columns, from every warp that has a part of them.
struct Partial {
    float row[2][kWarpColumns][kSnnlTile];
    float column[2][kWarpRows][kSnnlTile];
};

template <class Pass, bool kEuclidean>
__global__ void __launch_bounds__(kThreads, 2) snnl_sums_kernel(const float* __restrict__ rows,
                                                                const int32_t* __restrict__ labels,
                                                                const int32_t* __restrict__ strata,
                                                                const float* __restrict__ shifts,
                                                                double* sums,
                                                                SnnlSizes s) {
    using Exponents = ExponentTile<kEuclidean>;
    using Reduce = typename Pass::Reduce;
    constexpr int kSide = Exponents::kSide;
    SHARED(Partial, partial, [1]);

    const int group = int(blockIdx.x), c = int(blockIdx.y);
    rows += int64_t(c) * s.n * s.stored_d;
    shifts += int64_t(c) * s.sums();
    double* slot = sums + (int64_t(c) * s.groups + group) * s.sums();
    for (int64_t i = thread_index(); i < s.sums(); i += kThreads) slot[i] = Reduce::kNothing;

    const int64_t all = int64_t(s.tiles) * (s.tiles + 1) / 2;
    int64_t tile = all * group / s.groups;
    const int64_t end = all * (group + 1) / s.groups;
    int tile_i = 0;
    int64_t skipped = 0;  // tiles before row tile_i of the triangle
    while (skipped + s.tiles - tile_i <= tile) skipped += s.tiles - tile_i++;

    for (; tile < end; ++tile) {
        if (tile - skipped == s.tiles - tile_i) skipped += s.tiles - tile_i++;
        const int tile_j = tile_i + int(tile - skipped);
        const int first_i = tile_i * kSnnlTile, first_j = tile_j * kSnnlTile;
        Exponents e;
        e.compute(s, rows, tile_i, tile_j);
        for (auto& row : e.v)
            for (float& v : row) v = Pass::prepare(v);

        for (int set = 0; set < s.sets; ++set) {
            const Pairs pairs{labels + int64_t(set) * s.n, strata};
            const float* shift = shifts + int64_t(set) * 2 * s.n;
            const auto shift_of = [&](int which, int i) {
                return i < s.n ? ldg(shift + int64_t(which) * s.n + i) : 0.0f;
            };
            float row_sums[2 * kSide], column_sums[2 * kSide];  // all, then same
            for (int k = 0; k < 2 * kSide; ++k) row_sums[k] = column_sums[k] = Reduce::kNothing;

            Pairs::Sample columns[kSide];
            float column_shift[2][kSide];
            UNROLL
            for (int j = 0; j < kSide; ++j) {
                const int index = first_j + Exponents::column(j);
                columns[j] = pairs.sample(index, s.n);
                for (int which = 0; which < 2; ++which)
                    column_shift[which][j] = shift_of(which, index);
            }
            UNROLL
            for (int i = 0; i < kSide; ++i) {
                const int index = first_i + Exponents::row(i);
                const Pairs::Sample sample = pairs.sample(index, s.n);
                const float row_shift[2] = {shift_of(0, index), shift_of(1, index)};
                UNROLL
                for (int j = 0; j < kSide; ++j) {
                    const bool counts[2] = {sample.near(columns[j]), sample.same(columns[j])};
                    UNROLL
                    for (int which = 0; which < 2; ++which) {
                        if (!counts[which]) continue;
                        const float v = e.v[i][j];
                        float& of_row = row_sums[which * kSide + i];
                        float& of_column = column_sums[which * kSide + j];
                        of_row = Reduce::combine(of_row, Pass::value(v, row_shift[which]));
                        of_column =
                            Reduce::combine(of_column, Pass::value(v, column_shift[which][j]));
                    }
                }
            }
            // Over the eight lanes of a row, the four of a column, then the warps, each in its order.
            const int of_row = scatter_over_lanes<Reduce, 8, 1>(row_sums);
            partial[0].row[of_row / kSide][warp_index() % 2][Exponents::row(of_row % kSide)] =
                row_sums[0];
            const int of_column = scatter_over_lanes<Reduce, 4, 8>(column_sums);
            for (int k = 0; k < 2; ++k)
                partial[0].column[(of_column + k) / kSide][warp_index() / 2]
                                 [Exponents::column((of_column + k) % kSide)] = column_sums[k];
            block_sync();
            // 256 threads, 256 results: (row or column) x (all or same) x 64 samples.
            const int line = thread_index() % kSnnlTile, which = thread_index() / kSnnlTile % 2;
            const bool is_row = thread_index() < 2 * kSnnlTile;
            const int sample = (is_row ? first_i : first_j) + line;
            if (sample < s.n && (is_row || tile_i != tile_j)) {
                double& into = slot[(int64_t(set) * 2 + which) * s.n + sample];
                double sum = into;
                if (is_row)
                    for (int w = 0; w < kWarpColumns; ++w)
                        sum = Reduce::combine(sum, double(partial[0].row[which][w][line]));
                else
                    for (int w = 0; w < kWarpRows; ++w)
                        sum = Reduce::combine(sum, double(partial[0].column[which][w][line]));
                into = sum;
            }
            block_sync();
        }
    }
}

// shifts = the largest over the groups, 0 where there was nothing.
__global__ void snnl_shifts_kernel(const double* __restrict__ maxima,
                                   float* __restrict__ shifts,
                                   SnnlSizes s) {
    const int64_t i = flat_index();
    if (i >= s.c * s.sums()) return;
    const int64_t c = i / s.sums(), rest = i % s.sums();
    double most = Largest::kNothing;
    for (int group = 0; group < s.groups; ++group)
        most = Largest::combine(most, ldg(maxima + (c * s.groups + group) * s.sums() + rest));
    stg(shifts + i, most == Largest::kNothing ? 0.0f : float(most));
}

template <class Pass>
void run_pass(const SnnlSizes& s,
              const int32_t* labels,
              const int32_t* strata,
              const SnnlScratch& scratch,
              Stream stream) {
    const Grid grid{.blocks = s.groups, .blocks_y = s.c, .threads = kThreads};
    launch(s.euclidean ? snnl_sums_kernel<Pass, true> : snnl_sums_kernel<Pass, false>, grid, stream,
           scratch.rows, labels, strata, scratch.shifts, scratch.sums, s);
}

}  // namespace

void snnl_sum(const SnnlSizes& s,
              const int32_t* labels,
              const int32_t* strata,
              const SnnlScratch& scratch,
              Stream stream) {
    if (s.bounded()) return run_pass<Bounded>(s, labels, strata, scratch, stream);
    run_pass<Maximum>(s, labels, strata, scratch, stream);
    launch(snnl_shifts_kernel, flat_grid(s.c * s.sums()), stream, scratch.sums, scratch.shifts, s);
    run_pass<Shifted>(s, labels, strata, scratch, stream);
}

}  // namespace fp::FP_MACHINE
