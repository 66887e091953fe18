// The CUDA kernels on the machine that plays a GPU, over the host's memory.
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/error.h"
#include "kernels/host_order.h"
#include "kernels/kernels.h"
#include "kernels/machine/emulated/launch.h"
#include "kernels/machine/emulated/settings.h"
#include "kernels/nhwc.h"

namespace fp::emulated {

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

constexpr size_t kAlignment = 256;  // cudaMalloc's

// What a GPU cannot do while it notes a graph.
void refuse_while_noting(const char* what) {
    FP_CHECK(!recording(), "emulated: ", what, " while a graph is noted");
}

void* alloc(size_t bytes) {
    refuse_while_noting("memory was asked for");
    const int64_t whole = round_up(int64_t(bytes ? bytes : 1), kAlignment);
    void* block = std::aligned_alloc(kAlignment, size_t(whole));
    if (!block) throw std::bad_alloc();
    return block;
}
void copy(void* to, const void* from, size_t bytes, Stream) {
    give([=] { std::memcpy(to, from, bytes); });
}
void copy_in(void* device, const void* host, size_t bytes, Stream) {
    refuse_while_noting("something was copied in");
    std::memcpy(device, host, bytes);
}
void copy_out(void* host, const void* device, size_t bytes, Stream) {
    refuse_while_noting("the host waited for a copy");
    std::memcpy(host, device, bytes);
}
void zero(void* device, size_t bytes, Stream) {
    give([=] { std::memset(device, 0, bytes); });
}
void synchronize(Stream) { refuse_while_noting("the host waited"); }

constexpr Memory memory{.alloc = alloc,
                        .release = std::free,
                        .alloc_host = alloc,
                        .release_host = std::free,
                        .copy_in = copy_in,
                        .copy_out = copy_out,
                        .copy_out_later = copy,
                        .copy = copy,
                        .zero = zero,
                        .synchronize = synchronize};

constexpr Graph graph{
    .begin =
        [](Stream) {
            refuse_while_noting("a second one was begun");
            recording() = new Recording;
        },
    .end = [](Stream) -> void* { return std::exchange(recording(), nullptr); },
    .launch =
        [](void* g, Stream) {
            for (auto& call : *static_cast<Recording*>(g)) call();
        },
    .release = [](void* g) { delete static_cast<Recording*>(g); },
};

constexpr Kernels with_f32(const Conv& conv, const Linear& linear) {
    return {.name = "emulated",
            .activation = Type::f32,
            .parameter = Type::f32,
            .block = nhwc_block,
            .image_block = nhwc_image_block,
            .filter = krsc_filter,
            .memory = memory,
            .order = host_order,
            .graph = &graph,
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
    return {.name = "emulated",
            .activation = Type::bf16,
            .parameter = Type::f32,
            .block = nhwc_block,
            .image_block = nhwc_image_block,
            .filter = krsc_filter,
            .memory = memory,
            .order = host_order,
            .graph = &graph,
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

const Kernels* find(Precision precision) { return &table_of(precision, settings().generation); }

}  // namespace fp::emulated
