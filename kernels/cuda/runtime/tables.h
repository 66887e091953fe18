// The tables of these kernels, for the machine (GPU or emulated) that they are compiled for.
#pragma once

#include "kernels/cuda/plan/layout.h"
#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::FP_MACHINE {

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
extern const Snnl snnl_f32, snnl_bf16, snnl_f32_sm90a, snnl_bf16_sm90a;

// What differs between the machines: everything but the kernels.
struct Host {
    std::string_view name;
    const Memory& memory;
    const StreamApi& streams;
    const Graph* graph;
    const Ranges* ranges = nullptr;
};

// Convolutions, linear layers and SNNL come in several versions for one activation type, everything else in one.
constexpr Kernels table_of(
    const Host& host, Type activation, const Conv& conv, const Linear& linear, const Snnl& snnl) {
    const bool f32 = activation == Type::f32;
    return {.name = host.name,
            .activation = activation,
            .parameter = Type::f32,
            .block = f32 ? nhwc_block : nhwc_block_bf16,
            .image_block = nhwc_image_block,
            .filter = krsc_filter,
            .memory = host.memory,
            .streams = host.streams,
            .graph = host.graph,
            .ranges = host.ranges,
            .conv = conv,
            .linear = linear,
            .batchnorm = f32 ? batchnorm_f32 : batchnorm_bf16,
            .relu = f32 ? relu_f32 : relu_bf16,
            .add = f32 ? add_f32 : add_bf16,
            .maxpool = f32 ? maxpool_f32 : maxpool_bf16,
            .avgpool = f32 ? avgpool_f32 : avgpool_bf16,
            .dropout = f32 ? dropout_f32 : dropout_bf16,
            .loss = f32 ? loss_f32 : loss_bf16,
            .image = f32 ? image_f32 : image_bf16,
            .optimizer = optimizer,
            .snnl = snnl};
}

// One table per precision and generation. Hopper's warpgroup products serve SNNL and, in bf16, convolutions and linear
// layers.
struct Tables {
    Kernels f32, tf32, bf16, f32_sm90a, tf32_sm90a, bf16_sm90a;

    constexpr explicit Tables(const Host& host)
        : f32(table_of(host, Type::f32, conv_f32, linear_f32, snnl_f32)),
          tf32(table_of(host, Type::f32, conv_tf32, linear_tf32, snnl_f32)),
          bf16(table_of(host, Type::bf16, conv_bf16, linear_bf16, snnl_bf16)),
          f32_sm90a(table_of(host, Type::f32, conv_f32, linear_f32, snnl_f32_sm90a)),
          tf32_sm90a(table_of(host, Type::f32, conv_tf32, linear_tf32, snnl_f32_sm90a)),
          bf16_sm90a(table_of(host, Type::bf16, conv_bf16_sm90a, linear_bf16_sm90a, snnl_bf16_sm90a)) {}

    // For a GPU of this generation: its compute capability x 10.
    const Kernels& of(Precision precision, int generation) const {
        const bool hopper = generation == 90;
        switch (precision) {
            case Precision::f32:
                return hopper ? f32_sm90a : f32;
            case Precision::tf32:
                return hopper ? tf32_sm90a : tf32;
            case Precision::bf16:
                return hopper ? bf16_sm90a : bf16;
        }
        fail("no such precision");
    }
};

}  // namespace fp::FP_MACHINE
