// Between float32 parameters and the bf16 that the libraries multiply in.
//
// Threads   one number each
// Traffic   6 bytes a number, 10 where it is added
// Bound     memory
#include "kernels/bf16.h"
#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

constexpr int kThreads = 256;

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
    FP_REQUIRE(status == cudaSuccess, Exit::device,
               "cudnn: bf16 conversion: ", cudaGetErrorString(status));
}

cudaStream_t native(Stream s) {
    return static_cast<cudaStream_t>(libraries().own->order.native(s));
}

}  // namespace

void to_bf16(const float* from, int64_t count, int64_t all, void* to, Stream s) {
    to_bf16_kernel<<<unsigned(ceil_div(all, kThreads)), kThreads, 0, native(s)>>>(
        from, count, all, static_cast<bf16*>(to));
    check_launch();
}

void from_bf16(const void* from, int64_t count, float* to, Write write, Stream s) {
    from_bf16_kernel<<<unsigned(ceil_div(count, kThreads)), kThreads, 0, native(s)>>>(
        static_cast<const bf16*>(from), count, to, write == Write::add);
    check_launch();
}

}  // namespace fp::cudnn
