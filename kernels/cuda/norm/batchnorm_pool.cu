// Batch norm on moments, ReLU and 3x3 max pooling at stride 2 in one kernel, forward and backward: the stem of ResNet.
//
//   forward   y = maxpool(z),  z = relu(gamma xhat + beta) rounded to bf16;  argmax as in MaxPool, but 255 where y is
//             0: no pixel receives the gradient then
//   backward  g = the gradient of the pool at each pixel (argmax already contains the mask of ReLU);  dgamma, dbeta and
//             dx as in batchnorm_backward.cu
//
// Shapes    x, dx (N,H,W,C)   y, dy, argmax (N,P,Q,C)
// Threads   Columns (kernels/cuda/plan/walks.h): a thread takes one pack of one column, down some rows of outputs or of
//           2x2 patches of x (pool_patch.cuh)
// Traffic   in maps of the size of x: forward reads x and writes y and argmax, 1.375; backward reads x, dy and argmax
//           twice and writes dx, 3.75. As separate ops they move 2 + 1.375 and 1.375 + 3 + 4, with z read for the mask.
// Bound     memory; the integer instructions on taps take about half as long. A map of 64 channels at 112x112 and batch
//           256 has 411 MB, so that forward takes at least 138 us and backward 376 us at 4.1 TB/s.
// Needs     bf16, ReLU without a residual, padding 1, maps of fewer than 2^31 elements (see pools()); others use the
//           separate ops
// Measured  H200, that map: forward 220 us, backward 410; backward of the separate ops 648
#include "kernels/cuda/norm/batchnorm.cuh"
#include "kernels/cuda/pool/pool_patch.cuh"
#include "kernels/cuda/walks/columns.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kSize = Pack<bf16>::kSize;

// The values that pool_column compares: normalised x. ReLU costs nothing, since the initial maximum is 0 without a tap,
// which negative values do not exceed. A NaN is larger than every number.
struct NormValues {
    static constexpr int kNone = 0;
    const Normal<bf16>& normal;

    __device__ __forceinline__ void join(const uint4& raw, int code, int (&best)[kSize]) const {
        const Pack<bf16> v = unpacked<bf16>(raw);
        UNROLL
        for (int e = 0; e < kSize; e += 2) {
            const unsigned pair = pack_bf16(normal.y(v.v[e] - normal.centre.v[e], e),
                                            normal.y(v.v[e + 1] - normal.centre.v[e + 1], e + 1));
            best[e] = larger(best[e], int(pair << 16) | code);
            best[e + 1] = larger(best[e + 1], int(pair & 0xffff0000u) | code);
        }
    }
    __device__ static unsigned bits(int key) { return unsigned(key) & 0xffff0000u; }
    __device__ static bool has_winner(int key) { return key >= 0x10000; }
};

__global__ void __launch_bounds__(Columns::kThreads, 2) normalize_pool_kernel(const bf16* __restrict__ x,
                                                                              NormVectors norm,
                                                                              bf16* __restrict__ y,
                                                                              uint8_t* __restrict__ argmax,
                                                                              MaxPoolShape s,
                                                                              Columns columns) {
    const ColumnPlace at = place_on(columns);
    if (!at.inside) return;
    const Normal<bf16> normal(norm, at.pack);
    pool_column<3, 2>(NormValues{normal}, x, y, argmax, s, at);
}

struct Incoming {
    const bf16 *x, *dy;
    const uint8_t* argmax;
    const float *mean, *gamma, *rstd;
    MaxPoolShape s;
};
using Pooled = PooledGradient<bf16>;

// The x of a patch, [row][column].
struct Patch {
    uint4 x[2][2];
};

