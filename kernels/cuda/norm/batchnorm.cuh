// What the files of batch norm share: the formula of y, and the functions that the op is made of.
#pragma once

#include "kernels/cuda/walks/swath.cuh"

namespace fp::FP_MACHINE {

// rstd per channel: given, or computed from a variance.
struct Spread {
    const float* vector;
    bool is_variance = false;
    float eps = 0;

    __device__ float rstd(int channel) const {
        const float v = ldg(vector + channel);
        return is_variance ? 1 / sqrtf(v + eps) : v;
    }
};

// The vectors of a norm, one number per channel. beta may be null where only the scale is used.
struct NormVectors {
    const float *gamma, *beta, *mean;
    Spread spread;

    static NormVectors of_batch(const par* gamma, const par* beta, const par* mean, const par* rstd) {
        return {as<float>(gamma), as<float>(beta), as<float>(mean), {.vector = as<float>(rstd)}};
    }
    static NormVectors of_running(const par* gamma, const par* beta, const par* mean, const par* var, double eps) {
        return {as<float>(gamma),
                as<float>(beta),
                as<float>(mean),
                {.vector = as<float>(var), .is_variance = true, .eps = float(eps)}};
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

// y = scale (x - centre) + shift, of the channels of one pack. The only code that computes it: backward must find the
// same y > 0 as forward did.
template <class A>
struct Normal {
    Pack<A> centre, scale, shift;

    __device__ __forceinline__ Normal(const NormVectors& norm, int pack)
        : centre(load_channels<A>(norm.mean, pack)), scale(load_rstd<A>(norm.spread, pack)), shift{} {
        const Pack<A> gamma = load_channels<A>(norm.gamma, pack);
        if (norm.beta) shift = load_channels<A>(norm.beta, pack);
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; ++e) scale.v[e] *= gamma.v[e];
    }
    __device__ float y(float from_centre, int e) const {
        return fused_multiply_add(from_centre, scale.v[e], shift.v[e]);
    }
};

// Which end of the map a kernel begins at: the end at which the kernel before it finished, so that its last accesses
// are still in L2. Convolutions go from the beginning of the map to its end. H200, a training step of ResNet-18 at 224,
// batch 256: 12.54 ms with these directions; 12.59 and 12.65 ms (two runs) with the sums forward and `differentiate`
// backward. The difference is within the spread of runs.
constexpr bool kNormalizeFromEnd = true, kSumsFromEnd = true, kDifferentiateFromEnd = false;

// The mask of ReLU that lies behind y, a bit per element; null where the shape has none.
template <class A>
const uint8_t* bits_behind(const BatchNormShape& s, const act* y) {
    return s.bits ? as<uint8_t>(y) + size_t(s.x.stored()) * sizeof(A) : nullptr;
}
template <class A>
uint8_t* bits_behind(const BatchNormShape& s, act* y) {
    return const_cast<uint8_t*>(bits_behind<A>(s, static_cast<const act*>(y)));
}

// batchnorm_statistics.cu
size_t statistics_bytes(const BatchNormShape&, int pack);
template <class A>
Moments take_statistics(const BatchNormShape&, const act* x, void* scratch, Stream);
struct Statistics {
    par *running_mean, *running_var, *mean, *rstd;
};
void finish_statistics(const BatchNormShape&, const Moments&, const Statistics&, Stream);
void follow(int64_t count, int batches, double momentum, const BatchNorm::Follow&, Stream);

// batchnorm_forward.cu
struct Normalized {
    const act *x, *residual;
    NormVectors norm;
    act* y;
};
template <class A>
void normalize(const BatchNormShape&, const Normalized&, Stream);

// batchnorm_backward.cu
struct Differentiated {
    const act *x, *y, *dy;
    NormVectors norm;
    bool of_batch;  // the statistics depend on x
    BatchNorm::Gradients to;
};
size_t gradient_bytes(const BatchNormShape&, int pack);
template <class A>
void differentiate(const BatchNormShape&, const Differentiated&, void* scratch, Stream);

// batchnorm_pool.cu and batchnorm_pair.cu: the members of BatchNorm (kernels/ops/norm.h) of the same names.
bool pools(const BatchNormShape&, const MaxPoolShape&);
size_t pool_scratch_bytes(const BatchNormShape&, const MaxPoolShape&);
void pool_on_moments(const BatchNormShape&, const MaxPoolShape&, const BatchNorm::TrainPool&, const Moments&, Stream);
void pool_backward(const BatchNormShape&, const MaxPoolShape&, const BatchNorm::BackwardPool&, void* scratch, Stream);
size_t pair_scratch_bytes(const BatchNormShape&);
void pair_on_moments(const BatchNormShape&, const BatchNorm::TrainPair&, Stream);
void pair_backward(const BatchNormShape&, const BatchNorm::BackwardPair&, void* scratch, Stream);

}  // namespace fp::FP_MACHINE
