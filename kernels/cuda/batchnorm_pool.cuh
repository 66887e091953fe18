// Batch norm on moments, ReLU and 3x3 max pooling at stride 2 as one, both ways: ResNet's stem. Part of batchnorm.cu.
//
//   forward   y = maxpool(z),  z = relu(gamma xhat + beta) rounded to bf16;  argmax as MaxPool has it, 255 where y
//             is 0: nobody has the gradient then
//   backward  g = the pool's gradient at each pixel: ReLU's mask is in argmax already;  dgamma, dbeta and dx as
//             batch norm's backward
//
// Shapes    x, dx (N,H,W,C)   y, dy, argmax (N,P,Q,C)
// Threads   Columns (pool_patch.cuh): a pack of one column, down some rows of outputs or of 2x2 patches of x
// Traffic   forward reads x and writes y and argmax: 1.375 maps of x; backward reads x, dy and argmax twice and writes
//           dx: 3.75. Apart they are 2 + 1.375 and 1.375 + 3 + 4, with z read for the mask, or less that.
// Bound     memory: 64 channels at 112x112, batch 256, a map is 411 MB: 138 us and 376 us at 4.1 TB/s. Integers are
//           half of that.
#pragma once

// ReLU for nothing: the best so far begins as 0 with no tap, and what is below 0 is below that.
struct NormValues {
    static constexpr int kNone = 0;
    const Normal<bf16>& normal;

    __device__ __forceinline__ void join(const uint4& raw, int code, int (&best)[8]) const {
        const Pack<bf16> v = unpacked<bf16>(raw);
        UNROLL
        for (int e = 0; e < 8; e += 2) {
            const unsigned pair = pack_bf16(normal.y(v.v[e] - normal.centre.v[e], e),
                                            normal.y(v.v[e + 1] - normal.centre.v[e + 1], e + 1));
            best[e] = larger(best[e], int(pair << 16) | code);
            best[e + 1] = larger(best[e + 1], int(pair & 0xffff0000u) | code);
        }
    }
    __device__ static unsigned bits(int key) { return unsigned(key) & 0xffff0000u; }
    __device__ static bool has_winner(int key) {  // nor has a NaN
        return key >= 0x10000 && key < 0x7f810000;
    }
};

constexpr int kPoolForwardRun = 4, kPoolBackwardRun = 14;

__global__ void __launch_bounds__(Columns::kThreads, 2)
    normalize_pool_kernel(const bf16* __restrict__ x,
                          const float* __restrict__ gamma,
                          const float* __restrict__ beta,
                          const float* __restrict__ mean,
                          const float* __restrict__ rstd,
                          bf16* __restrict__ y,
                          uint8_t* __restrict__ argmax,
                          MaxPoolShape s,
                          Columns columns) {
    const ColumnPlace at(columns);
    if (!at.inside) return;
    const Normal<bf16> normal(mean, batch_spread(rstd), gamma, beta, at.pack);
    pool_column<3, 2>(NormValues{normal}, x, y, argmax, s, at);
}

struct PoolMaps {
    const bf16 *x, *dy;
    const uint8_t* argmax;
    const float *mean, *gamma, *rstd;
    MaxPoolShape s;
};

// Goes down the thread's patches: use(row of the first pixels, their place, whether there is a second column, x of the
// patch, the four outputs that reach it). The x of a patch is on its way one patch ahead: 64 bytes a thread, 32 KB a
// multiprocessor.
struct Patch {
    uint4 x[2][2];
};
template <class Use>
__device__ __forceinline__ void walk_patches(const PoolMaps& in, const ColumnPlace& at, Use use) {
    using Pooled = PooledGradient<bf16>;
    const MaxPoolShape& s = in.s;
    const int c = s.x.stored_c(), p = s.p(), q = s.q(), w = s.x.w;
    const bool second_column = 2 * at.column + 1 < w, second_output = at.column + 1 < q;
    int pooled_at = ((at.sample * p + at.first) * q + at.column) * c + at.pack * 8;
    int x_at = ((at.sample * s.x.h + 2 * at.first) * w + 2 * at.column) * c + at.pack * 8;
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
        use(2 * i, x_at, second_column, patch, a, b, below, below_b);
        patch = next;
        a = below;
        b = below_b;
        pooled_at += q * c;
        x_at += 2 * w * c;
    }
}

