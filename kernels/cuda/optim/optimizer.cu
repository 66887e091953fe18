// The optimisers, over the flat float32 parameter block.
//
//   sgd          g += decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
//   adamw        w -= lr decay w;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//                w -= lr mhat / (sqrt(vhat) + eps),  mhat = m / (1 - b1^step), vhat = v / (1 - b2^step)
//   blend        average = keep average + (1 - keep) w
//   sum_squares  sum = sum g^2
//   clip         norm = scale sqrt(sum of squares),  factor = scale min(1, most / norm)
//   sum_ranks    to[i] = ((p_0[i] + p_1[i]) + p_2[i]) + ...,  p_r[i] = parts[r count + i]
//
// Shapes    `count` numbers each, 16-byte aligned. Every g is first multiplied by `scale`, or by the factor of
//           clipping, which each thread reads from where `clip` wrote it.
// Threads   four numbers per thread; sum_squares: a fixed grid, and one block adds the sums of its blocks in order;
//           clip: one thread; sum_ranks: one number per thread, since part r is aligned only where `count` is
// Traffic   bytes per number: sgd reads 12 and writes 8, adamw 16 and 12, blend 8 and 4, sum_squares reads 4,
//           sum_ranks of R ranks reads 4 R and writes 4
// Bound     memory
// Model     (bench/gpu/run --model: H200) 11.2 million numbers, in two launches: sgd 58 us, adamw 79; the times to move
//           the bytes are 52 and 73. Clipping reads the gradients once more, in five launches: 20 us more
#include <cmath>

#include "kernels/cuda/plan/tiling.h"
#include "kernels/cuda/walks/pack.cuh"
#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

// Up to four numbers from `first` on; numbers beyond `count` are neither read nor written.
struct Quad {
    int64_t first, count;

    __device__ bool whole() const { return first + 4 <= count; }
    __device__ Pack<float> load(const float* p) const {
        if (whole()) return load_pack(p + first);
        Pack<float> v{};
        for (int i = 0; i < 4 && first + i < count; ++i) v.v[i] = ldg(p + first + i);
        return v;
    }
    __device__ void store(float* p, const Pack<float>& v) const {
        if (whole()) return store_pack(p + first, v);
        for (int i = 0; i < 4 && first + i < count; ++i) stg(p + first + i, v.v[i]);
    }
};

// If it is not finite, the step changes nothing.
__device__ float scale_of(float scale, const GradientScale* clipped) {
    return clipped ? float(clipped->factor) : scale;
}

struct SgdConstants {
    float lr, momentum, decay, scale;
    bool nesterov;
};

__global__ void sgd_kernel(
    int64_t count, SgdConstants c, const GradientScale* clipped, float* w_, const float* __restrict__ g_, float* v_) {
    const Quad quad{4 * flat_index(), count};
    const float scale = scale_of(c.scale, clipped);
    if (quad.first >= count || !std::isfinite(scale)) return;
    Pack<float> w = quad.load(w_), v = quad.load(v_);
    const Pack<float> gradient = quad.load(g_);
    UNROLL
    for (int i = 0; i < 4; ++i) {
        const float g = scale * gradient.v[i] + c.decay * w.v[i];
        v.v[i] = c.momentum * v.v[i] + g;
        w.v[i] -= c.lr * (c.nesterov ? g + c.momentum * v.v[i] : v.v[i]);
    }
    quad.store(v_, v);
    quad.store(w_, w);
}

struct AdamwConstants {
    float lr, beta1, beta2, rest1, rest2, eps, decay, scale;
    float correct1, correct2;  // 1 / (1 - beta^step)
};

__global__ void adamw_kernel(int64_t count,
                             AdamwConstants c,
                             const GradientScale* clipped,
                             float* w_,
                             const float* __restrict__ g_,
                             float* m_,
                             float* v_) {
    const Quad quad{4 * flat_index(), count};
    const float scale = scale_of(c.scale, clipped);
    if (quad.first >= count || !std::isfinite(scale)) return;
    Pack<float> w = quad.load(w_), m = quad.load(m_), v = quad.load(v_);
    const Pack<float> gradient = quad.load(g_);
    UNROLL
    for (int i = 0; i < 4; ++i) {
        const float g = scale * gradient.v[i];
        m.v[i] = c.beta1 * m.v[i] + c.rest1 * g;
        v.v[i] = c.beta2 * v.v[i] + c.rest2 * g * g;
        w.v[i] -= c.lr * c.decay * w.v[i] + c.lr * (m.v[i] * c.correct1) / (sqrtf(v.v[i] * c.correct2) + c.eps);
    }
    quad.store(m_, m);
    quad.store(v_, v);
    quad.store(w_, w);
}

