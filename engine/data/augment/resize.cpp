#include "engine/data/augment/resize.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/data/augment/lanes.h"
#include "kernels/error.h"
#include "kernels/isa.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);
constexpr int kTogether = 4;  // taps across that are taken at a time, where vectors are long enough

// The triangle filter of one axis. Every output takes the same number of input pixels, some with weight 0, so that
// loops over them have one length.
struct Filter {
    int taps;
    std::vector<int> first;        // by output: the input pixel of the first tap
    std::vector<int32_t> weights;  // outputs x taps

    const int32_t* weights_of(int o) const { return &weights[size_t(o) * taps]; }
    // The input pixels that any output needs.
    int begin() const { return first.front(); }
    int end() const { return first.back() + taps; }
};

// For the output pixels [begin, begin + outputs) of `out`. The taps are a multiple of `together`, if the input has as
// many pixels.
Filter triangle(int in, int out, int begin, int outputs, int together) {
    const double scale = double(in) / out;
    const double support = std::max(scale, 1.0);
    const int reached = int(std::ceil(2 * support)) + 1;
    const int taps = std::min(in, (reached + together - 1) / together * together);
    Filter filter{taps, std::vector<int>(outputs), std::vector<int32_t>(size_t(taps) * outputs)};
    std::vector<double> exact(taps);
    for (int o = 0; o < outputs; ++o) {
        const double centre = (begin + o + 0.5) * scale;
        const int first = std::max(int(centre - support + 0.5), 0);
        const int count = std::min(int(centre + support + 0.5), in) - first;
        double sum = 0;
        for (int i = 0; i < count; ++i) {
            const double distance = std::abs((first + i - centre + 0.5) * (1.0 / support));
            exact[i] = std::max(0.0, 1.0 - distance);
            sum += exact[i];
        }
        filter.first[o] = std::min(first, in - taps);
        int32_t* weight = &filter.weights[size_t(o) * taps + (first - filter.first[o])];
        for (int i = 0; i < count; ++i) weight[i] = int32_t(0.5 + exact[i] / sum * (1 << kFractionBits));
    }
    return filter;
}

// Both passes below: weights are positive and sum to 2^22 but for rounding, so sums need no clamping.

void resize_row(const Filter& filter, int outputs, const int32_t* in, int32_t* out) {
    const int taps = filter.taps;
    for (int o = 0; o < outputs; ++o) {
        const int32_t* at = in + 3 * filter.first[o];
        const int32_t* weight = filter.weights_of(o);
        Ints4 sum = Ints4{} + kHalf;
        for (int i = 0; i < taps; ++i) sum += load<Ints4>(at + 3 * i) * weight[i];
        store(sum >> kFractionBits, out + 3 * o);
    }
}

// `rows` rows from `in` on, which are `in_row` bytes apart, to rows x outputs pixels.
void resize_across_plain(const Filter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
    static thread_local std::vector<int32_t> wide, narrow;
    const size_t out_row = size_t(3) * outputs;
    wide.resize(in_row + 1);
    narrow.resize(out_row + 1);
    for (int y = 0; y < rows; ++y) {
        std::copy_n(in + y * in_row, in_row, wide.data());
        resize_row(filter, outputs, wide.data(), narrow.data());
        std::copy_n(narrow.data(), out_row, out + y * out_row);
    }
}

#ifdef __x86_64__
// The same by multiply-adds of 16-bit numbers, four taps at a time. A weight is 2^11 high + low; a vector of four taps'
// weights is w0 w1 w0 w1 w0 w1 0 0, w2 w3 w2 w3 w2 w3 0 0, to meet r0 r1 g0 g1 b0 b1, r2 r3 g2 g3 b2 b3.
constexpr int kLowBits = 11, kVector = 16;

std::vector<int16_t> split_weights(const Filter& filter) {
    std::vector<int16_t> out(filter.weights.size() / kTogether * 2 * kVector);
    int16_t* at = out.data();
    for (size_t i = 0; i < filter.weights.size(); i += kTogether, at += 2 * kVector) {
        for (int tap = 0; tap < kTogether; ++tap) {
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

[[gnu::target("avx2")]] void resize_across_avx2(
    const Filter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
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
            for (int i = 0; i < filter.taps; i += kTogether, at += 3 * kTogether, weight += 2) {
                const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
                const __m256i pairs = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
                low = _mm256_add_epi32(low, _mm256_madd_epi16(pairs, _mm256_loadu_si256(weight)));
                high = _mm256_add_epi32(high, _mm256_madd_epi16(pairs, _mm256_loadu_si256(weight + 1)));
            }
            const __m256i both = _mm256_add_epi32(low, _mm256_slli_epi32(high, kLowBits));
            __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
            sum = _mm_srli_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kHalf)), kFractionBits);
            const uint32_t rgb = uint32_t(_mm_cvtsi128_si32(
                _mm_shuffle_epi8(sum, _mm_setr_epi8(0, 4, 8, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1))));
            std::memcpy(out, &rgb, 3);
        }
    }
}
#endif

void resize_across(const Filter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
#ifdef __x86_64__
    if (host_vector_bits() >= 256 && filter.taps % kTogether == 0)
        return resize_across_avx2(filter, outputs, rows, in, in_row, out);
#endif
    resize_across_plain(filter, outputs, rows, in, in_row, out);
}

