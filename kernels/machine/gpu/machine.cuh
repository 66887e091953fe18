// The machine that kernels are written for, here the GPU. kernels/machine/emulated/ has the same names; the include
// path of the build selects one of the two. All inline PTX is in this folder; hopper.cuh has what only sm_90a supports.
#pragma once

#include <cuda_runtime.h>

#include <source_location>

#include "kernels/bf16.h"
#include "kernels/error.h"
#include "kernels/f16.h"
#include "kernels/kernels.h"

#define UNROLL _Pragma("unroll")

// SHARED declares T name[..][..] in the block's shared memory, DYN_SHARED the part whose size the launch gives.
#define SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
#define DYN_SHARED(T, name)                                           \
    extern __shared__ __align__(1024) unsigned char dynamic_shared[]; \
    T* const name = reinterpret_cast<T*>(dynamic_shared)

namespace fp::cuda {

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = ~0u;

using Place = std::source_location;

inline void check(cudaError_t status, const Place& at = Place::current()) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // clears it: the next launch would report it
    // hopper.cuh: mbarrier_wait
    const char* perhaps =
        status == cudaErrorLaunchFailure ? " (a kernel that trapped: a barrier in it was never completed)" : "";
    fail_with(Exit::device, cudaGetErrorString(status), perhaps, " at ", at.file_name(), ":", at.line());
}

cudaStream_t own_stream();  // kernels/cuda/runtime/runtime.cu
bool each_launch_waits();   // FP_CUDA_SYNC=1: an error names its kernel (kernels/cuda/runtime/table.cu)
inline cudaStream_t raw(Stream s) { return s.handle ? static_cast<cudaStream_t>(s.handle) : own_stream(); }

// Blocks x, y, z of `threads` threads each, with `shared_bytes` of dynamic shared memory.
struct Grid {
    int64_t blocks = 1;
    int64_t blocks_y = 1, blocks_z = 1;
    int threads = 256;
    size_t shared_bytes = 0;
    int cluster = 1;     // so many consecutive blocks of x run at the same time (hopper.cuh: clusters)
    bool early = false;  // may begin while the kernels in front still run (hopper.cuh)
    Place at = Place::current();
};

constexpr int kPortableCluster = 8;  // the most blocks of a cluster that need no permission

// Permits what the grid asks of a kernel beyond the defaults.
inline cudaError_t permit(const void* kernel, const Grid& grid) {
    cudaError_t status = cudaSuccess;
    if (grid.shared_bytes > 48 * 1024)
        status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(grid.shared_bytes));
    if (status == cudaSuccess && grid.cluster > kPortableCluster)
        status = cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    return status;
}

// The grid as CUDA's launch takes it.
struct LaunchConfig {
    cudaLaunchConfig_t of{};
    cudaLaunchAttribute attributes[2];

    LaunchConfig(const Grid& grid, Stream stream) {
        of.gridDim = dim3(unsigned(grid.blocks), unsigned(grid.blocks_y), unsigned(grid.blocks_z));
        of.blockDim = dim3(unsigned(grid.threads));
        of.dynamicSmemBytes = grid.shared_bytes;
        of.stream = raw(stream);
        of.attrs = attributes;
        if (grid.cluster > 1) {
            cudaLaunchAttribute& a = attributes[of.numAttrs++];
            a.id = cudaLaunchAttributeClusterDimension;
            a.val.clusterDim = {.x = unsigned(grid.cluster), .y = 1, .z = 1};
        }
        if (grid.early) {
            cudaLaunchAttribute& a = attributes[of.numAttrs++];
            a.id = cudaLaunchAttributeProgrammaticStreamSerialization;
            a.val.programmaticStreamSerializationAllowed = 1;
        }
    }
    LaunchConfig(const LaunchConfig&) = delete;
};

// Starts `kernel`. An Error names the kernel that cannot be started.
template <class... Params, class... Args>
void launch(void (*kernel)(Params...), const Grid& grid, Stream stream, Args... args) {
    cudaError_t status = permit(reinterpret_cast<const void*>(kernel), grid);
    if (status == cudaSuccess) {
        const LaunchConfig config(grid, stream);
        status = cudaLaunchKernelEx(&config.of, kernel, static_cast<Params>(args)...);
        if (status == cudaSuccess && each_launch_waits()) status = cudaStreamSynchronize(raw(stream));
    }
    if (status == cudaSuccess) return;
    cudaGetLastError();
    const char* name = "?";
    cudaFuncGetName(&name, reinterpret_cast<const void*>(kernel));
    fail_with(Exit::device, name, " (", grid.at.file_name(), ":", grid.at.line(), "): ", cudaGetErrorString(status));
}

