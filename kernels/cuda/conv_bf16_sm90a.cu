// Forward convolution in bf16 on Hopper's warpgroup products, fed by the tensor memory unit.
//
//   y[n,p,q,k] = act(bias[k] + residual[n,p,q,k] + sum_rsc w[k,r,s,c] x[n,h,w,c])
//
// Shapes    x (N,H,W,C)  w (K,R,S,C), both bf16, C a multiple of 8   y (N,P,Q,K)   sums float32
// As GEMM   M = NPQ pixels, N = K, the sum over taps and chunks of 64 channels. The unit's im2col copies
//           bring 256 or 128 pixels x 64 channels of one tap, a tiled copy the filters' same 64; outside the
//           map, beyond the last channel and the last filter they bring zeros, so nothing is masked.
// Threads   384: a warpgroup of which one thread starts copies, and two that multiply half of the pixels
//           each. Four stages; `full` says that a stage's bytes are here, `empty` that both have read them.
//           A chunk's products stop at the last 16 that hold channels: 72 channels cost 80.
// Epilogue  each warp has 16 rows of shared memory to itself: the residual comes there by asynchronous
//           copies (the first 16 during the products), is read as fragments, and the result leaves the same
//           way, so that global memory sees whole rows of 16-byte pieces. Moments of the output are taken
//           of the same rows, two columns a lane, and joined over the eight warps.
// Traffic   a block reads its pixels once a tap and its filters once from L2; HBM sees bytes(2)
// Bound     compute from 128 channels on; at 64 it is L2, which sees every pixel nine times. Model (tiles.h):
//           a 3x3 of 128 channels at 28x28, batch 256, takes 132 us; the floor is 75 us
// Needs     sm_90a; pads up to 127. What it does not fit (the image's 4 channels) runs by conv_bf16.cu.
#include "hopper.cuh"
#include "kernels/cuda/conv.cuh"
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/tiles.h"

namespace fp::FP_MACHINE {

extern const Conv conv_bf16;

namespace {

constexpr int kChunk = TensorMapSpec::kRow, kStages = 4;
constexpr int kConsumers = 2, kThreads = (1 + kConsumers) * kWarpgroup;
constexpr int kGroupWarps = kWarpgroup / kWarp;
constexpr int kProductRows = 64, kWarpRows = 16;  // of a product, and of it in one warp

template <int kPixels_, int kFilters_>
struct WgmmaTile {
    static constexpr int kPixels = kPixels_, kFilters = kFilters_;
    static constexpr int kPixelBytes = kPixels * kChunk * 2, kFilterBytes = kFilters * kChunk * 2;
    static constexpr int kStageBytes = kPixelBytes + kFilterBytes;
    static constexpr int kProducts =
        kPixels / kConsumers / kProductRows;  // of a consumer, side by side
    static constexpr int kRow =
        kFilters + 8;  // of a result; 8 more, so that rows take turns at the banks

