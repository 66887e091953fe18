// Vectors of channels: GCC's and clang's vector extension, so one source makes AVX-512, AVX2, SSE or NEON.
#pragma once

#ifdef __x86_64__
#include <immintrin.h>
#endif
#ifdef __aarch64__
#include <arm_neon.h>
#endif

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/error.h"

namespace fp::cpu {

// The floats in one vector register of the target.
constexpr int kNativeLanes = __BIGGEST_ALIGNMENT__ / sizeof(float);
// Channels of a block of the host's layout. GCC keeps a wider vector than the target has in memory, not in registers.
constexpr int kBlock = kNativeLanes;
// The vector registers of the target.
#ifdef __aarch64__
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = kNativeLanes == 16 ? 32 : 16;
#endif

template <class T, int L>
struct VectorOf {
    typedef T type __attribute__((vector_size(L * sizeof(T))));
    typedef T in_memory __attribute__((vector_size(L * sizeof(T)), aligned(sizeof(T)), may_alias));
};
template <int L>
using Floats = typename VectorOf<float, L>::type;
template <int L>
using Doubles = typename VectorOf<double, L>::type;
template <int L>
using Ints = typename VectorOf<int32_t, L>::type;

template <int L>
inline Floats<L> load(const float* p) {
    return *reinterpret_cast<const typename VectorOf<float, L>::in_memory*>(p);
}
// A load that the compiler does not repeat: gcc reloads a plain one at each use of the value, which is too slow in
// inner loops that loads bound.
template <int L>
inline Floats<L> load_once(const float* p) {
    return *reinterpret_cast<const volatile typename VectorOf<float, L>::in_memory*>(p);
}
template <int L>
inline void store(float* p, const Floats<L>& v) {
    *reinterpret_cast<typename VectorOf<float, L>::in_memory*>(p) = v;
}
template <int L>
inline Doubles<L> load(const double* p) {
    return *reinterpret_cast<const typename VectorOf<double, L>::in_memory*>(p);
}
template <int L>
inline void store(double* p, const Doubles<L>& v) {
    *reinterpret_cast<typename VectorOf<double, L>::in_memory*>(p) = v;
}

// Small integers, stored as bytes. GCC 12 would convert the lanes one by one.
template <int L>
inline Ints<L> load(const uint8_t* p) {
#ifdef __AVX512F__
    if constexpr (L == 16)
        return (Ints<L>)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#endif
#ifdef __AVX2__
    if constexpr (L == 8) return (Ints<L>)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#endif
#ifdef __SSE4_1__
    if constexpr (L == 4) return (Ints<L>)_mm_cvtepu8_epi32(_mm_loadu_si32(p));
#endif
#ifdef __aarch64__
    if constexpr (L == 4) {
        uint32_t bytes;
        std::memcpy(&bytes, p, sizeof bytes);
        return (Ints<L>)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(bytes))));
    }
#endif
    return __builtin_convertvector(*reinterpret_cast<const typename VectorOf<uint8_t, L>::in_memory*>(p), Ints<L>);
}
template <int L>
inline void store(uint8_t* p, const Ints<L>& v) {
#ifdef __AVX512F__
    if constexpr (L == 16)
        return _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
#endif
#ifdef __AVX2__
    if constexpr (L == 8) {
        const __m128i words =
            _mm_packus_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
        return _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
    }
#endif
#ifdef __SSE4_1__
    if constexpr (L == 4) {
        const __m128i words = _mm_packus_epi32((__m128i)v, (__m128i)v);
        return _mm_storeu_si32(p, _mm_packus_epi16(words, words));
    }
#endif
#ifdef __aarch64__
    if constexpr (L == 4) {
        const uint16x4_t words = vmovn_u32((uint32x4_t)v);
        const uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
        std::memcpy(p, &bytes, sizeof bytes);
        return;
    }
#endif
    using Bytes = typename VectorOf<uint8_t, L>::type;
    *reinterpret_cast<typename VectorOf<uint8_t, L>::in_memory*>(p) = __builtin_convertvector(v, Bytes);
}

template <int L>
inline Doubles<L> widen(const Floats<L>& v) {
    return __builtin_convertvector(v, Doubles<L>);
}
template <int L>
inline Floats<L> narrow(const Doubles<L>& v) {
    return __builtin_convertvector(v, Floats<L>);
}

// 2^y within 2e-7 of its value, for y < 127; below -126 it is 2^-126. y = n + f with f in [-1/2, 1/2]: a
// polynomial of degree 5 for 2^f (minimax, exact at 0), then n is added to the exponent.
template <int L>
inline Floats<L> exp2(const Floats<L>& y) {
    constexpr float kLowest = -126, kToInteger = 0x1.8p23f;  // adding it leaves n in the low bits
    const Floats<L> lowest = Floats<L>{} + kLowest, in_range = lowest > y ? lowest : y;
    const Floats<L> shifted = in_range + kToInteger;
    const Floats<L> f = in_range - (shifted - kToInteger);
    Floats<L> power = f * 1.326471396e-03f + 9.671509463e-03f;
    power = power * f + 5.550733746e-02f;
    power = power * f + 2.402224213e-01f;
    power = power * f + 6.931469776e-01f;
    power = power * f + 1.0f;
    return (Floats<L>)((Ints<L>)power + ((Ints<L>)shifted << 23));
}

// Calls body(std::integral_constant of the block), so that body has it at compile time.
template <class Body>
void with_block(int block, const Body& body) {
    FP_CHECK(block == kBlock, "channels in blocks of ", block, ", wants ", kBlock);
    body(std::integral_constant<int, kBlock>());
}

// Calls body(std::true_type or std::false_type), so that inner loops need not test the flag.
template <class Body>
void with_flag(bool flag, const Body& body) {
    flag ? body(std::true_type()) : body(std::false_type());
}

}  // namespace fp::cpu
