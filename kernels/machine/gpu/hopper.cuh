// What sm_90a adds to machine.cuh: mbarriers, the tensor memory accelerator (TMA), and matrix products of a warpgroup
// (four warps) whose operands are in shared memory (wgmma). Twin: kernels/machine/emulated/hopper.cuh.
#pragma once

#include <cuda.h>

#include "kernels/machine/tensor_map.h"
#include "machine.cuh"

namespace fp::cuda {

constexpr int kWarpgroup = 128;

// True in one lane of a complete warp, always the same one. Unlike with a comparison of thread numbers, ptxas knows
// that it is a single lane.
__device__ inline bool elect_one() {
    int one;
    asm volatile(
        "{\n.reg .pred one;\n"
        "elect.sync _|one, 0xffffffff;\n"
        "selp.s32 %0, 1, 0, one;\n}"
        : "=r"(one));
    return one != 0;
}

// Returns v. The compiler does not know that, so it computes nothing from the result before this line. Otherwise it may
// compute such values early and hold them in registers until they are used.
__device__ inline int not_before(int v) {
    asm volatile("" : "+r"(v));
    return v;
}

// setmaxnreg, called by all warps of a warpgroup. keep_registers gives registers back until each thread has kRegisters.
// take_registers takes registers that other warpgroups of the block gave back, and waits until enough are free.
template <int kRegisters>
__device__ void keep_registers() {
    static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ void take_registers() {
    static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// ---- mbarriers: barriers in shared memory. A phase completes when all arrivals and all expected bytes have come.

struct alignas(8) Mbarrier {
    uint64_t word;
};

__device__ inline void mbarrier_init(Mbarrier* b, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
// Makes initialised mbarriers visible to TMA.
__device__ inline void mbarrier_init_fence() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
__device__ inline void mbarrier_arrive(Mbarrier* b) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
// Arrives, and makes the phase wait for `bytes` more bytes.
__device__ inline void mbarrier_arrive_expect(Mbarrier* b, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
                 : "memory");
}
// The longest wait of mbarrier_wait, after which it traps: a phase that never completes becomes cudaErrorLaunchFailure
// instead of a GPU that hangs. In units of 2^32 cycles of the multiprocessor's clock, 2.2 s at 1.98 GHz: a wait of one
// unit never ends the kernel, one of two always does. Kernels run for milliseconds, under compute-sanitizer for a
// tenth of a second. A debugger that stops the kernel for longer ends it too.
constexpr int kLongestWait = 2;

// Waits until the phase of this parity (0 for the first, 1 for the second, ..) is complete. The clock is read only if
// the first try, which suspends the thread for some time, fails. The file and line of the trap are in a core dump of
// the GPU (CUDA_ENABLE_COREDUMP_ON_EXCEPTION=1, cuda-gdb).
__device__ inline void mbarrier_wait(Mbarrier* b, int parity) {
    asm volatile(
        "{\n.reg .pred over;\n.reg .u32 began, now;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
        "@over bra DONE;\n"
        "mov.u32 began, %%clock_hi;\n"
        "AGAIN:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
        "@over bra DONE;\n"
        "mov.u32 now, %%clock_hi;\n"
        "sub.u32 now, now, began;\n"
        "setp.lt.u32 over, now, %2;\n"
        "@over bra AGAIN;\n"
        "trap;\n"
        "DONE:\n}" ::"r"(shared_address(b)),
        "r"(parity), "n"(kLongestWait)
        : "memory");
}

// Returns whether that phase is complete, without waiting. Only tests/kernels/probe uses it.
__device__ inline bool mbarrier_test(Mbarrier* b, int parity) {
    int over;
    asm volatile(
        "{\n.reg .pred over;\n"
        "mbarrier.test_wait.parity.shared::cta.b64 over, [%1], %2;\n"
        "selp.s32 %0, 1, 0, over;\n}"
        : "=r"(over)
        : "r"(shared_address(b)), "r"(parity)
        : "memory");
    return over != 0;
}

// ---- the tensor memory accelerator

using TensorMap = CUtensorMap;

// Prefetches a tensor map from the kernel's parameters, so that the first copy need not wait for it.
__device__ inline void prefetch_map(const TensorMap& map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

// A function of the driver, looked up at run time: a program that links to the driver does not start without one.
inline void* driver_function(const char* name) {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    check(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result));
    FP_REQUIRE(found && result == cudaDriverEntryPointSuccess, Exit::device, "the driver has no ", name);
    return found;
}

inline TensorMap encode(const TensorMapSpec& s) {
    s.check();
    TensorMap map;
    cuuint64_t size[TensorMapSpec::kMostRank], stride[TensorMapSpec::kMostRank];
    cuuint32_t box[TensorMapSpec::kMostRank], steps[TensorMapSpec::kMostRank];
    for (int i = 0; i < s.rank; ++i) {
        size[i] = cuuint64_t(s.size[i]);
        box[i] = cuuint32_t(s.box[i]);
        steps[i] = s.im2col && (i == 1 || i == 2) ? cuuint32_t(s.step) : 1;
        if (i > 0) stride[i - 1] = cuuint64_t(s.stride[i]) * 2;
    }
    CUresult status;
    if (s.im2col) {
        static const auto function =
            reinterpret_cast<decltype(&cuTensorMapEncodeIm2col)>(driver_function("cuTensorMapEncodeIm2col"));
        status = function(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, cuuint32_t(s.rank), const_cast<void*>(s.base), size,
                          stride, s.lower, s.upper, TensorMapSpec::kRow, cuuint32_t(s.pixels), steps,
                          CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                          CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    } else {
        static const auto function =
            reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(driver_function("cuTensorMapEncodeTiled"));
        status = function(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, cuuint32_t(s.rank), const_cast<void*>(s.base), size,
                          stride, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                          CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    }
    FP_REQUIRE(status == CUDA_SUCCESS, Exit::device, "the driver refuses a tensor map: ", int(status));
    return map;
}

// Copies the box from element (i0, i1, i2) on. Its bytes count towards the phase of `b`.
__device__ inline void tensor_load_3d(void* to, const TensorMap& map, int i0, int i1, int i2, Mbarrier* b) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4}], [%5];" ::"r"(shared_address(to)),
        "l"(&map), "r"(i0), "r"(i1), "r"(i2), "r"(shared_address(b))
        : "memory");
}
// Copies 64 channels from c on of the pixels from position (w, h) of sample n on, each read at an offset of
// (offset_w, offset_h).
__device__ inline void tensor_load_im2col(
    void* to, const TensorMap& map, int c, int w, int h, int n, int offset_w, int offset_h, Mbarrier* b) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};" ::"r"(shared_address(to)),
        "l"(&map), "r"(c), "r"(w), "r"(h), "r"(n), "r"(shared_address(b)), "h"(short(offset_w)), "h"(short(offset_h))
        : "memory");
}
// Makes this thread's stores to shared memory visible to TMA and wgmma.
__device__ inline void async_fence() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// ---- clusters: blocks that run at the same time and read each other's shared memory (Grid::cluster)

