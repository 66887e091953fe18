// The CUDA kernels on the machine that plays a GPU, over the host's memory.
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/kernels.h"
#include "kernels/nhwc.h"

namespace fp::emulated {

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

constexpr size_t kAlignment = 256;  // cudaMalloc's

void* alloc(size_t bytes) {
    const int64_t whole = round_up(int64_t(bytes ? bytes : 1), kAlignment);
    void* block = std::aligned_alloc(kAlignment, size_t(whole));
    if (!block) throw std::bad_alloc();
    return block;
}
void copy(void* to, const void* from, size_t bytes, Stream) { std::memcpy(to, from, bytes); }
void zero(void* device, size_t bytes, Stream) { std::memset(device, 0, bytes); }
void synchronize(Stream) {}

constexpr Memory memory{.alloc = alloc,
                        .release = std::free,
                        .copy_in = copy,
                        .copy_out = copy,
                        .copy = copy,
                        .zero = zero,
                        .synchronize = synchronize};

constinit const Kernels table{.name = "emulated",
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

const Kernels* find(Precision precision) { return precision == Precision::f32 ? &table : nullptr; }

}  // namespace fp::emulated
