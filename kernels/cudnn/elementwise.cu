// Elementwise kernels around cuDNN and cuBLAS: conversions between float32 parameters and bf16, a vector of ones, bias,
// residual and ReLU after a convolution that cuDNN could not fuse with them, zeros in the padding of a map.
//
// Threads   one per number
// Traffic   each number read and written once: 4 to 10 bytes
// Bound     memory
#include <type_traits>

#include "kernels/bf16.h"
#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

constexpr int kThreads = 256;

__device__ float value(float v) { return v; }
__device__ float value(bf16 v) { return to_float(v); }
__device__ void store(float* to, float v) { *to = v; }
__device__ void store(bf16* to, float v) { *to = fp::to_bf16(v); }

__global__ void to_bf16_kernel(const float* from, int64_t count, int64_t all, bf16* to) {
    const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (i < all) to[i] = fp::to_bf16(i < count ? from[i] : 0.0f);
}

__global__ void from_bf16_kernel(const bf16* from, int64_t count, float* to, bool add) {
    const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (i < count) to[i] = to_float(from[i]) + (add ? to[i] : 0.0f);
}

void check_launch() {
    const cudaError_t status = cudaGetLastError();
    FP_REQUIRE(status == cudaSuccess, Exit::device, "cudnn: an elementwise kernel: ", cudaGetErrorString(status));
}

template <class A>
__global__ void fill_ones_kernel(int64_t count, A* to) {
    const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (i < count) store(to + i, 1.0f);
}

template <class A>
__global__ void finish_map_kernel(const float* bias, const A* residual, bool relu, A* y, int64_t count, int stored_c) {
    const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    if (i >= count) return;
    float v = value(y[i]);
    if (bias) v += bias[i % stored_c];
    if (residual) v += value(residual[i]);
    store(y + i, relu && v <= 0 ? 0.0f : v);
}

template <class A>
__global__ void zero_padding_kernel(A* y, int64_t pixels, int c, int stored_c) {
    const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
    const int padding = stored_c - c;
    if (i < pixels * padding) store(y + i / padding * stored_c + c + i % padding, 0.0f);
}

// Calls start(blocks, null pointer of the activation type) for `count` numbers.
template <class Start>
void with_activation(int64_t count, Start start) {
    if (count == 0) return;
    const auto blocks = unsigned(ceil_div(count, kThreads));
    if (libraries().activation() == Type::bf16)
        start(blocks, static_cast<bf16*>(nullptr));
    else
        start(blocks, static_cast<float*>(nullptr));
    check_launch();
}

}  // namespace

void to_bf16(const float* from, int64_t count, int64_t all, void* to, Stream s) {
    to_bf16_kernel<<<unsigned(ceil_div(all, kThreads)), kThreads, 0, libraries().native(s)>>>(from, count, all,
                                                                                              static_cast<bf16*>(to));
    check_launch();
}

void from_bf16(const void* from, int64_t count, float* to, Write write, Stream s) {
    from_bf16_kernel<<<unsigned(ceil_div(count, kThreads)), kThreads, 0, libraries().native(s)>>>(
        static_cast<const bf16*>(from), count, to, write == Write::add);
    check_launch();
}

void fill_ones(int64_t count, void* to, Stream s) {
    with_activation(count, [&](unsigned blocks, auto* type) {
        using A = std::remove_pointer_t<decltype(type)>;
        fill_ones_kernel<A><<<blocks, kThreads, 0, libraries().native(s)>>>(count, static_cast<A*>(to));
    });
}

void finish_map(const Map& m, const Finishing& with, act* y, Stream s) {
    with_activation(m.stored(), [&](unsigned blocks, auto* type) {
        using A = std::remove_pointer_t<decltype(type)>;
        finish_map_kernel<A><<<blocks, kThreads, 0, libraries().native(s)>>>(
            as<float>(with.bias), as<A>(with.residual), with.relu, as<A>(y), m.stored(), m.stored_c());
    });
}

void zero_padding(const Map& m, act* y, Stream s) {
    const int64_t pixels = int64_t(m.n) * m.pixels();
    with_activation(pixels * (m.stored_c() - m.c), [&](unsigned blocks, auto* type) {
        using A = std::remove_pointer_t<decltype(type)>;
        zero_padding_kernel<A><<<blocks, kThreads, 0, libraries().native(s)>>>(as<A>(y), pixels, m.c, m.stored_c());
    });
}

}  // namespace fp::cudnn
