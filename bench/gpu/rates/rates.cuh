// One rate a file.
#pragma once

#include <memory>

#include "bench/gpu/rates/rates.h"
#include "hopper.cuh"

namespace fp::FP_MACHINE {

Rate l2_rate(const Kernels&, const RateAsked&);
Rate wgmma_rate(const Kernels&, const RateAsked&);
Rate ex2_rate(const Kernels&, const RateAsked&);
Rate start_rate(const Kernels&, const RateAsked&);

// Memory of the device, which goes with the last copy of the handle.
inline std::shared_ptr<void> block_of(const Memory& memory, size_t bytes) {
    return {memory.alloc(bytes), memory.release};
}

// Bits of a bf16 in [-2, 2], by its place.
__device__ inline uint16_t some_bf16(uint32_t place) {
    uint32_t v = place * 2654435761u;
    v ^= v >> 15;
    return uint16_t((v & 0x8000u) | 0x3f00u | (v & 0xffu));
}

}  // namespace fp::FP_MACHINE