// The position in the grid.

__device__ inline int thread_index() { return int(threadIdx.x); }
__device__ inline int lane_index() { return int(threadIdx.x) % kWarp; }
__device__ inline int warp_index() { return int(threadIdx.x) / kWarp; }

// Barriers: of the block, of `threads` threads of it (with a number, 1..15), of the lanes of a warp.

__device__ inline void block_sync() { __syncthreads(); }
__device__ inline void named_sync(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
__device__ inline void warp_sync(unsigned mask = kAllLanes) { __syncwarp(mask); }

// The value of another lane; the lane's own value where that lane does not exist.

template <class T>
__device__ T shuffle(T v, int from, unsigned mask = kAllLanes) {
    return __shfl_sync(mask, v, from);
}
template <class T>
__device__ T shuffle_xor(T v, int lanes, unsigned mask = kAllLanes) {
    return __shfl_xor_sync(mask, v, lanes);
}
template <class T>
__device__ T shuffle_down(T v, int lanes, unsigned mask = kAllLanes) {
    return __shfl_down_sync(mask, v, lanes);
}
__device__ inline unsigned ballot(bool p, unsigned mask = kAllLanes) { return __ballot_sync(mask, p); }

// The number of bits set, and the number of the lowest one of a word that is not 0.

__device__ inline int count_bits(unsigned bits) { return __popc(bits); }
__device__ inline int lowest_bit(unsigned bits) { return __ffs(int(bits)) - 1; }

// Global memory. Each is one aligned access.

template <class T>
__device__ T ldg(const T* p) {
    return *p;
}
template <class T>
__device__ void stg(T* p, T v) {
    *p = v;
}

// Asynchronous copies of 16 or 8 bytes from global to shared memory; zeros where not `valid`.

__device__ inline uint32_t shared_address(const void* p) { return uint32_t(__cvta_generic_to_shared(p)); }
__device__ inline void cp_async16(void* to, const void* from, bool valid = true) {
    const int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes)
                 : "memory");
}
__device__ inline void cp_async8(void* to, const void* from, bool valid = true) {
    const int bytes = valid ? 8 : 0;
    asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(shared_address(to)), "l"(from), "r"(bytes)
                 : "memory");
}
__device__ inline void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kGroupsInFlight>
__device__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(kGroupsInFlight) : "memory");
}

// Arithmetic.

__device__ inline float fast_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline float fused_multiply_add(float a, float b, float c) { return fmaf(a, b, c); }

// float32 as the tensor core reads it: 10 bits of mantissa, rounded to nearest, ties away.
__device__ inline uint32_t to_tf32(float v) {
    uint32_t r;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
    return r;
}
// The float32 of these bits, and its bits.
__device__ inline float float_of_bits(uint32_t bits) { return __uint_as_float(bits); }
__device__ inline uint32_t bits_of_float(float v) { return __float_as_uint(v); }
// Returns v, with -0 as +0 and every NaN as the same positive NaN.
__device__ inline float canonical(float v) { return __fadd_rn(v, 0.0f); }
// Two floats as a pair of bf16, `low` in the lower half.
__device__ inline uint32_t pack_bf16(float low, float high) {
    uint32_t r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
}

// To half precision, rounded to nearest even, and back (exact).
__device__ inline f16 to_f16(float v) {
    f16 r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.bits) : "f"(v));
    return r;
}
__device__ inline float from_f16(f16 v) {
    float r;
    asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(v.bits));
    return r;
}

// The tensor core. Fragments are distributed over the lanes as PTX specifies ("Matrix Fragments for mma.m16n8k16").

// Four 8x8 matrices of 16-bit elements. Lane 8m + i gives the address of row i of matrix m (16 bytes);
// lane l takes elements 2(l%4), 2(l%4)+1 of row l/4 of each (of column l/4 when transposed).
__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
__device__ inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
// d (16x8) += A (16x16) B (16x8). Lane l holds rows l/4 and l/4 + 8, columns 2(l%4), 2(l%4)+1 of d.
__device__ inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The same in half precision.
__device__ inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// The same for A (16x8) and B (8x8) in TF32: the tensor core ignores the lower 13 bits of its operands.
__device__ inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace fp::cuda
