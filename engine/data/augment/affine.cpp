#include "engine/data/augment/affine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "engine/data/augment/lanes.h"

namespace fp {
namespace {

// `rgb` as numbers, four per pixel; the fourth is 0. One image per thread: the next call takes its place.
template <class Number>
Number* as_numbers(int side, const uint8_t* rgb) {
    static thread_local std::vector<Number> numbers;
    numbers.assign(size_t(4) * side * side, 0);
    for (size_t i = 0; i < size_t(side) * side; ++i)
        for (int c = 0; c < 3; ++c) numbers[4 * i + c] = rgb[3 * i + c];
    return numbers.data();
}

// Clamps, and cuts fractions off.
template <class Lanes>
void store_bytes(Lanes value, uint8_t* out) {
    const Lanes low = Lanes{}, high = Lanes{} + 255;
    value = value < low ? low : value;
    const Ints4 whole = __builtin_convertvector(value > high ? high : value, Ints4);
    for (int c = 0; c < 3; ++c) out[c] = uint8_t(whole[c]);
}

// Where the pixels first .. first + count - 1 of a row or column begin, kept inside the image.
template <int count>
std::array<int, count> neighbours(int first, int side, int stride) {
    std::array<int, count> offset;
    for (int i = 0; i < count; ++i) offset[i] = std::clamp(first + i, 0, side - 1) * stride;
    return offset;
}

// Every pixel becomes what sample(x, y, pixel) writes, black where that returns false: outside the input.
template <class Sample>
void fill(int side, uint8_t* rgb, const Sample& sample) {
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x, rgb += 3)
            if (!sample(x, y, rgb)) std::memset(rgb, 0, 3);
}

std::array<double, 2> source_of(const Affine& from, double x, double y) {
    return {from.xx * x + from.xy * y + from.x0, from.yx * x + from.yy * y + from.y0};
}

void warp_nearest(const Affine& from, int side, uint8_t* rgb) {
    const auto fixed = [](double v) { return int64_t(std::floor(v * 65536.0 + 0.5)); };  // 16 bits of fraction
    const int64_t xx = fixed(from.xx), xy = fixed(from.xy), yx = fixed(from.yx), yy = fixed(from.yy);
    const int64_t x0 = fixed(from.x0 + 0.5 * from.xx + 0.5 * from.xy);
    const int64_t y0 = fixed(from.y0 + 0.5 * from.yx + 0.5 * from.yy);
    const uint8_t* in = as_numbers<uint8_t>(side, rgb);
    fill(side, rgb, [&](int x, int y, uint8_t* out) {
        const int64_t column = (x0 + x * xx + y * xy) >> 16, row = (y0 + x * yx + y * yy) >> 16;
        if (column < 0 || column >= side || row < 0 || row >= side) return false;
        std::memcpy(out, in + 4 * (row * side + column), 3);
        return true;
    });
}

// `between(p, t)` lies t past the middle one (of four: the second) of `taps` pixels in a line.
template <int taps, class Between>
void warp_between(const Affine& from, int side, uint8_t* rgb, const Between& between) {
    const int32_t* in = as_numbers<int32_t>(side, rgb);
    fill(side, rgb, [&](int x, int y, uint8_t* out) {
        const auto [at_x, at_y] = source_of(from, x + 0.5, y + 0.5);
        if (!(at_x >= 0 && at_x < side && at_y >= 0 && at_y < side)) return false;
        const double left = std::floor(at_x - 0.5), top = std::floor(at_y - 0.5);
        const auto column = neighbours<taps>(int(left) + 1 - taps / 2, side, 4);
        const auto row = neighbours<taps>(int(top) + 1 - taps / 2, side, 4 * side);
        Doubles4 line[taps], across[taps];
        for (int i = 0; i < taps; ++i) {
            for (int j = 0; j < taps; ++j)
                line[j] = __builtin_convertvector(load<Ints4>(in + row[i] + column[j]), Doubles4);
            across[i] = between(line, at_x - 0.5 - left);
        }
        store_bytes(between(across, at_y - 0.5 - top), out);
        return true;
    });
}

constexpr auto linear = [](const Doubles4* p, double t) -> Doubles4 { return p[0] + (p[1] - p[0]) * t; };

// Keys' cubic with a = -1.
constexpr auto cubic = [](const Doubles4* p, double t) -> Doubles4 {
    const Doubles4 a = p[2] - p[0];
    const Doubles4 b = 2 * (p[0] - p[1]) + p[2] - p[3];
    const Doubles4 c = -p[0] + p[1] - p[2] + p[3];
    return p[1] + t * (a + t * (b + t * c));
};

// The position of pixel i of an image that goes on mirrored at its outermost pixels.
int mirrored(int i, int side) {
    if (side == 1) return 0;
    const int period = 2 * (side - 1);
    i = std::abs(i) % period;
    return std::min(i, period - i);
}

// In place, along each of `side` lines: the coefficients whose cubic B-spline goes through the pixels. A filter
// with the pole z, once forward and once backward (Unser 1999). Pixels of a line are `step` apart, lines `next`.
void spline_coefficients(float* pixels, int side, int64_t step, int64_t next) {
    if (side == 1) return;
    constexpr int kTogether = 8;  // lines, since each of them waits for its last pixel
    constexpr int kHorizon = 16;  // |z|^16 < 1e-9
    const float z = std::sqrt(3.0f) - 2;
    for (int first = 0; first < side; first += kTogether) {
        const int lines = std::min(kTogether, side - first);
        const auto at = [&](int line, int i) { return pixels + (first + line) * next + i * step; };
        const auto get = [&](int line, int i) { return load<Floats4>(at(line, i)); };
        for (int line = 0; line < lines; ++line) {
            Floats4 start = {};
            for (int i = kHorizon - 1; i >= 0; --i) start = get(line, mirrored(i, side)) + z * start;
            store(start, at(line, 0));
        }
        for (int i = 1; i < side; ++i)
            for (int line = 0; line < lines; ++line) store(get(line, i) + z * get(line, i - 1), at(line, i));
        for (int line = 0; line < lines; ++line)
            store(6 * z / (z * z - 1) * (get(line, side - 1) + z * get(line, side - 2)), at(line, side - 1));
        for (int i = side - 2; i >= 0; --i)
            for (int line = 0; line < lines; ++line) store(z * (get(line, i + 1) - 6 * get(line, i)), at(line, i));
    }
}

// The cubic B-spline's values at the four pixels around a position t past the second.
std::array<float, 4> spline_weights(float t) {
    const float s = 1 - t;
    return {s * s * s / 6, (4 - 6 * t * t + 3 * t * t * t) / 6, (4 - 6 * s * s + 3 * s * s * s) / 6, t * t * t / 6};
}

}  // namespace

