// IEEE half precision, rounded to nearest even: 10 bits of mantissa, 2^-24 to 65504. Plain constexpr, so that host and
// emulated code share it; a GPU converts by itself (to_f16 of machine.cuh).
#pragma once

#include <bit>
#include <cstdint>

namespace fp {

struct f16 {
    uint16_t bits;
};

constexpr float to_float(f16 v) {
    const uint32_t sign = uint32_t(v.bits & 0x8000) << 16, exponent = v.bits >> 10 & 31, mantissa = v.bits & 0x3ff;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | mantissa << 13);
    const float size =
        exponent == 0 ? float(mantissa) * 0x1p-24f : std::bit_cast<float>((exponent + 112) << 23 | mantissa << 13);
    return sign ? -size : size;
}

constexpr f16 half_of(float v) {
    const uint32_t u = std::bit_cast<uint32_t>(v), sign = u >> 16 & 0x8000, size = u & 0x7fffffff;
    if (size > 0x7f800000u) return {uint16_t(sign | 0x7e00)};   // NaN
    if (size >= 0x477ff000u) return {uint16_t(sign | 0x7c00)};  // 65520 and more
    if (size < 0x38800000u) {                                   // below 2^-14: the sum rounds to a multiple of 2^-24
        const float units = std::bit_cast<float>(size) + 0.5f;
        return {uint16_t(sign | (std::bit_cast<uint32_t>(units) - 0x3f000000u))};
    }
    return {uint16_t(sign | ((size - 0x38000000u + 0xfff + (size >> 13 & 1)) >> 13))};
}

}  // namespace fp
