// The table of the GPU's kernels, and its memory.
#include "kernels/nhwc.h"
#include "machine.cuh"

namespace fp::cuda {

extern const Conv conv_f32;
extern const Linear linear_f32;
extern const BatchNorm batchnorm_f32;
extern const Relu relu_f32;
extern const Add add_f32;
extern const MaxPool maxpool_f32;
extern const AvgPool avgpool_f32;
extern const Dropout dropout_f32;
extern const Loss loss_f32;
extern const Image image_f32;
extern const Optimizer optimizer;
extern const Snnl snnl_f32;

namespace {

void* alloc(size_t bytes) {
    void* block = nullptr;
    const cudaError_t status = cudaMalloc(&block, bytes);
    FP_REQUIRE(status == cudaSuccess, Exit::device, "cuda: no ", bytes,
               " bytes: ", cudaGetErrorString(status));
    return block;
}
void release(void* block) { cudaFree(block); }
void copy_in(void* device, const void* host, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, raw(s)));
}
void copy_out(void* host, const void* device, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, raw(s)));
    check(cudaStreamSynchronize(raw(s)));
}
void copy(void* to, const void* from, size_t bytes, Stream s) {
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, raw(s)));
}
void zero(void* device, size_t bytes, Stream s) {
    check(cudaMemsetAsync(device, 0, bytes, raw(s)));
}
void synchronize(Stream s) { check(cudaStreamSynchronize(raw(s))); }

constexpr Memory memory{.alloc = alloc,
                        .release = release,
                        .copy_in = copy_in,
                        .copy_out = copy_out,
                        .copy = copy,
                        .zero = zero,
                        .synchronize = synchronize};

constinit const Kernels table{.name = "cuda",
                              .activation = Type::f32,
                              .parameter = Type::f32,
                              .block = nhwc_block,
                              .image_block = nhwc_image_block,
                              .filter = krsc_filter,
                              .memory = memory,
                              .conv = conv_f32,
                              .linear = linear_f32,
                              .batchnorm = batchnorm_f32,
                              .relu = relu_f32,
                              .add = add_f32,
                              .maxpool = maxpool_f32,
                              .avgpool = avgpool_f32,
                              .dropout = dropout_f32,
                              .loss = loss_f32,
                              .image = image_f32,
                              .optimizer = optimizer,
                              .snnl = snnl_f32};

}  // namespace

// A machine without a driver answers with an error of its own and leaves the count alone: any error is none.
const Kernels* find(Precision precision) {
    int devices = 0;
    const bool present = cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
    return present && precision == Precision::f32 ? &table : nullptr;
}

}  // namespace fp::cuda