Affine about(double middle, Affine from) {
    from.x0 += middle - from.xx * middle - from.xy * middle;
    from.y0 += middle - from.yx * middle - from.yy * middle;
    return from;
}

Affine turn_scale_shear(double degrees, double scale, double shear_degrees, int side) {
    // Forward: scale R(angle) [1, -tan shear; 0, 1] about the middle. This is its inverse.
    constexpr double kRadian = std::numbers::pi / 180;
    const double c = std::cos(degrees * kRadian), s = std::sin(degrees * kRadian);
    const double t = std::tan(shear_degrees * kRadian);
    return about(side * 0.5, {.xx = (c - s * t) / scale, .xy = (s + c * t) / scale, .yx = -s / scale, .yy = c / scale});
}

FP_AVX2_TOO void warp(const Affine& from, Interpolation how, int side, uint8_t* rgb) {
    if (how == Interpolation::nearest) return warp_nearest(from, side, rgb);
    if (how == Interpolation::bilinear) return warp_between<2>(from, side, rgb, linear);
    return warp_between<4>(from, side, rgb, cubic);
}

void warp_spline(const Affine& from, int side, uint8_t* rgb) {
    float* const k = as_numbers<float>(side, rgb);
    spline_coefficients(k, side, 4 * side, 4);
    spline_coefficients(k, side, 4, 4 * side);

    std::vector<int> place(size_t(side) + 3);  // of pixel i - 1 in its row or column
    for (int i = 0; i < side + 3; ++i) place[i] = mirrored(i - 1, side);
    fill(side, rgb, [&](int x, int y, uint8_t* out) {
        const auto [at_x, at_y] = source_of(from, x, y);
        if (!(at_x >= 0 && at_x <= side - 1 && at_y >= 0 && at_y <= side - 1)) return false;
        const int left = int(at_x), top = int(at_y);
        const auto across = spline_weights(float(at_x - left));
        const auto down = spline_weights(float(at_y - top));
        Floats4 sum = {};
        for (int j = 0; j < 4; ++j) {
            const float* row = k + int64_t(4) * side * place[top + j];
            Floats4 line = {};
            for (int i = 0; i < 4; ++i) line += across[i] * load<Floats4>(row + 4 * place[left + i]);
            sum += down[j] * line;
        }
        store_bytes(sum + 0.5f, out);
        return true;
    });
}

}  // namespace fp
