// Soft nearest neighbour loss, second step: the sums over neighbours, without an N x N matrix.
//
//   all_i  = sum_{near(i,j)} 2^(v_ij - shift)      v_ij = -d_ij log2(e) / T
//   same_i = sum_{near, same label} 2^(v_ij - shift)
//
// for every channel, sample and label set. Where the exponents are bounded (cosine, T >= 0.03) the shift is 0;
// otherwise a first pass over the tiles finds the largest exponent of each sum, which is its shift.
//
// Shapes    halves (C,2,N,D) for cosine, rows (C,N,D) for euclidean; sums (C,groups,sets,2,N) in double
// Threads   256 per block. A block processes a run of one channel's tiles that are on or right of the diagonal
//           (Triangle), which halves the products. It adds the row sums of each tile to the samples of its rows, and
//           the column sums to the samples of its columns, in the block's own slot of `sums`, tile after tile, so the
//           order is fixed and there are no atomics. cosine: 128 x 64 pairs, products on the tensor core
//           (snnl_mma.cuh); euclidean: 64 x 64 pairs, squares of differences in float32, without cancellation.
// Traffic   the rows of every tile from L2; all rows once from HBM if those of a channel fit L2
// Bound     compute: per pair 6 D flops in fp16 (cosine) or 3 D in float32 (euclidean), one exponential (bounded),
//           about 7 instructions, 5 of them per label set; N^2 / 2 pairs per channel
// Hopper    takes snnl_sums_sm90a.cu for cosine where exponents are bounded and the model says that it is faster.
// Model     (bench/gpu/run --model: H200) 512 channels of 1024 samples, D = 49, cosine: 0.78 ms of the 0.84 of the
//           scores (measured: 0.88); the lower bound, three products in fp16, is 0.09. Products reach 19 % of the peak
//           (measured); the rest is D padded to 64, tiles on the diagonal, and the additions after the products.
#include <limits>

#include "kernels/cuda/snnl/snnl_mma.cuh"
#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256;

struct Largest {
    static constexpr float kNothing = -std::numeric_limits<float>::infinity();
    __device__ static float combine(float a, float b) { return fmaxf(a, b); }
    __device__ static double combine(double a, double b) { return fmax(a, b); }
};

// Three passes: what a pair with exponent v adds to a sum of a sample, and how.
struct Bounded {  // sums without shift: one exponential per pair serves all of them
    using Reduce = Add;
    static constexpr bool kShifts = false;
    __device__ static float prepare(float v) { return fast_exp2(v); }
    __device__ static float value(float e, float) { return e; }
};
struct Shifted {
    using Reduce = Add;
    static constexpr bool kShifts = true;
    __device__ static float prepare(float v) { return v; }
    __device__ static float value(float v, float shift) { return fast_exp2(v - shift); }
};
struct Maximum {
    using Reduce = Largest;
    static constexpr bool kShifts = false;
    __device__ static float prepare(float v) { return v; }
    __device__ static float value(float v, float) { return v; }
};

// The exponents of squared distances in float32, with the interface of TensorPairs (snnl_mma.cuh).
struct DifferencePairs : ExponentTile<true> {
    using Tiles = OrdinaryTriangle;
    static constexpr int kRows = kSnnlTile, kColumns = kSnnlTile, kI = kSide, kJ = kSide;
    static constexpr int kRowWarps = 4, kColumnWarps = 2;
    static constexpr int kRowLanes = 8, kRowStep = 1, kColumnLanes = 4, kColumnStep = 8;
    static constexpr size_t kSharedBytes = 0;

    __device__ float& at(int i, int j) { return v[i][j]; }
    __device__ void compute(const SnnlSizes& s, const SnnlScratch& in, int c, Tiles::Place tile, unsigned char*) {
        ExponentTile::compute(s, in.rows + int64_t(c) * s.n * s.stored_d, tile.row, tile.column);
    }
};

// The sums of a tile's rows and columns, one per warp that has part of them.
template <class Exponents>
struct Partial {
    float row[2][Exponents::kColumnWarps][Exponents::kRows];
    float column[2][Exponents::kRowWarps][Exponents::kColumns];
};

