// The table of the CUDA kernels on the emulated GPU, with the host's memory.
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "kernels/cuda/runtime/tables.h"
#include "kernels/error.h"
#include "kernels/kernels.h"
#include "kernels/machine/emulated/launch.h"
#include "kernels/machine/emulated/settings.h"
#include "kernels/machine/emulated/streams.h"

namespace fp::emulated {

namespace {

constexpr size_t kAlignment = 256;  // cudaMalloc's

void* alloc(size_t bytes) {
    refuse_while_capturing("memory was allocated");
    const int64_t whole = round_up(int64_t(bytes ? bytes : 1), kAlignment);
    void* block = std::aligned_alloc(kAlignment, size_t(whole));
    if (!block) throw std::bad_alloc();
    return block;
}
void release(void* block) {
    if (block && capturing()) return release_while_capturing(block);
    finish_quietly();
    std::free(block);
}
void* alloc_host(size_t bytes) {
    refuse_while_capturing("memory was allocated");
    return alloc_pinned(bytes);
}
void release_host(void* block) {
    finish_quietly();
    release_pinned(block);
}
void copy(void* to, const void* from, size_t bytes, Stream s) {
    give(s, [=] { std::memcpy(to, from, bytes); });
}
void copy_in(void* device, const void* host, size_t bytes, Stream s) {
    refuse_while_capturing("the host copied to the device");
    if (is_immediate() || is_pinned(host)) return copy(device, host, bytes, s);
    const auto* first = static_cast<const char*>(host);
    give(s, [device, now = std::vector<char>(first, first + bytes)] { std::memcpy(device, now.data(), now.size()); });
}
void copy_out(void* host, const void* device, size_t bytes, Stream s) {
    refuse_while_capturing("the host waited for a copy");
    copy(host, device, bytes, s);
    finish(s);
}
void copy_out_later(void* host, const void* device, size_t bytes, Stream s) {
    FP_CHECK(is_pinned(host), "emulated: a copy beside other work to memory that is not of alloc_host");
    copy(host, device, bytes, s);
}
void zero(void* device, size_t bytes, Stream s) {
    give(s, [=] { std::memset(device, 0, bytes); });
}
void synchronize(Stream s) {
    refuse_while_capturing("the host waited");
    finish(s);
}

constexpr Memory memory{.alloc = alloc,
                        .release = release,
                        .alloc_host = alloc_host,
                        .release_host = release_host,
                        .copy_in = copy_in,
                        .copy_out = copy_out,
                        .copy_out_later = copy_out_later,
                        .copy = copy,
                        .zero = zero,
                        .synchronize = synchronize};

constinit const Tables tables{Host{"emulated", memory, streams, &graph}};

}  // namespace

const Kernels* find(Precision precision) { return &tables.of(precision, settings().generation); }

}  // namespace fp::emulated
