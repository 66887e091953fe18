// What the files of batch norm share: y's formula, and the halves of the op.
#pragma once

#include "kernels/cuda/walks/swath.cuh"

namespace fp::FP_MACHINE {

// Where rstd comes from: given, or made of a variance.
struct Spread {
    const float* vector;
    bool is_variance = false;
    float eps = 0;

    __device__ float rstd(int channel) const {
        const float v = ldg(vector + channel);
        return is_variance ? 1 / sqrtf(v + eps) : v;
    }
};

// The vectors of a norm, a number per channel. beta may be null where only the scale is asked for.
struct NormVectors {
    const float *gamma, *beta, *mean;
    Spread spread;

    static NormVectors of_batch(const par* gamma,
                                const par* beta,
                                const par* mean,
                                const par* rstd) {
        return {static_cast<const float*>(gamma),
                static_cast<const float*>(beta),
                static_cast<const float*>(mean),
                {.vector = static_cast<const float*>(rstd)}};
    }
    static NormVectors of_running(
        const par* gamma, const par* beta, const par* mean, const par* var, double eps) {
        return {static_cast<const float*>(gamma),
                static_cast<const float*>(beta),
                static_cast<const float*>(mean),
                {.vector = static_cast<const float*>(var), .is_variance = true, .eps = float(eps)}};
    }
};

template <class A>
__device__ Pack<A> load_rstd(const Spread& spread, int pack) {
    Pack<A> rstd = load_channels<A>(spread.vector, pack);
    if (spread.is_variance) {
        UNROLL
        for (float& e : rstd.v) e = 1 / sqrtf(e + spread.eps);
    }
    return rstd;
}

// y = scale (x - centre) + shift, of one pack's channels. It is computed here alone: whether y is above 0 must come
// out the same when backward asks again.
template <class A>
struct Normal {
    Pack<A> centre, scale, shift;

    __device__ __forceinline__ Normal(const NormVectors& norm, int pack)
        : centre(load_channels<A>(norm.mean, pack)),
          scale(load_rstd<A>(norm.spread, pack)),
          shift{} {
        const Pack<A> gamma = load_channels<A>(norm.gamma, pack);
        if (norm.beta) shift = load_channels<A>(norm.beta, pack);
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; ++e) scale.v[e] *= gamma.v[e];
    }
    __device__ float y(float from_centre, int e) const {
        return fused_multiply_add(from_centre, scale.v[e], shift.v[e]);
    }
};

// Which end of the map a kernel begins at: where the one before it ended, so that what that one touched last is still
// in L2. Convolutions go from the map's begin to its end. H200: a training step of ResNet-18 at 224, batch 256, took
// 12.54 ms this way, and 12.59 and 12.65 ms in two runs in which the sums went forward and `differentiate` backward.
// The difference is within the spread of runs.
constexpr bool kNormalizeFromEnd = true, kSumsFromEnd = true, kDifferentiateFromEnd = false;

// The bits of y > 0, which lie behind y; null where the shape has none.
template <class A>
const uint8_t* bits_behind(const BatchNormShape& s, const act* y) {
    return s.bits ? static_cast<const uint8_t*>(y) + size_t(s.x.stored()) * sizeof(A) : nullptr;
}
template <class A>
uint8_t* bits_behind(const BatchNormShape& s, act* y) {
    return const_cast<uint8_t*>(bits_behind<A>(s, static_cast<const act*>(y)));
}

// batchnorm_statistics.cu
size_t statistics_bytes(const BatchNormShape&, int pack);
template <class A>
Moments take_statistics(const BatchNormShape&, const act* x, void* scratch, Stream);
void finish_statistics(const BatchNormShape&,
                       const Moments&,
                       par* running_mean,
                       par* running_var,
                       par* mean,
                       par* rstd,
                       Stream);

// batchnorm_forward.cu
template <class A>
void normalize(
    const BatchNormShape&, const act* x, const act* residual, const NormVectors&, act* y, Stream);

// batchnorm_backward.cu
struct Differentiated {
    const act *x, *y, *dy;
    NormVectors norm;
    bool of_batch;  // else the statistics are given and do not move with x
};
size_t gradient_bytes(const BatchNormShape&, int pack);
template <class A>
void differentiate(const BatchNormShape&,
                   const Differentiated&,
                   const BatchNorm::Backward&,
                   void* scratch,
                   Stream);

// batchnorm_pool.cu and batchnorm_pair.cu: kernels.h says what each does.
bool pools(const BatchNormShape&, const MaxPoolShape&);
size_t pool_scratch_bytes(const BatchNormShape&, const MaxPoolShape&);
void pool_on_moments(const BatchNormShape&,
                     const MaxPoolShape&,
                     const act* x,
                     const Moments&,
                     const par* gamma,
                     const par* beta,
                     par* running_mean,
                     par* running_var,
                     act* y,
                     uint8_t* argmax,
                     par* mean,
                     par* rstd,
                     Stream);
void pool_backward(const BatchNormShape&,
                   const MaxPoolShape&,
                   const act* x,
                   const act* dy,
                   const uint8_t* argmax,
                   const par* gamma,
                   const par* mean,
                   const par* rstd,
                   const BatchNorm::Backward&,
                   void* scratch,
                   Stream);
size_t pair_scratch_bytes(const BatchNormShape&);
void pair_on_moments(const BatchNormShape&,
                     const BatchNorm::Half&,
                     const BatchNorm::HalfOnMoments&,
                     const BatchNorm::Half&,
                     const BatchNorm::HalfOnMoments&,
                     act* y,
                     Stream);
void pair_backward(const BatchNormShape&,
                   const BatchNorm::Half&,
                   const BatchNorm::Half&,
                   const act* y,
                   const act* dy,
                   const BatchNorm::HalfGradient&,
                   const BatchNorm::HalfGradient&,
                   Write par_write,
                   void* scratch,
                   Stream);

}  // namespace fp::FP_MACHINE
