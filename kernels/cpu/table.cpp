// The host's table: float32, channels in the blocks with which oneDNN is fastest on this processor.
#include <oneapi/dnnl/dnnl.hpp>

#include "kernels/host_streams.h"
#include "kernels/kernels.h"

namespace fp::cpu {

extern const Memory memory;
extern const Conv conv;
extern const Linear linear;
extern const BatchNorm batchnorm;
extern const Relu relu;
extern const Add add;
extern const MaxPool maxpool;
extern const AvgPool avgpool;
extern const Dropout dropout;
extern const Loss loss;
extern const Image image;
extern const Optimizer optimizer;
extern const Snnl snnl;

namespace {

// One register of floats: 16 with AVX-512, else 8. ONEDNN_MAX_CPU_ISA can ask for less than there is.
int block(int) {
    constexpr auto wide = unsigned(dnnl::cpu_isa::avx512_core);
    static const bool is_wide = (unsigned(dnnl::get_effective_cpu_isa()) & wide) == wide;
    return is_wide ? 16 : 8;
}

int image_block(int) { return 1; }

// A filter over the planar image blocks only its outputs.
Filter filter(int k, int c, int r, int s, int x_block) {
    return {.k = k, .c = c, .r = r, .s = s, .k_block = block(k), .c_block = x_block == 1 ? 1 : block(c)};
}

constexpr Kernels table{.name = "cpu",
                        .activation = Type::f32,
                        .parameter = Type::f32,
                        .block = block,
                        .image_block = image_block,
                        .filter = filter,
                        .memory = memory,
                        .streams = host_streams,
                        .conv = conv,
                        .linear = linear,
                        .batchnorm = batchnorm,
                        .relu = relu,
                        .add = add,
                        .maxpool = maxpool,
                        .avgpool = avgpool,
                        .dropout = dropout,
                        .loss = loss,
                        .image = image,
                        .optimizer = optimizer,
                        .snnl = snnl};

}  // namespace

const Kernels* find() { return &table; }

}  // namespace fp::cpu
