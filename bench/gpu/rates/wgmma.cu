// Products of two warpgroups, 64 x N each, over the same operands in shared memory again and again: four of 16 a step.
// Operands are not zeros, which would draw less power.
#include "bench/gpu/rates/rates.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kGroups = 2, kDepth = 64;

template <int kN>
__global__ void __launch_bounds__(kGroups* kWarpgroup, 1) wgmma_kernel(int steps, float* out) {
    DYN_SHARED(unsigned char, shared);
    auto* numbers = reinterpret_cast<uint16_t*>(shared);
    for (int i = thread_index(); i < (64 * kGroups + kN) * kDepth; i += kGroups * kWarpgroup)
        numbers[i] = some_bf16(uint32_t(i));
    async_fence();
    block_sync();
    async_fence();

    const unsigned char* rows = shared + thread_index() / kWarpgroup * 64 * 128;
    const unsigned char* columns = shared + kGroups * 64 * 128;
    float d[kN / 2];
    for (int step = 0; step < steps; ++step) {
        wgmma_fence();
        UNROLL
        for (int k = 0; k < kDepth; k += 16)
            wgmma_bf16<kN>(d, row_descriptor(rows + k * 2), row_descriptor(columns + k * 2), step > 0 || k > 0);
        wgmma_commit();
        wgmma_wait<1>();
    }
    wgmma_wait<0>();
    float sum = 0;
    UNROLL
    for (int i = 0; i < kN / 2; ++i) sum += d[i];
    out[int(blockIdx.x) * kGroups * kWarpgroup + thread_index()] = sum;
}

template <int kN>
Rate of_width(const Kernels& k, const RateAsked& asked) {
    const Grid grid{
        .blocks = asked.blocks, .threads = kGroups * kWarpgroup, .shared_bytes = size_t(64 * kGroups + kN) * 128};
    const auto out = block_of(k.memory, size_t(asked.blocks) * size_t(grid.threads) * sizeof(float));
    return {.units = 2.0 * 64 * kGroups * kN * kDepth * asked.steps * asked.blocks,
            .call = [out, grid, steps = asked.steps] {
                launch(wgmma_kernel<kN>, grid, {}, steps, static_cast<float*>(out.get()));
            }};
}

}  // namespace

Rate wgmma_rate(const Kernels& k, const RateAsked& asked) {
    switch (asked.variant) {
        case 64:
            return of_width<64>(k, asked);
        case 96:
            return of_width<96>(k, asked);
        case 128:
            return of_width<128>(k, asked);
        case 192:
            return of_width<192>(k, asked);
        case 256:
            return of_width<256>(k, asked);
    }
    fail_with(Exit::usage, "rate wgmma: n", asked.variant, ": 64, 96, 128, 192 or 256");
}

}  // namespace fp::FP_MACHINE
