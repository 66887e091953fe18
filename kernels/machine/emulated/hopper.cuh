// What sm_90a adds to machine.cuh, played on the host. Twin: kernels/machine/gpu/hopper.cuh, which says what
// each piece means. Copies of the tensor memory unit happen at any time, in any order; products when they
// are waited for. Both read and write shared memory through a view of their own, which sees a kernel's
// stores only after async_fence().
#pragma once

#include "kernels/machine/tensor_map.h"
#include "machine.cuh"

namespace fp::emulated {

constexpr int kWarpgroup = 128;

inline bool elect_one(const Place& at = Place::current()) {
    warp_sync(kAllLanes, at);
    return lane_index() == 0;
}
inline int not_before(int v) { return v; }
template <int kRegisters>
void keep_registers() {}
template <int kRegisters>
void take_registers() {}

// ---- barriers in shared memory

struct alignas(8) Mbarrier {
    uint64_t word;
};

inline void mbarrier_init(Mbarrier* b, int arrivals, const Place& at = Place::current()) {
    Block::running().init_mbarrier(&b->word, arrivals, at);
}
inline void mbarrier_init_fence() { Block::running().fence_mbarriers(); }
inline void mbarrier_arrive(Mbarrier* b, const Place& at = Place::current()) {
    Block::running().arrive_mbarrier(&b->word, 0, at);
}
inline void mbarrier_arrive_expect(Mbarrier* b, int bytes, const Place& at = Place::current()) {
    Block::running().arrive_mbarrier(&b->word, bytes, at);
}
inline void mbarrier_wait(Mbarrier* b, int parity, const Place& at = Place::current()) {
    Block::running().wait_mbarrier(&b->word, parity, at);
}
inline bool mbarrier_test(Mbarrier* b, int parity, const Place& at = Place::current()) {
    return Block::running().test_mbarrier(&b->word, parity, at);
}


// ---- the tensor memory unit

using TensorMap = TensorMapSpec;

inline void prefetch_map(const TensorMap&) {}

inline TensorMap encode(const TensorMapSpec& s) {
    s.check();
    return s;
}
inline void tensor_load_3d(void* to,
                           const TensorMap& map,
                           int i0,
                           int i1,
                           int i2,
                           Mbarrier* b,
                           const Place& at = Place::current()) {
    if (map.im2col || map.rank != 3) Block::running().stop("not a tiled map of rank 3");
    Block::running().copy_tensor({to, map, {i0, i1, i2, 0}, {}, &b->word}, at);
}
inline void tensor_load_im2col(void* to,
                               const TensorMap& map,
                               int c,
                               int w,
                               int h,
                               int n,
                               int offset_w,
                               int offset_h,
                               Mbarrier* b,
                               const Place& at = Place::current()) {
    if (!map.im2col) Block::running().stop("not an im2col map");
    Block::running().copy_tensor({to, map, {c, w, h, n}, {offset_w, offset_h}, &b->word}, at);
}
inline void async_fence() { Block::running().fence_async(); }

// ---- products of a warpgroup

inline uint64_t row_descriptor(const void* at) {
    constexpr uint64_t kGroup = 1024 >> 4, kSwizzle128 = 1;
    return uint64_t(Block::running().shared_address(at) >> 4 & 0x3fff) | uint64_t(1) << 16 |
           kGroup << 32 | kSwizzle128 << 62;
}

inline uint64_t column_descriptor(const void* at, int next) {
    constexpr uint64_t kGroup = 1024 >> 4, kSwizzle128 = 1;
    return uint64_t(Block::running().shared_address(at) >> 4 & 0x3fff) | uint64_t(next >> 4) << 16 |
           kGroup << 32 | kSwizzle128 << 62;
}

inline uint64_t matrix_descriptor(const void* at, int next_sum, int next_rows) {
    return uint64_t(Block::running().shared_address(at) >> 4 & 0x3fff) |
           uint64_t(next_sum >> 4) << 16 | uint64_t(next_rows >> 4) << 32;
}

inline void wgmma_fence() { Block::running().fence_products(); }
inline void wgmma_commit() { Block::running().commit_products(); }
template <int kGroupsInFlight>
void wgmma_wait(const Place& at = Place::current()) {
    Block::running().wait_products(kGroupsInFlight);
    exchange(WarpOperation::wgmma, kAllLanes, 0, at, [](auto, unsigned) { return 0; });
}

template <int kCount>
void wgmma_settled(float (&)[kCount]) {}

enum class Operand { rows, columns };

template <int kN, Operand kA = Operand::rows, Operand kB = Operand::rows>
void wgmma_bf16(float (&d)[kN / 2],
                uint64_t a,
                uint64_t b,
                bool accumulate,
                const Place& at = Place::current()) {
    static_assert(kN % 8 == 0 && kN >= 8 && kN <= 256);
    exchange(WarpOperation::wgmma, kAllLanes, 0, at, [](auto, unsigned) { return 0; });
    Block::running().multiply(
        {d, {a, kA == Operand::columns}, {b, kB == Operand::columns}, kN, accumulate}, at);
}

inline void stmatrix_x4(void* row, const uint32_t (&r)[4], const Place& at = Place::current()) {
    check_aligned(static_cast<const uint4*>(row), at);
    const int lane = lane_index();
    struct Four {
        uint32_t r[4];
    };
    const uint4 mine =
        exchange(WarpOperation::stmatrix, kAllLanes, Four{{r[0], r[1], r[2], r[3]}}, at,
                 [lane](auto brought, unsigned) {
                     const int matrix = lane / 8, i = lane % 8;
                     return uint4{brought(4 * i).r[matrix], brought(4 * i + 1).r[matrix],
                                  brought(4 * i + 2).r[matrix], brought(4 * i + 3).r[matrix]};
                 });
    std::memcpy(row, &mine, sizeof mine);
}

}  // namespace fp::emulated
