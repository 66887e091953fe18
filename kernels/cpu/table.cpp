// The host's table: float32, channels in blocks of one register of floats (lanes.h).
#include "kernels/cpu/conv/choose.h"
#include "kernels/cpu/lanes.h"
#include "kernels/host_streams.h"
#include "kernels/host_table.h"

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

int block(int) { return kBlock; }
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

}  // namespace fp::cpu

// One of kernels/isa.cpp's.
extern "C" const fp::HostTable FP_HOST_TABLE;
extern "C" const fp::HostTable FP_HOST_TABLE{fp::cpu::table, fp::cpu::kNativeLanes * 32, fp::cpu::executed};
