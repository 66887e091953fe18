// The CUDA kernels on the machine that plays a GPU, over the host's memory.
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/cuda/tables.cuh"
#include "kernels/error.h"
#include "kernels/host_order.h"
#include "kernels/kernels.h"
#include "kernels/machine/emulated/launch.h"
#include "kernels/machine/emulated/settings.h"

namespace fp::emulated {

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
    .abandon = [](Stream) { delete std::exchange(recording(), nullptr); },
    .launch =
        [](void* g, Stream) {
            for (auto& call : *static_cast<Recording*>(g)) call();
        },
    .release = [](void* g) { delete static_cast<Recording*>(g); },
};

constinit const Tables tables{Host{"emulated", memory, host_order, &graph}};

}  // namespace

const Kernels* find(Precision precision) { return &tables.of(precision, settings().generation); }

}  // namespace fp::emulated
