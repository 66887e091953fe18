// The host's memory as a backend's: large blocks ask for huge pages, large copies use every thread.
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

constexpr size_t kAlignment = 256, kHugePage = 2 << 20;

void* alloc(size_t bytes) {
    const size_t alignment = bytes >= kHugePage ? kHugePage : kAlignment;
    const size_t size = (std::max(bytes, size_t(1)) + alignment - 1) / alignment * alignment;
    void* block = std::aligned_alloc(alignment, size);
    if (!block) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(block, size, MADV_HUGEPAGE);  // advice: may be ignored
    return block;
}

void release(void* block) { std::free(block); }

void copy(void* to, const void* from, size_t bytes, Stream) {
    for_pieces(int64_t(bytes), [=](int64_t first, int64_t last) {
        std::memcpy(static_cast<char*>(to) + first, static_cast<const char*>(from) + first, size_t(last - first));
    });
}

void zero(void* block, size_t bytes, Stream) {
    for_pieces(int64_t(bytes), [=](int64_t first, int64_t last) {
        std::memset(static_cast<char*>(block) + first, 0, size_t(last - first));
    });
}

void synchronize(Stream) {}

}  // namespace

extern const Memory memory{.alloc = alloc,
                           .release = release,
                           .alloc_host = alloc,
                           .release_host = release,
                           .copy_in = copy,
                           .copy_out = copy,
                           .copy_out_later = copy,
                           .copy = copy,
                           .zero = zero,
                           .synchronize = synchronize,
                           .is_host = true};

}  // namespace fp::cpu
