#include "engine/data/augment/resize_across.h"

#include <immintrin.h>

#include <cstring>

#include "kernels/isa.h"

namespace fp {

// By multiply-adds of 16-bit numbers, four taps at a time. A weight is 2^11 high + low; a vector of four taps'
// weights is w0 w1 w0 w1 w0 w1 0 0, w2 w3 w2 w3 w2 w3 0 0, to meet r0 r1 g0 g1 b0 b1, r2 r3 g2 g3 b2 b3.
static constexpr int kLowBits = 11, kVector = 16;

static std::vector<int16_t> split_weights(const ResizeFilter& filter) {
    std::vector<int16_t> out(filter.weights.size() / kTapsTogether * 2 * kVector);
    int16_t* at = out.data();
    for (size_t i = 0; i < filter.weights.size(); i += kTapsTogether, at += 2 * kVector) {
        for (int tap = 0; tap < kTapsTogether; ++tap) {
            const int32_t weight = filter.weights[i + tap];
            for (int c = 0; c < 3; ++c) {
                int16_t* const place = at + tap / 2 * 8 + 2 * c + tap % 2;
                place[0] = int16_t(weight & ((1 << kLowBits) - 1));
                place[kVector] = int16_t(weight >> kLowBits);
            }
        }
    }
    return out;
}

[[gnu::target("avx2")]] static void resize_across_avx2(
    const ResizeFilter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
    static thread_local std::vector<uint8_t> padded;  // a row and what loads of 16 bytes touch behind it
    padded.resize(in_row + 4);
    const std::vector<int16_t> weights = split_weights(filter);
    const __m128i taps_0_1 = _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m128i taps_2_3 = _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i order = _mm256_setr_m128i(taps_0_1, taps_2_3);
    for (int y = 0; y < rows; ++y) {
        std::memcpy(padded.data(), in + y * in_row, in_row);
        const auto* weight = reinterpret_cast<const __m256i*>(weights.data());
        for (int o = 0; o < outputs; ++o, out += 3) {
            const uint8_t* at = padded.data() + 3 * filter.first[o];
            __m256i low = _mm256_setzero_si256(), high = low;
            for (int i = 0; i < filter.taps; i += kTapsTogether, at += 3 * kTapsTogether, weight += 2) {
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
                const __m256i pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
                low = _mm256_add_epi32(low, _mm256_madd_epi16(pairs, _mm256_loadu_si256(weight)));
                high = _mm256_add_epi32(high, _mm256_madd_epi16(pairs, _mm256_loadu_si256(weight + 1)));
            }
            const __m256i both = _mm256_add_epi32(low, _mm256_slli_epi32(high, kLowBits));
            __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
            sum = _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kResizeHalf)), kResizeBits);
            const uint32_t rgb = uint32_t(_mm_cvtsi128_si32(
                _mm_shuffle_epi8(sum, _mm_setr_epi8(0, 4, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1))));
            std::memcpy(out, &rgb, 3);
        }
    }
}

void resize_across(const ResizeFilter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
    const bool vectors = host_vector_bits() >= 256 && filter.taps % kTapsTogether == 0;
    (vectors ? resize_across_avx2 : resize_across_plain)(filter, outputs, rows, in, in_row, out);
}

}  // namespace fp
