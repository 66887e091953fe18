// The three channels of a pixel and a spare lane in one register (the compiler's vector types, which every target has).
// Where pixels lie three numbers apart, loading and storing one touches the number after it: such buffers end in one
// spare number, and pixels are stored in rising order.
#pragma once

#include <cstdint>
#include <cstring>

namespace fp {

using Ints4 [[gnu::vector_size(16)]] = int32_t;
using Floats4 [[gnu::vector_size(16)]] = float;
using Doubles4 [[gnu::vector_size(32)]] = double;

template <class Lanes, class Number>
Lanes load(const Number* pixel) {
    static_assert(sizeof(Lanes) == 4 * sizeof(Number));
    Lanes lanes;
    std::memcpy(&lanes, pixel, sizeof lanes);
    return lanes;
}

template <class Lanes, class Number>
void store(Lanes lanes, Number* pixel) {
    static_assert(sizeof(Lanes) == 4 * sizeof(Number));
    std::memcpy(pixel, &lanes, sizeof lanes);
}

// Compiles a function, and what it calls, for AVX2 too; the processor decides when the program starts.
#if defined(__x86_64__) && !defined(__clang__)
#define FP_AVX2_TOO [[gnu::target_clones("arch=x86-64-v3", "default"), gnu::flatten]]
#else
#define FP_AVX2_TOO
#endif

}  // namespace fp