template <class Pass, class Exponents>
__global__ void __launch_bounds__(kThreads, 2) snnl_sums_kernel(const __grid_constant__ SnnlScratch in,
                                                                const int32_t* __restrict__ labels,
                                                                const int32_t* __restrict__ strata,
                                                                const __grid_constant__ SnnlSizes s) {
    using Reduce = typename Pass::Reduce;
    constexpr int kI = Exponents::kI, kJ = Exponents::kJ;
    constexpr int kRows = Exponents::kRows, kColumns = Exponents::kColumns;
    SHARED(Partial<Exponents>, partial, [1]);
    DYN_SHARED(unsigned char, panels);

    const int group = int(blockIdx.x), c = int(blockIdx.y);
    const float* shifts = Pass::kShifts ? in.shifts + int64_t(c) * s.sums() : nullptr;
    double* slot = in.sums + (int64_t(c) * s.groups + group) * s.sums();
    for (int64_t i = thread_index(); i < s.sums(); i += kThreads) slot[i] = Reduce::kNothing;

    const typename Exponents::Tiles tiles(s.n);
    const int64_t all = tiles.count(), end = all * (group + 1) / s.groups;
    int64_t tile = all * group / s.groups;
    for (auto place = tiles.at(tile); tile < end; ++tile, place = tiles.behind(place)) {
        const int first_i = place.row * kRows, first_j = place.column * kColumns;
        Exponents e;
        e.compute(s, in, c, place, panels);
        UNROLL
        for (int i = 0; i < kI; ++i) {
            UNROLL
            for (int j = 0; j < kJ; ++j) e.at(i, j) = Pass::prepare(e.at(i, j));
        }

        for (int set = 0; set < s.sets; ++set) {
            const Pairs pairs{labels + int64_t(set) * s.n, strata};
            const float* shift = Pass::kShifts ? shifts + int64_t(set) * 2 * s.n : nullptr;
            const auto shift_of = [&](int which, int i) {
                return Pass::kShifts && i < s.n ? ldg(shift + int64_t(which) * s.n + i) : 0.0f;
            };
            float row_sums[2 * kI], column_sums[2 * kJ];  // all, then same
            for (float& sum : row_sums) sum = Reduce::kNothing;
            for (float& sum : column_sums) sum = Reduce::kNothing;

            Pairs::Sample rows[kI], columns[kJ];
            float row_shift[2][kI];
            bool all_near = !strata && !place.on_diagonal();
            const auto load = [&](Pairs::Sample& sample, int index) {
                sample = pairs.sample(index, s.n);
                all_near = all_near && sample.label >= 0;
            };
            UNROLL
            for (int i = 0; i < kI; ++i) {
                const int index = first_i + Exponents::row(i);
                load(rows[i], index);
                for (int which = 0; which < 2; ++which) row_shift[which][i] = shift_of(which, index);
            }
            UNROLL
            for (int j = 0; j < kJ; ++j) load(columns[j], first_j + Exponents::column(j));
            // In most tiles all pairs are near, and only the labels are compared.
            const auto add_pairs = [&](auto near, auto same) {
                UNROLL
                for (int j = 0; j < kJ; ++j) {
                    const float column_shift[2] = {shift_of(0, columns[j].index), shift_of(1, columns[j].index)};
                    UNROLL
                    for (int i = 0; i < kI; ++i) {
                        const bool counts[2] = {near(rows[i], columns[j]), same(rows[i], columns[j])};
                        UNROLL
                        for (int which = 0; which < 2; ++which) {
                            if (!counts[which]) continue;
                            const float v = e.at(i, j);
                            float& of_row = row_sums[which * kI + i];
                            float& of_column = column_sums[which * kJ + j];
                            of_row = Reduce::combine(of_row, Pass::value(v, row_shift[which][i]));
                            of_column = Reduce::combine(of_column, Pass::value(v, column_shift[which]));
                        }
                    }
                }
            };
            using Sample = Pairs::Sample;
            if (all_near)
                add_pairs([](const Sample&, const Sample&) { return true; },
                          [](const Sample& a, const Sample& b) { return a.label == b.label; });
            else
                add_pairs([](const Sample& a, const Sample& b) { return a.near(b); },
                          [](const Sample& a, const Sample& b) { return a.same(b); });
            // Combines over the lanes of each row and column, then over the warps, in a fixed order.
            const int of_row = scatter_over_lanes<Reduce, Exponents::kRowLanes, Exponents::kRowStep>(row_sums);
            UNROLL
            for (int k = 0; k < 2 * kI / Exponents::kRowLanes; ++k)
                partial[0]
                    .row[(of_row + k) / kI][warp_index() % Exponents::kColumnWarps][Exponents::row((of_row + k) % kI)] =
                    row_sums[k];
            const int of_column =
                scatter_over_lanes<Reduce, Exponents::kColumnLanes, Exponents::kColumnStep>(column_sums);
            UNROLL
            for (int k = 0; k < 2 * kJ / Exponents::kColumnLanes; ++k)
                partial[0].column[(of_column + k) / kJ][warp_index() / Exponents::kColumnWarps]
                                 [Exponents::column((of_column + k) % kJ)] = column_sums[k];
            block_sync();
            const auto add = [&](const auto& parts, int which, int line, int first) {
                if (first + line >= s.n) return;
                double& into = slot[(int64_t(set) * 2 + which) * s.n + first + line];
                double sum = into;
                for (const auto& part : parts[which]) sum = Reduce::combine(sum, double(part[line]));
                into = sum;
            };
            for (int i = thread_index(); i < 2 * kRows; i += kThreads)
                add(partial[0].row, i / kRows, i % kRows, first_i);
            for (int i = thread_index(); i < 2 * kColumns && !place.on_diagonal(); i += kThreads)
                add(partial[0].column, i / kColumns, i % kColumns, first_j);
            block_sync();
        }
    }
}