// `length` bytes of each of the filter's rows, of which the first lies at `in`.
FP_AVX2_TOO void resize_down(const Filter& filter, int outputs, int length, const uint8_t* in, uint8_t* out) {
    static thread_local std::vector<int32_t> sums;
    sums.resize(size_t(length));
    int32_t* const sum = sums.data();
    for (int y = 0; y < outputs; ++y, out += length) {
        const uint8_t* row = in + size_t(filter.first[y] - filter.begin()) * length;
        const int32_t* weight = filter.weights_of(y);
        std::fill_n(sum, length, kHalf);
        for (int i = 0; i < filter.taps; ++i, row += length)
            for (int x = 0; x < length; ++x) sum[x] += row[x] * weight[i];
        for (int x = 0; x < length; ++x) out[x] = uint8_t(sum[x] >> kFractionBits);
    }
}

// A rectangle with an area share uniform in [least_area, 1] and a shape (width / height) log-uniform in
// [3/4, 4/3]; after ten that do not fit, the largest middle one with a shape in that range.
Window random_rectangle(Size in, const View& view) {
    constexpr double kWidest = 4.0 / 3.0;
    const double area = double(in.width) * in.height;
    for (int attempt = 0; attempt < 10; ++attempt) {
        const auto draw = [&](int i) { return uniform_double(view.key, attempt, i); };
        const double share = area * (view.least_area + (1 - view.least_area) * draw(0));
        const double shape = std::exp(std::log(kWidest) * (2 * draw(1) - 1));
        const int width = int(std::lround(std::sqrt(share * shape)));
        const int height = int(std::lround(std::sqrt(share / shape)));
        if (width < 1 || height < 1 || width > in.width || height > in.height) continue;
        return {int(draw(2) * (in.width - width + 1)), int(draw(3) * (in.height - height + 1)), width, height};
    }
    const int width = std::min(in.width, int(std::lround(in.height * kWidest)));
    const int height = std::min(in.height, int(std::lround(in.width * kWidest)));
    return centre_window(in, width, height);
}

}  // namespace

Size fit_short_side(Size in, int side) {
    const auto longer = [&](int64_t l, int64_t s) {
        // As torchvision has it: the quotient in double, cut to an integer.
        const double length = double(side * l) / double(s);
        FP_REQUIRE(length < 1 << 30, Exit::data, "an image of ", l, " x ", s, ": too long to resize");
        return int(length);
    };
    return in.width <= in.height ? Size{side, longer(in.height, in.width)} : Size{longer(in.width, in.height), side};
}

Window centre_window(Size in, int width, int height) {
    FP_CHECK(width <= in.width && height <= in.height, "centre_window: ", width, " x ", height, " of ", in.width, " x ",
             in.height);
    const auto half_to_even = [](int x) { return (x + ((x & 3) == 3)) / 2; };
    return {half_to_even(in.width - width), half_to_even(in.height - height), width, height};
}

void resize(PixelView in, Size full, const Window& part, uint8_t* rgb) {
    FP_CHECK(in.width > 0 && in.height > 0 && part.width > 0 && part.height > 0 && part.left >= 0 && part.top >= 0 &&
                 part.left + part.width <= full.width && part.top + part.height <= full.height,
             "resize: ", in.width, " x ", in.height, " to a part of ", full.width, " x ", full.height);
    const int in_row = 3 * in.width, out_row = 3 * part.width;
    const bool same_width = full.width == in.width, same_height = full.height == in.height;
    if (same_width && same_height) {
        for (int y = 0; y < part.height; ++y)
            std::memcpy(rgb + size_t(y) * out_row, in.rgb + size_t(part.top + y) * in_row + 3 * part.left, out_row);
        return;
    }
    const Filter across = triangle(in.width, full.width, part.left, part.width, kTogether);
    const Filter down = triangle(in.height, full.height, part.top, part.height, 1);

    const int rows = down.end() - down.begin();
    static thread_local std::vector<uint8_t> narrow;  // the rows that are needed, resized across
    narrow.resize(size_t(rows) * out_row);
    resize_across(across, part.width, rows, in.rgb + size_t(down.begin()) * in_row, size_t(in_row), narrow.data());
    resize_down(down, part.height, out_row, narrow.data(), rgb);
}

Pixels resize(PixelView in, Size full, const Window& part) {
    Pixels out = black(part.width, part.height);
    resize(in, full, part, out.rgb.data());
    return out;
}

void fit_centre(PixelView in, int side, uint8_t* rgb) {
    const Size full = fit_short_side({in.width, in.height}, side);
    resize(in, full, centre_window(full, side, side), rgb);
}

void crop(PixelView image, const View& view, int side, uint8_t* rgb) {
    const Size in{image.width, image.height};
    switch (view.crop) {
        case Crop::centre:
            return fit_centre(image, side, rgb);
        case Crop::random: {
            const Size full = fit_short_side(in, side);
            const int left = int(uniform_below(full.width - side + 1, view.key, 0));
            const int top = int(uniform_below(full.height - side + 1, view.key, 1));
            return resize(image, full, {left, top, side, side}, rgb);
        }
        case Crop::resized:
            return resize(resize(image, in, random_rectangle(in, view)), {side, side}, {0, 0, side, side}, rgb);
    }
}

}  // namespace fp
