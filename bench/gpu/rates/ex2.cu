// Exponentials in eight independent chains a thread, with so many multiply-adds beside each.
#include "bench/gpu/rates/rates.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256, kChains = 8;

template <int kBeside>
__global__ void ex2_kernel(int steps, float* out) {
    float x[kChains], y[kChains];
    UNROLL
    for (int i = 0; i < kChains; ++i) x[i] = float(thread_index() + i) * 0x1p-9f, y[i] = x[i];
    for (int step = 0; step < steps; ++step) {
        UNROLL
        for (int i = 0; i < kChains; ++i) {
            x[i] = fast_exp2(-x[i]);
            UNROLL
            for (int beside = 0; beside < kBeside; ++beside)
                y[(i + beside) % kChains] = fused_multiply_add(y[(i + beside) % kChains], 0.75f, 0.125f);
        }
    }
    float sum = 0;
    UNROLL
    for (int i = 0; i < kChains; ++i) sum += x[i] + y[i];
    out[int(blockIdx.x) * kThreads + thread_index()] = sum;
}

template <int kBeside>
Rate beside(const Kernels& k, const RateAsked& asked) {
    const auto out = block_of(k.memory, size_t(asked.blocks) * kThreads * sizeof(float));
    const Grid grid{.blocks = asked.blocks, .threads = kThreads};
    return {.units = double(asked.blocks) * kThreads * kChains * asked.steps, .call = [out, grid, steps = asked.steps] {
                launch(ex2_kernel<kBeside>, grid, {}, steps, static_cast<float*>(out.get()));
            }};
}

}  // namespace

Rate ex2_rate(const Kernels& k, const RateAsked& asked) {
    switch (asked.variant) {
        case 0:
            return beside<0>(k, asked);
        case 4:
            return beside<4>(k, asked);
        case 8:
            return beside<8>(k, asked);
    }
    fail_with(Exit::usage, "rate ex2: ", asked.variant, " multiply-adds: 0, 4 or 8");
}

}  // namespace fp::FP_MACHINE