// The number of this block in its cluster.
__device__ inline int cluster_rank() {
    int rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}
// A barrier of all threads of the cluster that have not left. What they wrote to shared memory before it, all of them
// see after it.
__device__ inline void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;" ::: "memory");
}
// The last thing that a thread does in a cluster: a block must not leave while another one may still read its shared
// memory. Relaxed: a thread arrives without waiting for its stores to be visible. What it has read of other blocks must
// have arrived, as it has where a store in front of the barrier uses it: a warp's instructions issue in order, a store
// when its operands are there. tests/kernels/test_cubins.cpp reads in the machine code that all loads and stores stand in
// front.
__device__ inline void cluster_exit() {
    asm volatile("barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait;" ::: "memory");
}
// What block `rank` of the cluster has at the address that `own` has in this block's shared memory.
__device__ inline float4 load_of_block(const float4* own, int rank) {
    float4 v;
    asm volatile(
        "{\n.reg .u32 there;\n"
        "mapa.shared::cluster.u32 there, %4, %5;\n"
        "ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [there];\n}"
        : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w)
        : "r"(shared_address(own)), "r"(rank));
    return v;
}

// ---- kernels that begin early (Grid::early), "programmatic dependent launch"

// The next kernel of the stream, if it was launched as early, may begin as soon as all blocks of this one have called
// this or have left.
__device__ inline void let_next_begin() { asm volatile("griddepcontrol.launch_dependents;"); }
// Waits until the kernels in front are complete and what they wrote is visible. Before it, a thread of a kernel that
// began early may read only what no kernel in front writes, and write nothing to global memory.
__device__ inline void wait_for_kernels_in_front() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