    using Sums = float[kProducts][kFilters / 2];
    struct Shared {
        unsigned char stage[kStages][kStageBytes];
        bf16 result[kConsumers * kProductRows][kRow];
        Mbarrier full[kStages], empty[kStages];
    };
    // Where the consumer's product begins among the block's pixels.
    __device__ static int first_row(int consumer, int product) {
        return (consumer * kProducts + product) * kProductRows;
    }
};

// What the products of a block go through: all whole chunks of 64 channels, tap by tap, then all last ones.
struct Steps {
    int taps, whole_chunks;  // a tap has so many whole chunks
    int tail;                // channels of the last one
    __device__ explicit Steps(const ConvSizes& g)
        : taps(g.r * g.s), whole_chunks(g.c / kChunk), tail(g.c % kChunk) {}
    __device__ int whole() const { return taps * whole_chunks; }
    __device__ int all() const { return whole() + (tail > 0 ? taps : 0); }
};

template <class Tile>
__device__ void bring(typename Tile::Shared& shared,
                      const TensorMap& pixels,
                      const TensorMap& filters,
                      const ConvSizes& g,
                      int first_pixel,
                      int first_filter) {
    const Steps steps(g);
    const int q = first_pixel % g.q, p = first_pixel / g.q % g.p, n = first_pixel / g.q / g.p;
    for (int i = 0; i < steps.all(); ++i) {
        const bool whole = i < steps.whole();
        const int tap = whole ? i / steps.whole_chunks : i - steps.whole();
        const int chunk = whole ? i % steps.whole_chunks : steps.whole_chunks;
        const int stage = i % kStages, round = i / kStages;
        if (round > 0) mbarrier_wait(&shared.empty[stage], (round - 1) % 2);
        mbarrier_arrive_expect(&shared.full[stage], Tile::kStageBytes);
        tensor_load_im2col(shared.stage[stage], pixels, chunk * kChunk, q * g.stride - g.pad,
                           p * g.stride - g.pad, n, tap % g.s, tap / g.s, &shared.full[stage]);
        tensor_load_3d(shared.stage[stage] + Tile::kPixelBytes, filters, chunk * kChunk, tap,
                       first_filter, &shared.full[stage]);
    }
}

// Steps [begin, end), each of kDeep products of 16 channels. A fixed number of them, since ptxas gives up
// the overlap of products under a branch.
template <class Tile, int kDeep>
__device__ void multiply(
    typename Tile::Shared& shared, int begin, int end, int consumer, typename Tile::Sums& sums) {
    for (int i = begin; i < end; ++i) {
        const int stage = i % kStages;
        mbarrier_wait(&shared.full[stage], i / kStages % 2);
        const unsigned char* rows = shared.stage[stage] + Tile::first_row(consumer, 0) * 128;
        const unsigned char* columns = shared.stage[stage] + Tile::kPixelBytes;
        wgmma_fence();
        UNROLL
        for (int k = 0; k < kDeep; ++k) {
            UNROLL
            for (int m = 0; m < Tile::kProducts; ++m)
                wgmma_bf16<Tile::kFilters>(sums[m],
                                           row_descriptor(rows + m * kProductRows * 128 + k * 32),
                                           row_descriptor(columns + k * 32), i > 0 || k > 0);
        }
        wgmma_commit();
        wgmma_wait<1>();  // this step's go on; the one before is over, and its stage free
        if (i > begin && lane_index() == 0) mbarrier_arrive(&shared.empty[(i - 1) % kStages]);
    }
    wgmma_wait<0>();
    if (end > begin && lane_index() == 0) mbarrier_arrive(&shared.empty[(end - 1) % kStages]);
}

template <class Tile>
__device__ void multiply_all(typename Tile::Shared& shared,
                             const ConvSizes& g,
                             int consumer,
                             typename Tile::Sums& sums) {
    const Steps steps(g);
    const int whole = steps.whole(), all = steps.all();
    multiply<Tile, 4>(shared, 0, whole, consumer, sums);
    if (whole == all) return;
    if (steps.tail <= 16) return multiply<Tile, 1>(shared, whole, all, consumer, sums);
    if (steps.tail <= 32) return multiply<Tile, 2>(shared, whole, all, consumer, sums);
    if (steps.tail <= 48) return multiply<Tile, 3>(shared, whole, all, consumer, sums);
    multiply<Tile, 4>(shared, whole, all, consumer, sums);
}

struct Epilogue {
    const float* bias;
    const bf16* residual;
    bool relu;
    bf16* y;
    MomentsOut moments;
};

// body(row of the warp's 16, column, offset in y) for this lane's pieces of 8 outputs that exist.
template <int kFilters, class Body>
__device__ void for_pieces(const ConvSizes& g, int first_pixel, int first_filter, Body body) {
    constexpr int kPieces = kFilters / 8;
    for (int i = lane_index(); i < kWarpRows * kPieces; i += kWarp) {
        const int row = i / kPieces, column = i % kPieces * 8;
        const int pixel = first_pixel + row, k = first_filter + column;
        if (pixel < g.pixels_out() && k < g.y_c) body(row, column, int64_t(pixel) * g.y_c + k);
    }
}

__device__ inline float2 halves(uint32_t pair) {
    return {to_float(bf16{uint16_t(pair)}), to_float(bf16{uint16_t(pair >> 16)})};
}

// Fragments to the warp's rows: bias, residual (which lies there), ReLU, rounding.
template <int kFilters, class Row>
__device__ void finish(const float (&sums)[kFilters / 2],
                       Row* result,
                       const ConvSizes& g,
                       int first_filter,
                       const Epilogue& to) {
    const int l = lane_index();
    UNROLL
    for (int j = 0; j < kFilters / 16; ++j) {
        bf16* place = &result[l % 16][j * 16 + l / 16 * 8];
        uint32_t pairs[4] = {};  // rows 0-7 and 8-15 of columns 0-7, then of 8-15
        if (to.residual) ldmatrix_x4(pairs, place);
        UNROLL
        for (int m = 0; m < 4; ++m) {
            float2 v = halves(pairs[m]);
            const int column = first_filter + j * 16 + m / 2 * 8 + l % 4 * 2;
            v.x += sums[j * 8 + m * 2];
            v.y += sums[j * 8 + m * 2 + 1];
            if (to.bias && column < g.y_c) {
                const float2 bias = ldg(reinterpret_cast<const float2*>(to.bias + column));
                v.x += bias.x;
                v.y += bias.y;
            }
            if (to.relu) v = {v.x <= 0 ? 0 : v.x, v.y <= 0 ? 0 : v.y};
            pairs[m] = pack_bf16(v.x, v.y);
        }
        stmatrix_x4(place, pairs);
    }
}

// Two columns of a warp's rows, `rows` of which exist.
template <class Row>
__device__ void see(RowMoments<2>& seen, const Row* result, int word, int rows) {
    for (int row = 0; row < rows; ++row) {
        const float2 v = halves(reinterpret_cast<const uint32_t*>(result[row])[word]);
        seen.add({v.x, v.y});
    }
}

template <class Tile>
__global__ void __launch_bounds__(kThreads, 1)
    conv_forward_wgmma_kernel(const __grid_constant__ TensorMap pixels,
                              const __grid_constant__ TensorMap filters,
                              const __grid_constant__ ConvSizes g,
                              const __grid_constant__ Epilogue to) {
    constexpr int kFilters = Tile::kFilters;
    DYN_SHARED(typename Tile::Shared, memory);
    auto& shared = *memory;
    if (thread_index() == 0) {
        for (int i = 0; i < kStages; ++i) {
            mbarrier_init(&shared.full[i], 1);
            mbarrier_init(&shared.empty[i],
                          kConsumers * kGroupWarps);  // a lane of every warp that reads
        }
        mbarrier_init_fence();
    }
    block_sync();
    const int first_pixel = int(blockIdx.x) * Tile::kPixels;
    const int first_filter = int(blockIdx.y) * kFilters;
    const int warpgroup =
        shuffle(thread_index() / kWarpgroup, 0);  // the compiler sees that it is one
    if (warpgroup == 0) {
        if (thread_index() == 0) bring<Tile>(shared, pixels, filters, g, first_pixel, first_filter);
        return;
    }

    const int consumer = warpgroup - 1, warp = warp_index() - kGroupWarps;
    auto* result = &shared.result[warp * kWarpRows];
    const auto pixel_of = [&](int product) {
        return first_pixel + Tile::first_row(consumer, product) + warp % kGroupWarps * kWarpRows;
    };
    const auto bring_residual = [&](int product) {
        if (!to.residual) return;
        for_pieces<kFilters>(g, pixel_of(product), first_filter,
                             [&](int row, int column, int64_t offset) {
                                 cp_async16(&result[row][column], to.residual + offset);
                             });
        cp_async_commit();
    };
    bring_residual(0);
    typename Tile::Sums sums;
    multiply_all<Tile>(shared, g, consumer, sums);

    constexpr int kWords = (kFilters + 2 * kWarp - 1) / (2 * kWarp);  // a lane's pairs of columns
    RowMoments<2> seen[kWords];
    const auto word_of = [&](int i) { return lane_index() + i * kWarp; };
    UNROLL
    for (int m = 0; m < Tile::kProducts; ++m) {
        if (m > 0) {
            warp_sync();  // the rows before have left
            bring_residual(m);
        }
        cp_async_wait<0>();
        warp_sync();
        finish<kFilters>(sums[m], result, g, first_filter, to);
        warp_sync();
        for_pieces<kFilters>(g, pixel_of(m), first_filter,
                             [&](int row, int column, int64_t offset) {
                                 stg(reinterpret_cast<uint4*>(to.y + offset),
                                     *reinterpret_cast<const uint4*>(&result[row][column]));
                             });
        if (!to.moments.data) continue;
        const int rows = min(g.pixels_out() - pixel_of(m), kWarpRows);
        UNROLL
        for (int i = 0; i < kWords; ++i)
            if (word_of(i) < kFilters / 2) see(seen[i], result, word_of(i), rows);
    }
    if (!to.moments.data) return;

    // Each warp's moments into its own rows, which have left; then a thread a column joins the eight.
    constexpr int kWarpBytes = kWarpRows * Tile::kRow * int(sizeof(bf16));
    const auto moments_of = [&](int of_warp) {
        return reinterpret_cast<ColumnMoments*>(reinterpret_cast<unsigned char*>(shared.result) +
                                                of_warp * kWarpBytes);
    };
    static_assert(kFilters * sizeof(ColumnMoments) <= kWarpBytes);
    warp_sync();
    UNROLL
    for (int i = 0; i < kWords; ++i)
        for (int e = 0; e < 2 && word_of(i) < kFilters / 2; ++e)
            moments_of(warp)[word_of(i) * 2 + e] = seen[i].column(e);
    named_sync(1, kConsumers * kWarpgroup);
    store_joined<kConsumers * kGroupWarps, kFilters>(
        moments_of, thread_index() - kWarpgroup, g.y_c - first_filter, first_filter, to.moments);
}

bool fits(const ConvSizes& g) { return g.c % 8 == 0 && g.pad <= 127 && g.stride <= 8; }

TensorMap pixel_map(const ConvSizes& g, const bf16* x, int pixels) {
    return encode({.base = x,
                   .rank = 4,
                   .size = {g.c, g.w, g.h, g.n},
                   .stride = {1, g.c, int64_t(g.w) * g.c, int64_t(g.h) * g.w * g.c},
                   .im2col = true,
                   .pixels = pixels,
                   .lower = {-g.pad, -g.pad},
                   .upper = {g.pad - (g.s - 1), g.pad - (g.r - 1)},
                   .step = g.stride});
}
TensorMap filter_map(const ConvSizes& g, const bf16* w, int filters) {
    return encode({.base = w,
                   .rank = 3,
                   .size = {g.c, g.r * g.s, g.k},
                   .stride = {1, g.c, g.taps_c()},
                   .box = {kChunk, 1, filters}});
}

template <int kPixels, int kFilters>
void start(const ConvSizes& g, const bf16* x, const bf16* w, const Epilogue& to, Stream stream) {
    using Tile = WgmmaTile<kPixels, kFilters>;
    const Grid grid{.blocks = ceil_div(g.pixels_out(), kPixels),
                    .blocks_y = ceil_div(g.y_c, kFilters),
                    .threads = kThreads,
                    .shared_bytes = sizeof(typename Tile::Shared)};
    launch(conv_forward_wgmma_kernel<Tile>, grid, stream, pixel_map(g, x, kPixels),
           filter_map(g, w, kFilters), g, to);
}

TileSize tile_of(const ConvSizes& g) {
    const MatrixProduct product{.m = g.pixels_out(),
                                .n = g.y_c,
                                .depth = int64_t(g.r) * g.s * round_up(g.c, 16),
                                .element_bytes = sizeof(bf16),
                                .peak = kDevice.bf16_matrix};
    return best_tile(product, kWgmmaTiles).tile;
}
void wgmma_forward(
    const ConvSizes& g, const bf16* x, const bf16* w, const Epilogue& to, Stream stream) {
    const TileSize size = tile_of(g);
    if (size == TileSize{256, 128}) return start<256, 128>(g, x, w, to, stream);
    if (size == TileSize{256, 64}) return start<256, 64>(g, x, w, to, stream);
    if (size == TileSize{128, 128}) return start<128, 128>(g, x, w, to, stream);
    if (size == TileSize{128, 96}) return start<128, 96>(g, x, w, to, stream);
    if (size == TileSize{128, 64}) return start<128, 64>(g, x, w, to, stream);
    start<128, 32>(g, x, w, to, stream);
}

int moments_rows(const ConvShape& s) {
    const ConvSizes g = ConvSizes::of(s);
    return fits(g) ? tile_of(g).m : conv_bf16.moments_rows(s);
}

void forward_moments(const ConvShape& s,
                     const act* x,
                     const par* w,
                     const par* bias,
                     act* y,
                     const Moments& moments,
                     void* scratch,
                     Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    if (!fits(g)) return conv_bf16.forward_moments(s, x, w, bias, y, moments, scratch, stream);
    conv_bf16.prepare(s, false, false, w, scratch, stream);
    const MomentsOut out{.data = static_cast<float*>(moments.data),
                         .chunks = ceil_div(g.pixels_out(), tile_of(g).m)};
    wgmma_forward(g, static_cast<const bf16*>(x), static_cast<const bf16*>(scratch),
                  {static_cast<const float*>(bias), nullptr, false, static_cast<bf16*>(y), out},
                  stream);
}

void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    forward_moments(s, x, w, bias, y, {}, scratch, stream);
}

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    if (!fits(g)) return conv_bf16.infer(s, x, prepared, bias, residual, relu, y, scratch, stream);
    wgmma_forward(g, static_cast<const bf16*>(x), static_cast<const bf16*>(prepared),
                  {static_cast<const float*>(bias),
                   static_cast<const bf16*>(residual),
                   relu,
                   static_cast<bf16*>(y),
                   {}},
                  stream);
}

}  // namespace

