// Soft nearest neighbour loss of every channel, and its gradient. (https://arxiv.org/abs/1902.01889)
//
//   near(i,j)  j != i, both labels known, one stratum     d_ij  1 - u_i.u_j, u = x / |x|, or |x_i - x_j|^2
//   exact        S = mean over the anchors of  log sum_{near} e^{-d/T} - log sum_{near, same label} e^{-d/T}
//   as_released  the second sum also has j = i and 1e-9, and the mean is over all samples that have a near one
//   gradient     G_ij = (q_ij - p_ij) / (T M), p and q the softmaxes of the two sums, M anchors, Sym = G + G^T
//                cosine  du = -Sym u, dx_i = (du_i - (du_i.u_i) u_i) / |x_i|
//                euclidean  dx_i = 2 (sum_j Sym_ij x_i - sum_j Sym_ij x_j)
//
// Steps     prepare (snnl_prepare.cu) -> sums (snnl_sums.cu; on Hopper snnl_sums_sm90a.cu) -> scores, or -> levels ->
//           slopes -> dx
// Shapes    x (N,H,W,C), D = H W; scores (sets,C). Channels are processed in ranges whose scratch memory stays below
//           SnnlShape::scratch_limit.
// Threads   slopes: a block computes 64 rows of one channel's gradient. For each tile of samples it recomputes the
//           exponents and multiplies Sym by the rows at once, so that nothing of size N x N is stored.
// Traffic   slopes: 64 rows twice per tile from L2
// Bound     compute: per channel D N^2 / 2 multiply-adds forward, 2 D N^2 backward
// Model     (bench/gpu/run --model: H200) 512 channels of 1024 samples, D = 49: scores 0.84 ms on mma.sync (measured:
//           0.88), with the gradient 4.8; the lower bounds are 0.09 and 1.8. The slopes are computed in float32; D is
//           padded to 56 for their exponents and to 64 for their product.
#include "kernels/cuda/snnl/snnl.cuh"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256;
constexpr double kReleasedEps = 1e-9;
constexpr double kLn2 = 0.693147180559945309;

// The total of sum `which` (0 all, 1 same) of a sample: the sums of its groups added in order. `shift` is a power of
// two.
struct WholeSum {
    double sum, shift;
    __device__ WholeSum(const SnnlSizes& s, const SnnlScratch& in, int c, int set, int which, int i)
        : sum(0), shift(0) {
        const int64_t place = (int64_t(set) * 2 + which) * s.n + i;
        for (int group = 0; group < s.groups; ++group)
            sum += ldg(in.sums + (int64_t(c) * s.groups + group) * s.sums() + place);
        if (!s.bounded) shift = ldg(in.shifts + int64_t(c) * s.sums() + place);
    }
    __device__ bool empty() const { return sum == 0; }  // no term underflows
    __device__ double log() const { return (log2(sum) + shift) * kLn2; }
    __device__ double value() const { return sum * exp2(shift); }
};

// One block per channel and set.
__global__ void snnl_scores_kernel(SnnlScratch in, double temperature, double* scores, SnnlSizes s) {
    const int c = int(blockIdx.x), set = int(blockIdx.y);
    double sum = 0, anchors = 0;
    for (int i = thread_index(); i < s.n; i += kThreads) {
        const WholeSum all(s, in, c, set, 0, i), same(s, in, c, set, 1, i);
        if (all.empty() || (!s.released && same.empty())) continue;
        anchors += 1;
        if (s.released) {
            double own = 1;  // e^{-d_ii / T}; a zero vector has distance 1 from itself too
            if (!s.euclidean) {
                const double length = fmin(ldg(in.norms + int64_t(c) * s.n + i) / double(kSmallestNorm), 1.0);
                own = exp((length * length - 1) / temperature);
            }
            sum += all.log() - log(same.value() + own + kReleasedEps);
        } else {
            sum += all.log() - same.log();
        }
    }
    sum = block_sum<kThreads>(sum);
    anchors = block_sum<kThreads>(anchors);
    if (thread_index() == 0) scores[int64_t(set) * s.all_c + s.first + c] = sum / anchors;  // 0 / 0 is NaN
}

// ---- gradient