__device__ inline float element_of(const uint4& raw, int e) {
    const unsigned pairs[4] = {raw.x, raw.y, raw.z, raw.w};
    return float_of_bits(e % 2 ? pairs[e / 2] & 0xffff0000u : pairs[e / 2] << 16);
}

// As gradient_sums_swath_kernel.
__global__ void __launch_bounds__(Columns::kThreads, 2)
    pool_gradient_sums_kernel(PoolMaps in, Columns columns, float* __restrict__ partial) {
    SHARED(float, room, [16 * kSumStride]);
    const ColumnPlace at(columns);
    float sums[16] = {};
    if (at.inside) {
        const Pack<bf16> centre = load_channels<bf16>(in.mean, at.pack);
        using Pooled = PooledGradient<bf16>;
        walk_patches(in, at,
                     [&](int, int, bool, const Patch& patch, const Pooled& a, const Pooled& b,
                         const Pooled& c, const Pooled& d) {
                         UNROLL
                         for (int e = 0; e < 8; ++e) {
                             float v[2][2];
                             UNROLL
                             for (int k = 0; k < 4; ++k)
                                 v[k / 2][k % 2] =
                                     element_of(patch.x[k / 2][k % 2], e) - centre.v[e];
                             patch_products(a, b, c, d, e, v, sums[8 + e]);
                             if (a.tap(e) != 255) sums[e] += a.gradient(e);  // each output once
                         }
                     });
    }
    const Swath as{.rows = 0,
                   .packs = columns.packs,
                   .groups = columns.groups,
                   .across = columns.across,
                   .down = columns.down,
                   .run = 1,
                   .abreast = 1,
                   .stretches = 1};
    const int group = int(blockIdx.x) % columns.groups;
    const int stored = columns.packs * 8;
    sum_rows(sums, room, as, [&](int across, int e, float sum) {
        const int pack = group * columns.across + across;
        if (pack >= columns.packs) return;
        const int channel = pack * 8 + e % 8;
        if (e >= 8) sum *= ldg(in.rstd + channel);
        stg(partial + (int64_t(at.chunk) * 2 + e / 8) * stored + channel, sum);
    });
}

__global__ void __launch_bounds__(Columns::kThreads, 2) pool_differentiate_kernel(
    PoolMaps in, Columns columns, const float* __restrict__ totals, bf16* __restrict__ dx) {
    const ColumnPlace at(columns);
    if (!at.inside) return;
    const int c = in.s.x.stored_c(), w = in.s.x.w;
    // As differentiate_swath_kernel, with the mean in the constant: x is bf16, so a mean of a thousand deviations
    // costs float32 less than bf16 has.
    const Pack<bf16> centre = load_channels<bf16>(in.mean, at.pack);
    Pack<bf16> scale = load_channels<bf16>(in.rstd, at.pack), slope = scale;
    const Pack<bf16> weight = load_channels<bf16>(in.gamma, at.pack);
    Pack<bf16> level = load_channels<bf16>(totals, at.pack);
    const Pack<bf16> mean_g_xhat =
        load_channels<bf16>(totals + int64_t(columns.packs) * 8, at.pack);
    UNROLL
    for (int e = 0; e < 8; ++e) {
        scale.v[e] *= weight.v[e];
        slope.v[e] *= -scale.v[e] * mean_g_xhat.v[e];
        level.v[e] = -scale.v[e] * level.v[e] - slope.v[e] * centre.v[e];
    }
    using Pooled = PooledGradient<bf16>;
    walk_patches(in, at,
                 [&](int row, int offset, bool second_column, const Patch& patch, const Pooled& p00,
                     const Pooled& p01, const Pooled& p10, const Pooled& p11) {
                     unsigned pairs[2][2][4];
                     UNROLL
                     for (int i = 0; i < 4; ++i) {
                         float two[2][2][2];
                         UNROLL
                         for (int half = 0; half < 2; ++half) {
                             const int e = 2 * i + half;
                             float g[2][2];
                             patch_gradient(p00, p01, p10, p11, e, g);
                             UNROLL
                             for (int k = 0; k < 4; ++k) {
                                 two[k / 2][k % 2][half] = fused_multiply_add(
                                     element_of(patch.x[k / 2][k % 2], e), slope.v[e],
                                     fused_multiply_add(g[k / 2][k % 2], scale.v[e], level.v[e]));
                             }
                         }
                         UNROLL
                         for (int k = 0; k < 4; ++k)
                             pairs[k / 2][k % 2][i] =
                                 pack_bf16(two[k / 2][k % 2][0], two[k / 2][k % 2][1]);
                     }
                     UNROLL
                     for (int k = 0; k < 4; ++k)
                         if (row + k / 2 < in.s.x.h && (k % 2 == 0 || second_column)) {
                             const unsigned(&p)[4] = pairs[k / 2][k % 2];
                             stg(reinterpret_cast<uint4*>(dx + offset + (k / 2 * w + k % 2) * c),
                                 uint4{p[0], p[1], p[2], p[3]});
                         }
                 });
}

