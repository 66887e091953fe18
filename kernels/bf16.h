// bfloat16: the upper half of a float32, rounded to nearest even. Plain constexpr, so that host, device
// and emulated code share it.
#pragma once

#include <bit>
#include <cstdint>

namespace fp {

struct bf16 {
    uint16_t bits;
};

constexpr float to_float(bf16 v) { return std::bit_cast<float>(uint32_t(v.bits) << 16); }

constexpr bf16 to_bf16(float v) {
    if (v != v) return {0x7fff};
    const uint32_t u = std::bit_cast<uint32_t>(v);
    return {uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16)};
}

}  // namespace fp
