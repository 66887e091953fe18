// What the probes of Hopper's own units share.
#pragma once

#include "hopper.cuh"
#include "tests/kernels/probe/probe.cuh"

namespace fp::FP_MACHINE {

// Whether the phase ends within a fraction of a second: a probe whose count of bytes is wrong must not hang a GPU.
__device__ inline bool phase_ends(Mbarrier* b, int parity) {
    constexpr int kTries = 1 << 20;
    for (int i = 0; i < kTries; ++i)
        if (mbarrier_test(b, parity)) return true;
    return false;
}

}  // namespace fp::FP_MACHINE