// Logarithms of the sums, one block per channel. A sample that is no anchor gets +inf, which makes its p and q 0.
__global__ void snnl_levels_kernel(SnnlScratch in, SnnlSizes s) {
    const int c = int(blockIdx.x);
    float count = 0;
    for (int i = thread_index(); i < s.n; i += kThreads) {
        const WholeSum all(s, in, c, 0, 0, i), same(s, in, c, 0, 1, i);
        const bool anchor = !same.empty();
        float* level = in.levels + int64_t(c) * 2 * s.n + i;
        stg(level, anchor ? float(log2(all.sum) + all.shift) : INFINITY);
        stg(level + s.n, anchor ? float(log2(same.sum) + same.shift) : INFINITY);
        count += anchor;
    }
    count = block_sum<kThreads>(count);
    if (thread_index() == 0) in.anchors[c] = count;
}

struct Levels {  // of one sample
    float all, same;
    __device__ static Levels load(const float* levels, int i, int n) {
        if (i >= n) return {INFINITY, INFINITY};
        return {ldg(levels + i), ldg(levels + n + i)};
    }
    __device__ float pull(float v, bool same_label) const {  // T M G
        return (same_label ? fast_exp2(v - same) : 0) - fast_exp2(v - all);
    }
};

// Loads 64 numbers of each row of tile J, as operand B of the product with Sym.
struct ColumnSource {
    AlongLines<kSnnlTile> b;
    const float* rows;
    int row, last;
    bool inside;

    __device__ ColumnSource(const SnnlSizes& s, const float* rows_, int first_j, int first_d)
        : rows(rows_ + first_d + b.line), row(first_j + b.k), last(s.n) {
        inside = b.takes_part(thread_index()) && first_d + b.line < s.stored_d;
    }
    __device__ void fetch(int stored_d) {
        b.v = inside && row < last ? load_pack(rows + int64_t(row) * stored_d) : Pack<float>{};
        row += 8;
    }
};

template <bool kEuclidean>
__global__ void __launch_bounds__(kThreads, 2) snnl_slopes_kernel(SnnlScratch in,
                                                                  const int32_t* __restrict__ labels,
                                                                  const int32_t* __restrict__ strata,
                                                                  SnnlSizes s) {
    using Exponents = ExponentTile<kEuclidean>;
    using Tile = GemmTile<kSnnlTile, kSnnlTile>;
    constexpr int kSide = Exponents::kSide, kPanels = kSnnlTile / Tile::kK;
    SHARED(Tile::A, sym, [kPanels]);  // -Sym^T of the tile: [j / 8][j % 8][i]
    SHARED(Tile::B, columns, [2]);

    const int tile_i = int(blockIdx.x), first_i = tile_i * kSnnlTile, c = int(blockIdx.y);
    const float* rows = in.rows + int64_t(c) * s.n * s.stored_d;
    const float* levels = in.levels + int64_t(c) * 2 * s.n;
    float* slopes = in.slopes + int64_t(c) * s.n * s.stored_d;
    const int chunks = int(ceil_div(s.stored_d, kSnnlTile));
    const Pairs pairs{labels, strata};
    typename Tile::Sums sums = {};
    float row_sums[kSide] = {};

    for (int tile_j = 0; tile_j < s.tiles; ++tile_j) {
        const int first_j = tile_j * kSnnlTile;
        Exponents e;
        e.compute(s, rows, tile_i, tile_j);
        UNROLL
        for (int i = 0; i < kSide; ++i) {
            const int row = first_i + Exponents::row(i);
            const Pairs::Sample a = pairs.sample(row, s.n);
            const Levels level_a = Levels::load(levels, row, s.n);
            UNROLL
            for (int j = 0; j < kSide; ++j) {
                const int column = Exponents::column(j);
                const Pairs::Sample b = pairs.sample(first_j + column, s.n);
                const Levels level_b = Levels::load(levels, first_j + column, s.n);
                const bool same = a.same(b);
                const float v = e.v[i][j];
                const float both = a.near(b) ? level_a.pull(v, same) + level_b.pull(v, same) : 0;
                sym[column / Tile::kK][column % Tile::kK][Exponents::row(i)] = -both;
                row_sums[i] += both;
            }
        }
        for (int chunk = 0; chunk < chunks; ++chunk) {
            const int first_d = chunk * kSnnlTile;
            const auto for_slopes = [&](auto visit) {
                Tile::for_outputs(sums, [&](int row, int column, const Pack<float>& four) {
                    if (first_i + row < s.n && first_d + column < s.stored_d)
                        visit(slopes + int64_t(first_i + row) * s.stored_d + first_d + column, four);
                });
            };
            if (chunks > 1)  // a single chunk keeps its sums in registers over all tiles
                for (auto& row : sums)
                    for (float& sum : row) sum = 0;
            ColumnSource source(s, rows, first_j, first_d);
            source.fetch(s.stored_d);
            source.b.place(columns[0]);
            block_sync();  // sym and the first panel are visible to all threads
            for (int panel = 0; panel < kPanels; ++panel) {
                if (panel + 1 < kPanels) source.fetch(s.stored_d);
                Tile::multiply(sym[panel], columns[panel % 2], sums);
                if (panel + 1 < kPanels) source.b.place(columns[(panel + 1) % 2]);
                block_sync();
            }
            if (chunks > 1)
                for_slopes([&](float* at, const Pack<float>& four) {
                    store_gradient(at, four, tile_j == 0 ? Write::replace : Write::add);
                });
            else if (tile_j + 1 == s.tiles)
                for_slopes([&](float* at, const Pack<float>& four) { store_pack(at, four); });
        }
    }
    if constexpr (kEuclidean) {
        SHARED(float, row_parts, [2][kSnnlTile]);
        UNROLL
        for (int i = 0; i < kSide; ++i) {
            for (int lanes = 1; lanes < 8; lanes *= 2) row_sums[i] += shuffle_xor(row_sums[i], lanes);
            if (lane_index() % 8 == 0) row_parts[warp_index() % 2][Exponents::row(i)] = row_sums[i];
        }
        block_sync();
        const int row = thread_index();
        if (row < kSnnlTile && first_i + row < s.n)
            stg(in.slope_sums + int64_t(c) * s.n + first_i + row, row_parts[0][row] + row_parts[1][row]);
    }
}