inline Columns pool_patches(const MaxPoolShape& pool) {
    Map patches = pool.x;
    patches.h = int(ceil_div(pool.x.h, 2));
    patches.w = int(ceil_div(pool.x.w, 2));
    return Columns::of(patches, 8, kPoolBackwardRun);
}

inline bool pools(const BatchNormShape& s, const MaxPoolShape& pool) {
    return choice("FP_STEM", 1) == 1 && s.relu && !s.residual && pool.window == 3 &&
           pool.stride == 2 && pool.pad == 1 && Columns::hold(pool.x);
}

inline size_t pool_scratch_bytes(const BatchNormShape& s, const MaxPoolShape& pool) {
    return size_t(pool_patches(pool).chunks() + 1) * 2 * size_t(s.x.stored_c()) * sizeof(float);
}

inline void pool_on_moments(const BatchNormShape& s,
                            const MaxPoolShape& pool,
                            const act* x,
                            const Moments& moments,
                            const par* gamma,
                            const par* beta,
                            par* running_mean,
                            par* running_var,
                            act* y,
                            uint8_t* argmax,
                            par* mean_par,
                            par* rstd_par,
                            Stream stream) {
    start_finish_statistics(s, moments, running_mean, running_var, mean_par, rstd_par, stream);
    const Columns columns = Columns::of(pool.y(), 8, kPoolForwardRun);
    launch(normalize_pool_kernel, columns.grid(), stream, static_cast<const bf16*>(x),
           static_cast<const float*>(gamma), static_cast<const float*>(beta),
           static_cast<const float*>(mean_par), static_cast<const float*>(rstd_par),
           static_cast<bf16*>(y), argmax, pool, columns);
}

inline void pool_backward(const BatchNormShape& s,
                          const MaxPoolShape& pool,
                          const act* x,
                          const act* dy,
                          const uint8_t* argmax,
                          const par* gamma,
                          const par* mean,
                          const par* rstd,
                          const BatchNorm::Backward& out,
                          void* scratch,
                          Stream stream) {
    FP_CHECK(out.dx_write == Write::replace && !out.dresidual,
             "batchnorm: a pooled gradient that is added");
    const Columns columns = pool_patches(pool);
    auto* partial = static_cast<float*>(scratch);
    float* totals = partial + columns.chunks() * 2 * s.x.stored_c();
    const PoolMaps in{.x = static_cast<const bf16*>(x),
                      .dy = static_cast<const bf16*>(dy),
                      .argmax = argmax,
                      .mean = static_cast<const float*>(mean),
                      .gamma = static_cast<const float*>(gamma),
                      .rstd = static_cast<const float*>(rstd),
                      .s = pool};
    launch(pool_gradient_sums_kernel, columns.grid(), stream, in, columns, partial);
    start_sums_finish(s, partial, columns.chunks(), totals, out, stream);
    launch(pool_differentiate_kernel, columns.grid(), stream, in, columns, totals,
           static_cast<bf16*>(out.dx));
}
