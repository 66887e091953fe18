// What sm_90a adds to machine.cuh, emulated on the host. Its twin kernels/machine/gpu/hopper.cuh documents the
// functions. Copies of the tensor memory accelerator complete at any time, in any order; products when they are waited
// for. Both access shared memory through a view of their own, which sees the stores of a kernel only after
// async_fence().
#pragma once

#include "kernels/machine/tensor_map.h"
#include "machine.cuh"

namespace fp::emulated {

constexpr int kWarpgroup = 128;

// The elected lane is drawn at random per block, to expose kernels that assume it is lane 0.
inline bool elect_one(const Place& at = Place::current()) {
    Block::running().whole_warp("elect_one", at);
    exchange(WarpOperation::elect, kAllLanes, 0, at, [](auto, unsigned) { return 0; });
    return lane_index() == Block::running().elected_lane();
}
inline int not_before(int v) { return v; }

// Registers change for the whole warp: lane 0 does the accounting, the other lanes wait for it.
template <int kRegisters>
void set_registers(bool take, const Place& at) {
    static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
    Block::running().whole_warp("setmaxnreg", at);
    const auto together = [&] {
        exchange(WarpOperation::setmaxnreg, kAllLanes, 0, at, [](auto, unsigned) { return 0; });
    };
    together();
    if (lane_index() == 0) Block::running().set_registers(kRegisters, take, at);
    together();
}
template <int kRegisters>
void keep_registers(const Place& at = Place::current()) {
    set_registers<kRegisters>(false, at);
}
template <int kRegisters>
void take_registers(const Place& at = Place::current()) {
    set_registers<kRegisters>(true, at);
}

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

// ---- the tensor memory accelerator

using TensorMap = TensorMapSpec;

inline void prefetch_map(const TensorMap&) {}

inline TensorMap encode(const TensorMapSpec& s) {
    s.check();
    return s;
}
inline void tensor_load_3d(
    void* to, const TensorMap& map, int i0, int i1, int i2, Mbarrier* b, const Place& at = Place::current()) {
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

// ---- clusters

inline int cluster_rank() { return Block::running().cluster_rank(); }
inline void cluster_sync(const Place& at = Place::current()) { Block::running().wait_cluster(at); }
inline void cluster_exit(const Place& at = Place::current()) { Block::running().leave_cluster(at); }
inline float4 load_of_block(const float4* own, int rank, const Place& at = Place::current()) {
    check_aligned(own, at);
    return *static_cast<const float4*>(Block::running().shared_of(rank, own, at));
}

// ---- kernels that begin early

inline void let_next_begin() {}
inline void wait_for_kernels_in_front() { Block::running().wait_for_kernels(); }

// ---- products of a warpgroup

// The fields hold multiples of 16 bytes below 2^18. Hardware would silently drop other bits.
inline uint64_t descriptor_field(int64_t bytes, int shift, const Place& at) {
    if (bytes % 16 || bytes < 0 || bytes >= 1 << 18)
        Block::running().stop(text("a descriptor of wgmma with ", bytes, " bytes, not a multiple of 16 below 2^18, ",
                                   at.file_name(), ":", at.line()));
    return uint64_t(bytes) >> 4 << shift;
}
inline uint64_t descriptor(const void* from, int64_t leading, int64_t stride, uint64_t swizzle, const Place& at) {
    return descriptor_field(Block::running().shared_address(from), 0, at) | descriptor_field(leading, 16, at) |
           descriptor_field(stride, 32, at) | swizzle << 62;
}
inline uint64_t row_descriptor(const void* from, const Place& at = Place::current()) {
    return descriptor(from, 16, 1024, 1, at);
}
inline uint64_t column_descriptor(const void* from, int next, const Place& at = Place::current()) {
    return descriptor(from, next, 1024, 1, at);
}
inline uint64_t matrix_descriptor(const void* from, int next_sum, int next_rows, const Place& at = Place::current()) {
    return descriptor(from, next_sum, next_rows, 0, at);
}

inline void wgmma_fence() { Block::running().fence_products(); }
inline void wgmma_commit() { Block::running().commit_products(); }
// The accumulators that are passed to a wait: one array or several.
class Sums {
public:
    Sums() = default;
    template <int kCount>
    Sums(float (&d)[kCount]) : first_(d), end_(d + kCount) {}
    template <int kArrays, int kCount>
    Sums(float (&d)[kArrays][kCount]) : first_(d[0]), end_(d[0] + kArrays * kCount) {}
    void check(const Place& at) const { Block::running().check_settled(first_, end_, at); }

private:
    const float *first_ = nullptr, *end_ = nullptr;
};

inline void wgmma_settled(const Sums& sums, const Place& at = Place::current()) { sums.check(at); }

// Until the wait the accumulators of products in flight are NaN.
template <int kGroupsInFlight>
void wgmma_wait(const Sums& settled = {},
                const Sums& more = {},
                const Sums& yet_more = {},
                const Place& at = Place::current()) {
    Block::running().wait_products(kGroupsInFlight);
    exchange(WarpOperation::wgmma, kAllLanes, 0, at, [](auto, unsigned) { return 0; });
    for (const Sums& sums : {settled, more, yet_more}) sums.check(at);
}

enum class Operand { rows, columns };

template <int kN, Operand kA, Operand kB>
void wgmma(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate, bool half, const Place& at) {
    static_assert(kN % 8 == 0 && kN >= 8 && kN <= 256);
    Block::running().whole_warp("wgmma", at);
    exchange(WarpOperation::wgmma, kAllLanes, 0, at, [](auto, unsigned) { return 0; });
    Block::running().multiply({d, {a, kA == Operand::columns}, {b, kB == Operand::columns}, kN, accumulate, half}, at);
}
template <int kN, Operand kA = Operand::rows, Operand kB = Operand::rows>
void wgmma_bf16(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate, const Place& at = Place::current()) {
    wgmma<kN, kA, kB>(d, a, b, accumulate, false, at);
}
template <int kN, Operand kA = Operand::rows, Operand kB = Operand::rows>
void wgmma_f16(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate, const Place& at = Place::current()) {
    wgmma<kN, kA, kB>(d, a, b, accumulate, true, at);
}

inline void stmatrix_x4(void* row, const uint32_t (&r)[4], const Place& at = Place::current()) {
    check_aligned(static_cast<const uint4*>(row), at);
    const int lane = lane_index();
    struct Four {
        uint32_t r[4];
    };
    const uint4 mine = exchange(WarpOperation::stmatrix, kAllLanes, Four{{r[0], r[1], r[2], r[3]}}, at,
                                [lane](auto brought, unsigned) {
                                    const int matrix = lane / 8, i = lane % 8;
                                    return uint4{brought(4 * i).r[matrix], brought(4 * i + 1).r[matrix],
                                                 brought(4 * i + 2).r[matrix], brought(4 * i + 3).r[matrix]};
                                });
    std::memcpy(row, &mine, sizeof mine);
}

}  // namespace fp::emulated
