// Soft nearest neighbour loss, first step: the samples of every channel as rows.
//
//   rows[c][i][d] = x[i,d,c] / max(|x_ic|, 1e-12)  (cosine), x[i,d,c] (euclidean);  norms[c][i] = |x_ic|
//   halves[c][0..1][i] = fp16(v), fp16(v - fp16(v)) with v = half_scale rows[c][i]      (cosine): v to 22 bits
//
// Shapes    x (N,D,C) is NHWC; rows (C,N,D rounded up to 8), halves (C,2,N,D rounded up to 16), zeros behind D
// Threads   A block processes one sample and 32 channels, and transposes them in shared memory, so that it reads along
//           channels and writes along D.
// Traffic   x twice (the second time from L1), halves once; rows once, where they are needed: the scores of cosine do
//           not need them
// Bound     memory. Model: 512 channels of 1024 samples, D = 49, float32: 56 us; the lower bound, x once, is 24
#include "kernels/cuda/snnl/snnl.cuh"

#include <algorithm>
#include <cmath>

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256;
constexpr int kSide = 32;  // of the square that is transposed
constexpr int kSteps = kThreads / kSide;

template <class A>
__global__ void snnl_prepare_kernel(const A* __restrict__ x,
                                    float* __restrict__ rows,
                                    f16* __restrict__ halves,
                                    float* __restrict__ norms,
                                    SnnlSizes s) {
    SHARED(float, square, [kSide][kSide + 1]);
    SHARED(float, parts, [kSteps][kSide]);
    const int i = int(blockIdx.x), first_channel = int(blockIdx.y) * kSide;
    const int fast = thread_index() % kSide, slow = thread_index() / kSide;
    const A* sample = x + int64_t(i) * s.d * s.stored_c + s.first + first_channel + fast;
    const bool reads = first_channel + fast < s.c;

    float sum = 0;
    for (int d = slow; reads && d < s.d; d += kSteps) {
        const float v = load_one(sample + int64_t(d) * s.stored_c);
        sum = fused_multiply_add(v, v, sum);
    }
    parts[slow][fast] = sum;
    block_sync();
    float square_norm = 0;
    for (int part = 0; part < kSteps; ++part) square_norm += parts[part][fast];
    const float norm = sqrtf(square_norm);
    const float divisor = s.euclidean ? 1 : fmaxf(norm, kSmallestNorm);
    if (slow == 0 && reads) stg(norms + int64_t(first_channel + fast) * s.n + i, norm);

    for (int first_d = 0; first_d < s.stored_h; first_d += kSide) {
        for (int d = slow; d < kSide; d += kSteps) {
            const bool inside = reads && first_d + d < s.d;
            square[d][fast] = inside ? load_one(sample + int64_t(first_d + d) * s.stored_c) / divisor : 0;
        }
        block_sync();
        for (int c = slow; c < kSide && first_channel + c < s.c; c += kSteps) {
            const int64_t row = int64_t(first_channel + c) * s.n + i;
            const int d = first_d + fast;
            const float v = square[fast][c];
            if (rows && d < s.stored_d) stg(rows + row * s.stored_d + d, v);
            if (halves && d < s.stored_h) {
                const f16 large = to_f16(v * s.half_scale);
                f16* const to = halves + (int64_t(first_channel + c) * 2 * s.n + i) * s.stored_h + d;
                stg(to, large);
                stg(to + int64_t(s.n) * s.stored_h, to_f16(v * s.half_scale - from_f16(large)));
            }
        }
        block_sync();
    }
}

template <class A>
void prepare(const SnnlSizes& s, const A* x, const SnnlScratch& scratch, Stream stream) {
    const Grid grid{.blocks = s.n, .blocks_y = ceil_div(s.c, kSide), .threads = kThreads};
    launch(snnl_prepare_kernel<A>, grid, stream, x, scratch.rows, s.euclidean ? nullptr : scratch.halves, scratch.norms,
           s);
}

}  // namespace