// From rows back to NHWC. A block processes one sample and 32 channels, as in snnl_prepare.cu.
constexpr int kSquare = 32;
constexpr int kSteps = kThreads / kSquare;

template <class A>
__global__ void snnl_dx_kernel(
    SnnlScratch in, const double* __restrict__ dscore, float temperature, A* dx, Write write, SnnlSizes s) {
    SHARED(float, square, [kSquare][kSquare + 1]);
    SHARED(float, along, [kSquare]);   // du.u of each channel
    SHARED(float, factor, [kSquare]);  // the factor of its slope
    const int i = int(blockIdx.x), first_channel = int(blockIdx.y) * kSquare;
    const int fast = thread_index() % kSquare, slow = thread_index() / kSquare;
    const auto row_of = [&](int c) { return (int64_t(first_channel + c) * s.n + i) * s.stored_d; };

    for (int c = slow; c < kSquare; c += kSteps) {  // one warp per channel
        const bool scored = first_channel + c < s.c;
        float sum = 0;
        for (int d = fast; scored && !s.euclidean && d < s.d; d += kSquare)
            sum = fused_multiply_add(ldg(in.slopes + row_of(c) + d), ldg(in.rows + row_of(c) + d), sum);
        sum = warp_sum(sum);
        if (fast != 0) continue;
        float scale = 0;
        if (scored) {
            const float norm = s.euclidean ? 1 : ldg(in.norms + int64_t(first_channel + c) * s.n + i);
            const float count = ldg(in.anchors + first_channel + c);
            if (count > 0 && norm >= kSmallestNorm)
                scale = float(ldg(dscore + s.first + first_channel + c)) / (temperature * count * norm);
        }
        along[c] = sum;
        factor[c] = scale;
    }
    block_sync();
    for (int first_d = 0; first_d < s.d; first_d += kSquare) {
        for (int c = slow; c < kSquare; c += kSteps) {
            float v = 0;
            if (first_channel + c < s.c && first_d + fast < s.d && factor[c] != 0) {
                const float slope = ldg(in.slopes + row_of(c) + first_d + fast);
                const float own = ldg(in.rows + row_of(c) + first_d + fast);
                v = s.euclidean ? 2 * (ldg(in.slope_sums + int64_t(first_channel + c) * s.n + i) * own + slope)
                                : slope - along[c] * own;
                v *= factor[c];
            }
            square[fast][c] = v;
        }
        block_sync();
        for (int d = slow; d < kSquare; d += kSteps)
            if (first_d + d < s.d && first_channel + fast < s.written_c()) {
                A* slot = dx + (int64_t(i) * s.d + first_d + d) * s.stored_c + s.first + first_channel + fast;
                const float v = square[d][fast];
                store_one(slot, write == Write::add ? load_one(slot) + v : v);
            }
        block_sync();
    }
}