// The gradients are conv_bf16.cu's, whose constants another file holds: so they are called, not copied.
extern const Conv conv_bf16_sm90a{
    .scratch_bytes = [](const ConvShape& s) { return conv_bf16.scratch_bytes(s); },
    .forward = forward,
    .backward_data =
        [](const ConvShape& s,
           const act* dy,
           const par* w,
           act* dx,
           Write write,
           void* scratch,
           Stream stream) { conv_bf16.backward_data(s, dy, w, dx, write, scratch, stream); },
    .backward_filter =
        [](const ConvShape& s,
           const act* x,
           const act* dy,
           par* dw,
           par* dbias,
           Write write,
           void* scratch,
           Stream stream) {
            conv_bf16.backward_filter(s, x, dy, dw, dbias, write, scratch, stream);
        },
    .prepared_bytes = [](const ConvShape& s,
                         bool residual,
                         bool relu) { return conv_bf16.prepared_bytes(s, residual, relu); },
    .prepare = [](const ConvShape& s,
                  bool residual,
                  bool relu,
                  const par* w,
                  void* prepared,
                  Stream stream) { conv_bf16.prepare(s, residual, relu, w, prepared, stream); },
    .infer = infer,
    .moments_rows = moments_rows,
    .forward_moments = forward_moments};

}  // namespace fp::FP_MACHINE