// What the launches of all steps know of a shape.
SnnlSizes SnnlSizes::of(const SnnlShape& shape, bool hopper) {
    FP_CHECK(shape.x.blocks() == 1, "snnl: not in the CUDA layout: a block of ", shape.x.block);
    FP_CHECK(shape.d() < int64_t(1) << 31, "snnl: ", shape.d(), " numbers a sample");
    const bool euclidean = shape.distance == SnnlShape::Distance::euclidean;
    const int64_t tiles = euclidean ? OrdinaryTriangle(shape.x.n).count() : TensorTriangle(shape.x.n).count();
    const int64_t wanted = ceil_div(int64_t(kProcessors) * 4, shape.of_channels > 0 ? shape.of_channels : shape.x.c);
    const int64_t most = std::min<int64_t>(16, tiles);
    const SnnlKernel kernel = snnl_kernel(shape, hopper);
    FP_REQUIRE(kernel != SnnlKernel::tensor || round_up(shape.d(), 64) * shape.x.n < int64_t(1) << 30, Exit::usage,
               "snnl: ", shape.x.n, " samples of ", shape.d(),
               " numbers; a channel may have fewer than 2^30: score fewer samples "
               "at once");
    const SnnlGroups wgmma_groups = snnl_groups(shape);
    const double root = std::min(std::round(std::log2(double(shape.d())) / 2), 12.0);
    return {.n = shape.x.n,
            .c = shape.x.c,
            .d = int(shape.d()),
            .first = 0,
            .all_c = shape.x.c,
            .stored_c = shape.x.stored_c(),
            .stored_d = int(round_up(shape.d(), 8)),
            .stored_h = int(round_up(shape.d(), 16)),
            .sets = shape.sets,
            .tiles = int(ceil_div(shape.x.n, kSnnlTile)),
            .groups = kernel == SnnlKernel::wgmma ? wgmma_groups.count() : int(std::clamp<int64_t>(wanted, 1, most)),
            .kernel = kernel,
            .wgmma_groups = wgmma_groups,
            .sharpness = float(snnl_sharpness(shape)),
            .half_scale = float(std::exp2(root)),
            .euclidean = euclidean,
            .released = shape.definition == SnnlShape::Definition::as_released,
            .bounded = snnl_bounded(shape)};
}

// The layout of scratch memory for all steps.
SnnlScratch SnnlScratch::in(const SnnlSizes& s, void* scratch, bool gradient) {
    char* const begin = static_cast<char*>(scratch);
    size_t used = 0;
    const auto take = [&](int64_t count, size_t size) {
        char* const part = begin + used;
        used += size_t(round_up(count * int64_t(size), 256));
        return static_cast<void*>(part);
    };
    const auto floats = [&](int64_t count) { return static_cast<float*>(take(count, sizeof(float))); };
    const int64_t samples = int64_t(s.c) * s.n;
    SnnlScratch out{};
    out.norms = floats(samples);
    out.sums = static_cast<double*>(take(s.c * s.groups * s.sums(), sizeof(double)));
    if (!s.bounded) out.shifts = floats(s.c * s.sums());
    if (s.euclidean || gradient) out.rows = floats(s.rows());
    if (!s.euclidean || gradient) out.slopes = floats(std::max(s.rows(), s.halves() / 2));
    out.halves = reinterpret_cast<f16*>(out.slopes);
    if (s.kernel == SnnlKernel::wgmma) {
        const auto integers = [&](int64_t count) { return static_cast<int32_t*>(take(count, sizeof(int32_t))); };
        const int64_t keys = int64_t(s.sets) * s.keyed();
        out.keys = {.near = integers(keys), .label = integers(keys), .whole = integers(keys / kSnnlTile)};
    }
    if (gradient) {
        out.levels = floats(2 * samples);
        out.anchors = floats(s.c);
        out.slope_sums = floats(samples);
    }
    out.bytes = used;
    return out;
}

template <>
void snnl_prepare(const SnnlSizes& s, const float* x, const SnnlScratch& scratch, Stream stream) {
    prepare(s, x, scratch, stream);
}
template <>
void snnl_prepare(const SnnlSizes& s, const bf16* x, const SnnlScratch& scratch, Stream stream) {
    prepare(s, x, scratch, stream);
}

}  // namespace fp::FP_MACHINE