// ---- launchers

// Channels per range: a multiple of kSquare, in ranges of nearly equal size.
int channels_at_once(SnnlSizes s, size_t limit, bool gradient) {
    s.c = kSquare;
    const auto squares = int64_t(limit / SnnlScratch::in(s, nullptr, gradient).bytes);
    const int64_t most = std::clamp<int64_t>(squares, 1, ceil_div(s.all_c, kSquare)) * kSquare;
    const int64_t ranges = ceil_div(s.all_c, most);
    return int(round_up(ceil_div(s.all_c, ranges), kSquare));
}

template <class Work>
void for_each_range(const SnnlShape& shape, bool hopper, bool gradient, Work work) {
    SnnlSizes s = SnnlSizes::of(shape, hopper);
    const int at_once = channels_at_once(s, shape.scratch_limit, gradient);
    for (; s.first < s.all_c; s.first += at_once) {
        s.c = std::min(at_once, s.all_c - s.first);
        work(s);
    }
}

// kHopper: of the GPU's generation.
template <bool kHopper>
size_t scratch_bytes(const SnnlShape& shape, bool gradient) {
    SnnlSizes s = SnnlSizes::of(shape, kHopper);
    s.c = std::min(channels_at_once(s, shape.scratch_limit, gradient), s.all_c);
    return SnnlScratch::in(s, nullptr, gradient).bytes;
}

void sum(const SnnlSizes& s, const int32_t* labels, const int32_t* strata, const SnnlScratch& scratch, Stream stream) {
    (s.kernel == SnnlKernel::wgmma ? snnl_sum_wgmma : snnl_sum)(s, labels, strata, scratch, stream);
}

template <class A, bool kHopper>
void forward(const SnnlShape& shape, const Snnl::Forward& a, void* scratch_, Stream stream) {
    for_each_range(shape, kHopper, false, [&](const SnnlSizes& s) {
        const SnnlScratch scratch = SnnlScratch::in(s, scratch_, false);
        snnl_prepare(s, as<A>(a.x), scratch, stream);
        sum(s, a.labels, a.strata, scratch, stream);
        launch(snnl_scores_kernel, Grid{.blocks = s.c, .blocks_y = s.sets, .threads = kThreads}, stream, scratch,
               shape.temperature, a.scores, s);
    });
}

template <class A, bool kHopper>
void backward(const SnnlShape& shape, const Snnl::Backward& a, void* scratch_, Stream stream) {
    FP_CHECK(shape.sets == 1 && shape.definition == SnnlShape::Definition::exact,
             "snnl: the gradient is that of one label set's exact score");
    for_each_range(shape, kHopper, true, [&](const SnnlSizes& s) {
        const SnnlScratch scratch = SnnlScratch::in(s, scratch_, true);
        snnl_prepare(s, as<A>(a.x), scratch, stream);
        sum(s, a.labels, a.strata, scratch, stream);
        launch(snnl_levels_kernel, Grid{.blocks = s.c, .threads = kThreads}, stream, scratch, s);
        launch(s.euclidean ? snnl_slopes_kernel<true> : snnl_slopes_kernel<false>,
               Grid{.blocks = s.tiles, .blocks_y = s.c, .threads = kThreads}, stream, scratch, a.labels, a.strata, s);
        launch(snnl_dx_kernel<A>,
               Grid{.blocks = s.n, .blocks_y = ceil_div(s.written_c(), kSquare), .threads = kThreads}, stream, scratch,
               a.dscore, float(shape.temperature), as<A>(a.dx), a.write, s);
    });
}

template <class A, bool kHopper>
constexpr Snnl snnl{
    .scratch_bytes = scratch_bytes<kHopper>, .forward = forward<A, kHopper>, .backward = backward<A, kHopper>};

}  // namespace

extern const Snnl snnl_f32{snnl<float, false>}, snnl_f32_sm90a{snnl<float, true>};
extern const Snnl snnl_bf16{snnl<bf16, false>}, snnl_bf16_sm90a{snnl<bf16, true>};

}  // namespace fp::FP_MACHINE