__global__ void blend_kernel(int64_t count, float keep, float rest, float* average, const float* __restrict__ w_) {
    const Quad quad{4 * flat_index(), count};
    if (quad.first >= count) return;
    Pack<float> a = quad.load(average);
    const Pack<float> w = quad.load(w_);
    UNROLL
    for (int i = 0; i < 4; ++i) a.v[i] = keep * a.v[i] + rest * w.v[i];
    quad.store(average, a);
}

constexpr int kSumBlocks = kProcessors * 4;

__global__ void sum_squares_kernel(int64_t count, const float* __restrict__ g, double* block_sums) {
    const int64_t step = 4 * int64_t(kSumBlocks) * kFlatThreads;
    double sum = 0;
    for (int64_t first = 4 * flat_index(); first < count; first += step) {
        const Pack<float> v = Quad{first, count}.load(g);
        UNROLL
        for (int i = 0; i < 4; ++i) sum += double(v.v[i]) * v.v[i];
    }
    sum = block_sum<kFlatThreads>(sum);
    if (thread_index() == 0) block_sums[blockIdx.x] = sum;
}

__global__ void add_block_sums_kernel(const double* __restrict__ block_sums, double* out) {
    double sum = 0;
    for (int i = thread_index(); i < kSumBlocks; i += kFlatThreads) sum += block_sums[i];
    sum = block_sum<kFlatThreads>(sum);
    if (thread_index() == 0) *out = sum;
}

__global__ void clip_kernel(
    int runs, const double* __restrict__ squares, double scale, double most, GradientScale* to) {
    double sum = 0;
    for (int i = 0; i < runs; ++i) sum += squares[i];
    *to = GradientScale::of(sqrt(sum) * scale, scale, most);
}

__global__ void sum_ranks_kernel(int64_t count, int ranks, const float* parts, float* to) {
    const int64_t i = flat_index();
    if (i >= count) return;
    float sum = parts[i];
    for (int r = 1; r < ranks; ++r) sum += parts[r * count + i];
    to[i] = sum;
}

Grid quad_grid(int64_t count, const Place& at = Place::current()) { return flat_grid(ceil_div(count, 4), at); }

void sgd(int64_t count, const SgdStep& s, const Optimizer::Sgd& args, Stream stream) {
    if (count == 0) return;
    const SgdConstants c{.lr = float(s.lr),
                         .momentum = float(s.momentum),
                         .decay = float(s.decay),
                         .scale = float(s.scale),
                         .nesterov = s.nesterov};
    launch(sgd_kernel, quad_grid(count), stream, count, c, s.clipped, as<float>(args.w), as<float>(args.g),
           as<float>(args.v));
}

void adamw(int64_t count, const AdamwStep& s, const Optimizer::Adamw& args, Stream stream) {
    if (count == 0) return;
    const AdamwConstants c{.lr = float(s.lr),
                           .beta1 = float(s.beta1),
                           .beta2 = float(s.beta2),
                           .rest1 = float(1 - s.beta1),
                           .rest2 = float(1 - s.beta2),
                           .eps = float(s.eps),
                           .decay = float(s.decay),
                           .scale = float(s.scale),
                           .correct1 = float(1 / (1 - std::pow(s.beta1, double(s.step)))),
                           .correct2 = float(1 / (1 - std::pow(s.beta2, double(s.step))))};
    launch(adamw_kernel, quad_grid(count), stream, count, c, s.clipped, as<float>(args.w), as<float>(args.g),
           as<float>(args.m), as<float>(args.v));
}

void blend(int64_t count, const Optimizer::Blend& args, Stream stream) {
    if (count == 0) return;
    launch(blend_kernel, quad_grid(count), stream, count, float(args.keep), float(1 - args.keep),
           as<float>(args.average), as<float>(args.w));
}

size_t scratch_bytes(int64_t) { return kSumBlocks * sizeof(double); }

void sum_squares(int64_t count, const par* g, double* sum, void* scratch, Stream stream) {
    auto* block_sums = static_cast<double*>(scratch);
    launch(sum_squares_kernel, Grid{.blocks = kSumBlocks, .threads = kFlatThreads}, stream, count, as<float>(g),
           block_sums);
    launch(add_block_sums_kernel, Grid{.threads = kFlatThreads}, stream, block_sums, sum);
}

void clip(int runs, const Optimizer::Clip& args, Stream stream) {
    launch(clip_kernel, Grid{.threads = 1}, stream, runs, args.squares, args.scale, args.most, args.to);
}

void sum_ranks(int64_t count, const Optimizer::SumRanks& args, Stream stream) {
    if (count == 0) return;
    launch(sum_ranks_kernel, flat_grid(count), stream, count, args.ranks, as<float>(args.parts), as<float>(args.to));
}

}  // namespace

extern const Optimizer optimizer{.sgd = sgd,
                                 .adamw = adamw,
                                 .blend = blend,
                                 .scratch_bytes = scratch_bytes,
                                 .sum_squares = sum_squares,
                                 .clip = clip,
                                 .sum_ranks = sum_ranks};

}  // namespace fp::FP_MACHINE
