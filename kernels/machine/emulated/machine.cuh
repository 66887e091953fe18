// The machine that kernels are written for, here emulated on the host. kernels/machine/gpu/ has the same names with the
// same meaning; the include path of the build selects one of the two.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <tuple>

#include "kernels/bf16.h"
#include "kernels/error.h"
#include "kernels/f16.h"
#include "kernels/kernels.h"
#include "kernels/machine/emulated/launch.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define UNROLL

// SHARED declares T name[..][..] in the block's shared memory, DYN_SHARED the part whose size the launch gives.
#define SHARED(T, name, ...)                                    \
    static thread_local ::fp::emulated::SharedSite name##_site; \
    using name##_array = T __VA_ARGS__;                         \
    name##_array& name = *static_cast<name##_array*>(           \
        ::fp::emulated::Block::running().shared(name##_site, sizeof(name##_array), ::fp::emulated::Place::current()))
#define DYN_SHARED(T, name) T* const name = reinterpret_cast<T*>(::fp::emulated::Block::running().dynamic_shared())

namespace fp::emulated {

using std::max;
using std::min;

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = ~0u;

struct alignas(8) [[gnu::may_alias]] float2 {
    float x, y;
};
struct alignas(16) [[gnu::may_alias]] float4 {
    float x, y, z, w;
};
struct alignas(8) [[gnu::may_alias]] uint2 {
    unsigned x, y;
};
struct alignas(16) [[gnu::may_alias]] uint4 {
    unsigned x, y, z, w;
};

template <class... Params, class... Args>
void launch(void (*kernel)(Params...), const Grid& grid, Stream stream, Args... args) {
    struct Call {
        void (*kernel)(Params...);
        std::tuple<Params...> values;
        Grid grid;
        void operator()() {
            run(
                grid, [](void* c) { std::apply(static_cast<Call*>(c)->kernel, static_cast<Call*>(c)->values); }, this);
        }
    };
    give(stream, Call{kernel, {static_cast<Params>(args)...}, grid});
}

// The position in the grid.

inline int thread_index() { return int(threadIdx.x); }
inline int lane_index() { return int(threadIdx.x) % kWarp; }
inline int warp_index() { return int(threadIdx.x) / kWarp; }

// Barriers: of the block, of `threads` threads of it (with a number, 1..15), of the lanes of a warp.

inline void block_sync(const Place& at = Place::current()) { Block::running().barrier(0, 0, at); }
inline void named_sync(int id, int threads, const Place& at = Place::current()) {
    Block::running().barrier(id, threads, at);
}

enum class WarpOperation : int {
    sync,
    shuffle,
    ballot,
    ldmatrix,
    ldmatrix_trans,
    stmatrix,
    mma,
    wgmma,
    elect,
    setmaxnreg
};

// Exchanges `mine` between the lanes of `mask`, and returns read(function from lane to its value, mask).
template <class T, class Read>
FP_UNTRACED auto exchange(WarpOperation operation, unsigned mask, const T& mine, const Place& at, Read read) {
    static_assert(sizeof(T) <= 32);
    Block& block = Block::running();
    Block::Meeting& meeting = block.meet(mask, int(operation), &mine, sizeof(T), at);
    const auto brought = [&meeting](int lane) FP_UNTRACED {
        T v;
        std::memcpy(&v, meeting.brought[lane], sizeof(T));
        return v;
    };
    const auto result = read(brought, meeting.mask);
    block.leave(meeting);
    return result;
}

inline void warp_sync(unsigned mask = kAllLanes, const Place& at = Place::current()) {
    exchange(WarpOperation::sync, mask, 0, at, [](auto, unsigned) { return 0; });
}

// The value of lane `from`; the lane's own value where `from` does not take part.
template <class T>
T shuffle(T v, int from, unsigned mask = kAllLanes, const Place& at = Place::current()) {
    return exchange(WarpOperation::shuffle, mask, v, at, [&](auto brought, unsigned present) {
        return present >> (from & 31) & 1 ? brought(from & 31) : v;
    });
}
template <class T>
T shuffle_xor(T v, int lanes, unsigned mask = kAllLanes, const Place& at = Place::current()) {
    return shuffle(v, lane_index() ^ lanes, mask, at);
}
template <class T>
T shuffle_down(T v, int lanes, unsigned mask = kAllLanes, const Place& at = Place::current()) {
    const int from = lane_index() + lanes;
    return shuffle(v, from < kWarp ? from : lane_index(), mask, at);
}
inline unsigned ballot(bool p, unsigned mask = kAllLanes, const Place& at = Place::current()) {
    return exchange(WarpOperation::ballot, mask, p, at, [](auto brought, unsigned present) {
        unsigned votes = 0;
        for (int lane = 0; lane < kWarp; ++lane)
            if (present >> lane & 1 && brought(lane)) votes |= 1u << lane;
        return votes;
    });
}

// The number of bits set, and the number of the lowest one of a word that is not 0.

inline int count_bits(unsigned bits) { return std::popcount(bits); }
inline int lowest_bit(unsigned bits) { return std::countr_zero(bits); }

// Global memory. Each is one aligned access.

template <class T>
void check_aligned(const T* p, const Place& at) {
    if (reinterpret_cast<uintptr_t>(p) % sizeof(T))
        Block::running().stop(text("misaligned access of ", sizeof(T), " bytes, ", at.file_name(), ":", at.line()));
}
template <class T>
T ldg(const T* p, const Place& at = Place::current()) {
    check_aligned(p, at);
    Block::running().access_global(at);
    Block::running().count_load(sizeof(T));
    return *p;
}
template <class T>
void stg(T* p, T v, const Place& at = Place::current()) {
    check_aligned(p, at);
    Block::running().access_global(at);
    Block::running().count_store(sizeof(T));
    *p = v;
}

// Asynchronous copies of 16 or 8 bytes from global to shared memory; zeros where not `valid`.

inline void cp_async16(void* to, const void* from, bool valid = true, const Place& at = Place::current()) {
    check_aligned(static_cast<const uint4*>(to), at);
    if (valid) check_aligned(static_cast<const uint4*>(from), at);
    if (valid) Block::running().access_global(at);
    Block::running().copy_async(to, valid ? from : nullptr, 16);
}
inline void cp_async8(void* to, const void* from, bool valid = true, const Place& at = Place::current()) {
    check_aligned(static_cast<const uint2*>(to), at);
    if (valid) check_aligned(static_cast<const uint2*>(from), at);
    if (valid) Block::running().access_global(at);
    Block::running().copy_async(to, valid ? from : nullptr, 8);
}
inline void cp_async_commit() { Block::running().commit_copies(); }
template <int kGroupsInFlight>
void cp_async_wait() {
    Block::running().wait_copies(kGroupsInFlight);
}

// Arithmetic.

inline float fast_exp2(float x) {  // 2 ulp on the GPU; denormals flushed
    const float y = std::exp2(x);
    return y < std::numeric_limits<float>::min() ? 0 : y;
}
inline float fused_multiply_add(float a, float b, float c) { return a * b + c; }

// float32 as the tensor core reads it: 10 bits of mantissa, rounded to nearest, ties away.
inline uint32_t to_tf32(float v) { return (std::bit_cast<uint32_t>(v) + 0x1000u) & 0xffffe000u; }
// The float32 of these bits, and its bits.
inline float float_of_bits(uint32_t bits) { return std::bit_cast<float>(bits); }
inline uint32_t bits_of_float(float v) { return std::bit_cast<uint32_t>(v); }
// Returns v, with -0 as +0 and every NaN as the same positive NaN.
inline float canonical(float v) { return v == v ? v + 0.0f : float_of_bits(0x7fffffffu); }
// Two floats as a pair of bf16, `low` in the lower half.
inline uint32_t pack_bf16(float low, float high) { return to_bf16(low).bits | uint32_t(to_bf16(high).bits) << 16; }
// To half precision, rounded to nearest even, and back (exact).
inline f16 to_f16(float v) { return half_of(v); }
inline float from_f16(f16 v) { return to_float(v); }

}  // namespace fp::emulated

#include "kernels/machine/emulated/matrix.cuh"
