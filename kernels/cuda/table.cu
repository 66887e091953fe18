// The table of the GPU's kernels.
#include "kernels/nhwc.h"
#include "machine.cuh"

namespace fp::cuda {

extern const Memory memory;
extern const Order order;
extern const Graph graph;
extern const Ranges ranges;
extern const Conv conv_f32, conv_tf32, conv_bf16, conv_bf16_sm90a;
extern const Linear linear_f32, linear_tf32, linear_bf16, linear_bf16_sm90a;
extern const BatchNorm batchnorm_f32, batchnorm_bf16;
extern const Relu relu_f32, relu_bf16;
extern const Add add_f32, add_bf16;
extern const MaxPool maxpool_f32, maxpool_bf16;
extern const AvgPool avgpool_f32, avgpool_bf16;
extern const Dropout dropout_f32, dropout_bf16;
extern const Loss loss_f32, loss_bf16;
extern const Image image_f32, image_bf16;
extern const Optimizer optimizer;
extern const Snnl snnl_f32, snnl_bf16;

namespace {

constexpr Kernels with_f32(const Conv& conv, const Linear& linear) {
    return {.name = "cuda",
            .activation = Type::f32,
            .parameter = Type::f32,
            .block = nhwc_block,
            .image_block = nhwc_image_block,
            .filter = krsc_filter,
            .memory = memory,
            .order = order,
            .graph = &graph,
            .ranges = &ranges,
            .conv = conv,
            .linear = linear,
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
}

constexpr Kernels with_bf16(const Conv& conv, const Linear& linear) {
    return {.name = "cuda",
            .activation = Type::bf16,
            .parameter = Type::f32,
            .block = nhwc_block,
            .image_block = nhwc_image_block,
            .filter = krsc_filter,
            .memory = memory,
            .order = order,
            .graph = &graph,
            .ranges = &ranges,
            .conv = conv,
            .linear = linear,
            .batchnorm = batchnorm_bf16,
            .relu = relu_bf16,
            .add = add_bf16,
            .maxpool = maxpool_bf16,
            .avgpool = avgpool_bf16,
            .dropout = dropout_bf16,
            .loss = loss_bf16,
            .image = image_bf16,
            .optimizer = optimizer,
            .snnl = snnl_bf16};
}

constinit const Kernels table_f32 = with_f32(conv_f32, linear_f32);
constinit const Kernels table_tf32 = with_f32(conv_tf32, linear_tf32);
constinit const Kernels table_bf16 = with_bf16(conv_bf16, linear_bf16);
constinit const Kernels table_bf16_sm90a = with_bf16(conv_bf16_sm90a, linear_bf16_sm90a);

// Of a GPU of this generation (its compute capability x 10). Warpgroup products are Hopper's alone.
const Kernels& table_of(Precision precision, int generation) {
    switch (precision) {
        case Precision::f32:
            return table_f32;
        case Precision::tf32:
            return table_tf32;
        case Precision::bf16:
            return generation == 90 ? table_bf16_sm90a : table_bf16;
    }
    fail("no such precision");
}

}  // namespace

// A machine without a driver answers with an error of its own and leaves the count alone: any error is none.
const Kernels* find(Precision precision) {
    int devices = 0, device = 0, major = 0, minor = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) return nullptr;
    check(cudaGetDevice(&device));
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
    return &table_of(precision, major * 10 + minor);
}

}  // namespace fp::cuda
