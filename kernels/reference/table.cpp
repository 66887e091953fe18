// The reference tables: float32 and double in plain NCHW and OIHW, float32 in the host's blocks of 16.
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/host_streams.h"
#include "kernels/kernels.h"

namespace fp::reference {

extern const Conv conv_f32, conv_f64;
extern const Linear linear_f32, linear_f64;
extern const BatchNorm batchnorm_f32, batchnorm_f64;
extern const Relu relu_f32, relu_f64;
extern const Add add_f32, add_f64;
extern const MaxPool maxpool_f32, maxpool_f64;
extern const AvgPool avgpool_f32, avgpool_f64;
extern const Dropout dropout_f32, dropout_f64;
extern const Loss loss_f32, loss_f64;
extern const Image image_f32, image_f64;
extern const Optimizer optimizer_f32, optimizer_f64;
extern const Snnl snnl_f32, snnl_f64;

namespace {

constexpr size_t kAlignment = 256;

constexpr auto take = [](size_t bytes) -> void* {
    void* block = std::aligned_alloc(kAlignment, size_t(round_up(int64_t(bytes ? bytes : 1), kAlignment)));
    if (!block) throw std::bad_alloc();
    return block;
};

constexpr Memory memory{
    .alloc = take,
    .release = [](void* block) { std::free(block); },
    .alloc_host = take,
    .release_host = [](void* block) { std::free(block); },
    .copy_in = [](void* device, const void* host, size_t bytes, Stream) { std::memcpy(device, host, bytes); },
    .copy_out = [](void* host, const void* device, size_t bytes, Stream) { std::memcpy(host, device, bytes); },
    .copy_out_later = [](void* host, const void* device, size_t bytes, Stream) { std::memcpy(host, device, bytes); },
    .copy = [](void* to, const void* from, size_t bytes, Stream) { std::memcpy(to, from, bytes); },
    .zero = [](void* device, size_t bytes, Stream) { std::memset(device, 0, bytes); },
    .synchronize = [](Stream) {},
    .is_host = true};

constexpr int kBlock = 16;  // of the blocked table

int plain(int) { return 1; }
int blocked(int) { return kBlock; }

Filter plain_filter(int k, int c, int r, int s, int) { return {.k = k, .c = c, .r = r, .s = s}; }

// A filter over the planar image blocks only its outputs.
Filter blocked_filter(int k, int c, int r, int s, int x_block) {
    return {.k = k, .c = c, .r = r, .s = s, .k_block = kBlock, .c_block = x_block == 1 ? 1 : kBlock};
}

constexpr Kernels table_f32{.name = "reference",
                            .activation = Type::f32,
                            .parameter = Type::f32,
                            .block = plain,
                            .image_block = plain,
                            .filter = plain_filter,
                            .memory = memory,
                            .streams = host_streams,
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
                            .optimizer = optimizer_f32,
                            .snnl = snnl_f32};

constexpr Kernels table_f64{.name = "reference_f64",
                            .activation = Type::f64,
                            .parameter = Type::f64,
                            .block = plain,
                            .image_block = plain,
                            .filter = plain_filter,
                            .memory = memory,
                            .streams = host_streams,
                            .conv = conv_f64,
                            .linear = linear_f64,
                            .batchnorm = batchnorm_f64,
                            .relu = relu_f64,
                            .add = add_f64,
                            .maxpool = maxpool_f64,
                            .avgpool = avgpool_f64,
                            .dropout = dropout_f64,
                            .loss = loss_f64,
                            .image = image_f64,
                            .optimizer = optimizer_f64,
                            .snnl = snnl_f64};

constexpr Kernels table_blocked = [] {
    Kernels table = table_f32;
    table.name = "reference_blocked";
    table.block = blocked;
    table.filter = blocked_filter;
    return table;
}();

}  // namespace

const Kernels* find() { return &table_f32; }
const Kernels* find_f64() { return &table_f64; }
const Kernels* find_blocked() { return &table_blocked; }

}  // namespace fp::reference