// Visits the patches of the thread: use(row of the first pixels, their offset, whether there is a second column, patch,
// outputs). The x of a patch is loaded one patch ahead: 64 bytes per thread, 32 KB per multiprocessor.
template <class Use>
__device__ __forceinline__ void walk_patches(const Incoming& in, const ColumnPlace& at, Use use) {
    const MaxPoolShape& s = in.s;
    const int c = s.x.stored_c(), p = s.p(), q = s.q(), w = s.x.w;
    const bool second_column = 2 * at.column + 1 < w, second_output = at.column + 1 < q;
    int pooled_at = ((at.sample * p + at.first) * q + at.column) * c + at.pack * kSize;
    int x_at = ((at.sample * s.x.h + 2 * at.first) * w + 2 * at.column) * c + at.pack * kSize;
    const auto pooled = [&](int i, int ahead, int j) {
        return Pooled::load(in.dy, in.argmax, pooled_at + (ahead * q + j) * c,
                            i + ahead < p && (j == 0 || second_output));
    };
    const auto load_x = [&](int i, int ahead) {
        Patch patch{};
        UNROLL
        for (int row = 0; row < 2; ++row) {
            if (i + ahead >= at.end || 2 * (i + ahead) + row >= s.x.h) continue;
            const bf16* from = in.x + x_at + (2 * ahead + row) * w * c;
            patch.x[row][0] = ldg(reinterpret_cast<const uint4*>(from));
            if (second_column) patch.x[row][1] = ldg(reinterpret_cast<const uint4*>(from + c));
        }
        return patch;
    };
    Pooled a = pooled(at.first, 0, 0), b = pooled(at.first, 0, 1);
    Patch patch = load_x(at.first, 0);
    for (int i = at.first; i < at.end; ++i) {
        const Pooled below = pooled(i, 1, 0), below_b = pooled(i, 1, 1);
        const Patch next = load_x(i, 1);
        use(2 * i, x_at, second_column, patch, Reaching<bf16>{a, b, below, below_b});
        patch = next;
        a = below;
        b = below_b;
        pooled_at += q * c;
        x_at += 2 * w * c;
    }
}

// Of each chunk: sum g and sum g xhat, [chunk][2][C].
__global__ void __launch_bounds__(Columns::kThreads, 2)
    pool_gradient_sums_kernel(Incoming in, Columns columns, float* __restrict__ partial) {
    SHARED(float, room, [2 * kSize * kSumStride]);
    const ColumnPlace at = place_on(columns);
    float sums[2 * kSize] = {};
    if (at.inside) {
        const Pack<bf16> centre = load_channels<bf16>(in.mean, at.pack);
        walk_patches(in, at, [&](int, int, bool, const Patch& patch, const Reaching<bf16>& of) {
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                float v[2][2];
                UNROLL
                for (int k = 0; k < 4; ++k) v[k / 2][k % 2] = element_of<bf16>(patch.x[k / 2][k % 2], e) - centre.v[e];
                of.add_products(e, v, sums[kSize + e]);
                if (of.a.tap(e) != 255) sums[e] += of.a.gradient(e);  // each output once
            }
        });
    }
    const int first = int(blockIdx.x) % columns.groups * columns.across;
    const int stored = columns.packs * kSize;
    sum_rows(sums, room, columns.across, columns.down, [&](int across, int e, float sum) {
        if (first + across >= columns.packs) return;
        const int channel = (first + across) * kSize + e % kSize;
        if (e >= kSize) sum *= ldg(in.rstd + channel);
        stg(partial + (int64_t(at.chunk) * 2 + e / kSize) * stored + channel, sum);
    });
}