// ---- products of a warpgroup

// A K-major operand: rows of 64 bf16 along the sum, swizzled as TMA writes them, in 1024-byte groups of eight rows.
// `at` may be up to 96 bytes into the first row: 16 numbers of the sum are 32 bytes.
__device__ inline uint64_t row_descriptor(const void* at) {
    constexpr uint64_t kGroup = 1024 >> 4, kSwizzle128 = 1;
    return uint64_t(shared_address(at) >> 4 & 0x3fff) | uint64_t(1) << 16 | kGroup << 32 | kSwizzle128 << 62;
}

// An MN-major operand: each row of 128 bytes is one index of the sum and holds 64 lines (of M or N), eight rows to a
// group of 1024 bytes; the next 64 lines begin `next` bytes further on. `at` is a multiple of 128. (PTX ISA, wgmma,
// "strides" and "canonical layouts": major-ness MN, 128-byte swizzle, leading and stride byte offset. An H200 gave the
// emulated machine's bits: tests/kernels/recordings, wgmma_n*_across_the_sum.)
__device__ inline uint64_t column_descriptor(const void* at, int next) {
    constexpr uint64_t kGroup = 1024 >> 4, kSwizzle128 = 1;
    return uint64_t(shared_address(at) >> 4 & 0x3fff) | uint64_t(next >> 4) << 16 | kGroup << 32 | kSwizzle128 << 62;
}

// A K-major operand of rows of 16 bytes, not swizzled: eight rows of 8 numbers of the sum are a core matrix of 128
// contiguous bytes; the next 8 numbers of the sum begin `next_sum` bytes further on, the next eight rows `next_rows`.
// (PTX ISA, wgmma, "canonical layouts": K-major, no swizzle; CUTLASS's INTERLEAVE, ((8,n),2):((1,SBO),LBO).) `at` is a
// multiple of 16.
__device__ inline uint64_t matrix_descriptor(const void* at, int next_sum, int next_rows) {
    return uint64_t(shared_address(at) >> 4 & 0x3fff) | uint64_t(next_sum >> 4) << 16 | uint64_t(next_rows >> 4) << 32;
}

// Required before the first product, and after other code has written accumulator registers.
__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Marks accumulators as complete after a wait: the compiler does not move reads or writes of them to before this.
template <int kCount>
__device__ void wgmma_settled(float (&d)[kCount]) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(d[i])::"memory");
}
template <int kArrays, int kCount>
__device__ void wgmma_settled(float (&d)[kArrays][kCount]) {
#pragma unroll
    for (int i = 0; i < kArrays; ++i) wgmma_settled(d[i]);
}

// Waits until at most kGroupsInFlight committed groups are incomplete. `settled`: the accumulators that are complete
// then; without them the compiler does not know that the wait changes any. Those of groups in flight may not be
// accessed.
template <int kGroupsInFlight, class... Sums>
__device__ void wgmma_wait(Sums&... settled) {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kGroupsInFlight) : "memory");
    (wgmma_settled(settled), ...);
}

// The layout of an operand: that of row_descriptor (K-major) or of column_descriptor (MN-major).
enum class Operand { rows, columns };

// d (64 x kN) = or += A (64 x 16) B^T (kN x 16). Lane l of warp w of the group holds rows 16 w + l/4 and + 8:
// d[4j], d[4j+1] are columns 8j + 2(l%4) and + 1 of the first, d[4j+2], d[4j+3] of the second.
template <int kN, Operand kA = Operand::rows, Operand kB = Operand::rows>
__device__ void wgmma_bf16(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate);
// The same in half precision.
template <int kN, Operand kA = Operand::rows, Operand kB = Operand::rows>
__device__ void wgmma_f16(float (&d)[kN / 2], uint64_t a, uint64_t b, bool accumulate);

// Stores four 8x8 matrices of 16-bit elements to shared memory: the inverse of ldmatrix_x4.
__device__ inline void stmatrix_x4(void* row, const uint32_t (&r)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1,%2,%3,%4};" ::"r"(shared_address(row)), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
}

}  // namespace fp::cuda

#include "kernels/machine/gpu/wgmma.cuh"