// The shift of each sum: the largest exponent over the groups, 0 where there is no pair.
__global__ void snnl_shifts_kernel(const double* __restrict__ maxima, float* __restrict__ shifts, SnnlSizes s) {
    const int64_t i = flat_index();
    if (i >= s.c * s.sums()) return;
    const int64_t c = i / s.sums(), rest = i % s.sums();
    double most = Largest::kNothing;
    for (int group = 0; group < s.groups; ++group)
        most = Largest::combine(most, ldg(maxima + (c * s.groups + group) * s.sums() + rest));
    stg(shifts + i, most == Largest::kNothing ? 0.0f : float(most));
}

template <class Pass, class Exponents>
void start(
    const SnnlSizes& s, const int32_t* labels, const int32_t* strata, const SnnlScratch& scratch, Stream stream) {
    const Grid grid{.blocks = s.groups, .blocks_y = s.c, .threads = kThreads, .shared_bytes = Exponents::kSharedBytes};
    launch(snnl_sums_kernel<Pass, Exponents>, grid, stream, scratch, labels, strata, s);
}

template <class Pass>
void run_pass(
    const SnnlSizes& s, const int32_t* labels, const int32_t* strata, const SnnlScratch& scratch, Stream stream) {
    if (s.euclidean) return start<Pass, DifferencePairs>(s, labels, strata, scratch, stream);
    start<Pass, TensorPairs>(s, labels, strata, scratch, stream);
}

}  // namespace

void snnl_sum(
    const SnnlSizes& s, const int32_t* labels, const int32_t* strata, const SnnlScratch& scratch, Stream stream) {
    if (s.bounded) return start<Bounded, TensorPairs>(s, labels, strata, scratch, stream);
    run_pass<Maximum>(s, labels, strata, scratch, stream);
    launch(snnl_shifts_kernel, flat_grid(s.c * s.sums()), stream, scratch.sums, scratch.shifts, s);
    run_pass<Shifted>(s, labels, strata, scratch, stream);
}

}  // namespace fp::FP_MACHINE