// `means`: of g and g xhat.
__global__ void __launch_bounds__(Columns::kThreads, 2)
    pool_differentiate_kernel(Incoming in, Columns columns, const float* __restrict__ means, bf16* __restrict__ dx) {
    const ColumnPlace at = place_on(columns);
    if (!at.inside) return;
    const int c = in.s.x.stored_c(), w = in.s.x.w;
    // dx = scale g + slope x + level. The mean is part of the constant: x is bf16, so even a mean of a thousand
    // standard deviations costs float32 less precision than bf16 has.
    const Pack<bf16> centre = load_channels<bf16>(in.mean, at.pack), gamma = load_channels<bf16>(in.gamma, at.pack),
                     mean_g_xhat = load_channels<bf16>(means + int64_t(columns.packs) * kSize, at.pack);
    Pack<bf16> scale = load_channels<bf16>(in.rstd, at.pack), slope = scale,
               level = load_channels<bf16>(means, at.pack);
    UNROLL
    for (int e = 0; e < kSize; ++e) {
        scale.v[e] *= gamma.v[e];
        slope.v[e] *= -scale.v[e] * mean_g_xhat.v[e];
        level.v[e] = -scale.v[e] * level.v[e] - slope.v[e] * centre.v[e];
    }
    walk_patches(in, at, [&](int row, int offset, bool second_column, const Patch& patch, const Reaching<bf16>& of) {
        unsigned pairs[2][2][4];
        UNROLL
        for (int i = 0; i < 4; ++i) {
            float two[2][2][2];
            UNROLL
            for (int half = 0; half < 2; ++half) {
                const int e = 2 * i + half;
                float g[2][2];
                of.gradient(e, g);
                UNROLL
                for (int k = 0; k < 4; ++k)
                    two[k / 2][k % 2][half] =
                        fused_multiply_add(element_of<bf16>(patch.x[k / 2][k % 2], e), slope.v[e],
                                           fused_multiply_add(g[k / 2][k % 2], scale.v[e], level.v[e]));
            }
            UNROLL
            for (int k = 0; k < 4; ++k) pairs[k / 2][k % 2][i] = pack_bf16(two[k / 2][k % 2][0], two[k / 2][k % 2][1]);
        }
        UNROLL
        for (int k = 0; k < 4; ++k)
            if (row + k / 2 < in.s.x.h && (k % 2 == 0 || second_column)) {
                const unsigned(&p)[4] = pairs[k / 2][k % 2];
                stg(reinterpret_cast<uint4*>(dx + offset + (k / 2 * w + k % 2) * c), uint4{p[0], p[1], p[2], p[3]});
            }
    });
}

}  // namespace

bool pools(const BatchNormShape& s, const MaxPoolShape& pool) {
    return s.relu && !s.residual && pool.window == 3 && pool.stride == 2 && pool.pad == 1 && Columns::hold(pool.x);
}

size_t pool_scratch_bytes(const BatchNormShape& s, const MaxPoolShape& pool) {
    return size_t(patch_columns(pool, kSize).chunks() + 1) * 2 * size_t(s.x.stored_c()) * sizeof(float);
}

void pool_on_moments(const BatchNormShape& s,
                     const MaxPoolShape& pool,
                     const BatchNorm::TrainPool& args,
                     const Moments& moments,
                     Stream stream) {
    FP_CHECK(pools(s, pool), "batchnorm: not a shape that is pooled");
    finish_statistics(
        s, moments,
        {.running_mean = args.running_mean, .running_var = args.running_var, .mean = args.mean, .rstd = args.rstd},
        stream);
    const Columns columns = output_columns(pool);
    launch(normalize_pool_kernel, column_grid(columns), stream, as<bf16>(args.x),
           NormVectors::of_batch(args.gamma, args.beta, args.mean, args.rstd), as<bf16>(args.y), args.argmax, pool,
           columns);
}

void pool_backward(const BatchNormShape& s,
                   const MaxPoolShape& pool,
                   const BatchNorm::BackwardPool& args,
                   void* scratch,
                   Stream stream) {
    FP_CHECK(pools(s, pool), "batchnorm: not a shape that is pooled");
    const Columns columns = patch_columns(pool, kSize);
    auto* partial = static_cast<float*>(scratch);
    float* means = partial + columns.chunks() * 2 * s.x.stored_c();
    const Incoming in{.x = as<bf16>(args.x),
                      .dy = as<bf16>(args.dy),
                      .argmax = args.argmax,
                      .mean = as<float>(args.mean),
                      .gamma = as<float>(args.gamma),
                      .rstd = as<float>(args.rstd),
                      .s = pool};
    launch(pool_gradient_sums_kernel, column_grid(columns), stream, in, columns, partial);
    add_chunks(s.x, {.sums = partial, .chunks = columns.chunks(), .kinds = 2},
               {.means = means, .sums = {{as<float>(args.dbeta)}, {as<float>(args.dgamma)}}, .write = args.par_write},
               stream);
    launch(pool_differentiate_kernel, column_grid(columns), stream, in, columns, means, as<bf16>(args.dx));
}

}  // namespace fp::FP_MACHINE
