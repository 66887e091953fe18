// Shared memory of the emulated block, and asynchronous copies into it.
#include <cstring>
#include <span>

#include "kernels/error.h"
#include "kernels/machine/emulated/block.h"

namespace fp::emulated {
namespace {

constexpr size_t kRedZone = 128;
constexpr size_t kDynamicAlignment = 1024;
constexpr size_t kMostShared = 227 << 10;  // per block of an H100 or H200
constexpr size_t kMostStatic = 48 << 10;   // the most without opting in

// ThreadSanitizer intercepts memcpy and memset even in untraced functions, but not these loops.
FP_UNTRACED void fill_with_nan(char* at, size_t bytes) {
    auto* words = reinterpret_cast<volatile uint64_t*>(at);
    for (size_t i = 0; i < bytes / 8; ++i) words[i] = ~uint64_t(0);
}

}  // namespace

void Block::start_shared(size_t dynamic_bytes) {
    poison(arena_, kArena);
    zone_count_ = 0;
    shared_bytes_ = 0;
    arena_used_ = kDynamicAlignment - kRedZone;
    FP_CHECK(dynamic_bytes <= kMostShared, dynamic_bytes, " bytes of dynamic shared memory, a block can have ",
             kMostShared);
    dynamic_ = take_shared(dynamic_bytes, Place());
    dynamic_bytes_ = dynamic_bytes;
}

// `bytes` of poisoned memory between red zones.
FP_UNTRACED char* Block::take_shared(size_t bytes, const Place& at) {
    const size_t padded = (bytes + kRedZone - 1) / kRedZone * kRedZone;
    const size_t first = arena_used_ + kRedZone;
    char* from = arena_ + first;
    arena_used_ = first + padded;
    shared_bytes_ += bytes;
    unpoison(from - kRedZone, padded + 2 * kRedZone);
    fill_with_nan(from - kRedZone, padded + 2 * kRedZone);
    poison(from - kRedZone, kRedZone);
    poison(from + bytes, padded - bytes + kRedZone);
    if (zone_count_ + 2 > int(std::size(zones_))) stop("more than 31 shared arrays");
    zones_[zone_count_++] = {from - kRedZone, kRedZone, at};
    zones_[zone_count_++] = {from + bytes, padded - bytes + kRedZone, at};
    return from;
}

FP_UNTRACED void* Block::shared(SharedSite& site, size_t bytes, const Place& at) {
    if (site.block == generation_) return site.at;
    if (cluster_.size() > 1) stop(text(text_of(at), ": in a cluster only dynamic shared memory"));
    if (bytes > kMostStatic)
        stop(text(text_of(at), ": ", bytes, " bytes of static shared memory, at most ", kMostStatic));
    if (shared_bytes_ + bytes > kMostShared)
        stop(text(text_of(at), ": ", shared_bytes_ + bytes, " bytes of shared memory, a block can have ", kMostShared));
    site = {.at = take_shared(bytes, at), .block = generation_};
    return site.at;
}

FP_UNTRACED void Block::check_zones() {
    if (under_asan()) return;  // it has already reported the access, with its line
    for (const Zone& z : std::span(zones_, zone_count_))
        for (size_t i = 0; i < z.bytes; ++i)
            if (z.from[i] != char(-1)) {
                error_ = text("shared memory written outside the array of ",
                              z.array.line() ? text_of(z.array) : "dynamic shared memory");
                return;
            }
}

FP_UNTRACED void Block::copy_async(void* to, const void* from, int bytes) {
    if (from) counted.bytes_loaded += bytes;
    if (settings().late_copy) {
        Thread& me = thread_[current_];
        me.copies.push_back({to, from, bytes, me.copy_group});
    } else if (from) {
        std::memcpy(to, from, bytes);
    } else {
        std::memset(to, 0, bytes);
    }
}

void Block::commit_copies() { ++thread_[current_].copy_group; }

void Block::wait_copies(int groups_in_flight) {
    Thread& me = thread_[current_];
    size_t kept = 0;
    for (const Copy& c : me.copies) {
        if (c.group >= me.copy_group - groups_in_flight)
            me.copies[kept++] = c;
        else if (c.from)
            std::memcpy(c.to, c.from, c.bytes);
        else
            std::memset(c.to, 0, c.bytes);
    }
    me.copies.resize(kept);
}

}  // namespace fp::emulated
