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

// 16 bits of fraction.
int64_t fixed(double v) { return int64_t(std::floor(v * 65536.0 + 0.5)); }

void warp_nearest(const Affine& from, int side, const uint8_t* in, uint8_t* out) {
    const int64_t xx = fixed(from.xx), xy = fixed(from.xy), yx = fixed(from.yx), yy = fixed(from.yy);
    int64_t row_x = fixed(from.x0 + 0.5 * from.xx + 0.5 * from.xy);
    int64_t row_y = fixed(from.y0 + 0.5 * from.yx + 0.5 * from.yy);
    for (int y = 0; y < side; ++y, row_x += xy, row_y += yy) {
        int64_t at_x = row_x, at_y = row_y;
        for (int x = 0; x < side; ++x, at_x += xx, at_y += yx, out += 3) {
            const int64_t column = at_x >> 16, row = at_y >> 16;
            const bool inside = column >= 0 && column < side && row >= 0 && row < side;
            if (inside)
                std::memcpy(out, in + 3 * (row * side + column), 3);
            else
                std::memset(out, 0, 3);
        }
    }
}

// What lies between the second and the third of four pixels (Keys' cubic with a = -1).
Doubles4 cubic(Doubles4 p0, Doubles4 p1, Doubles4 p2, Doubles4 p3, double t) {
    const Doubles4 a = p2 - p0;
    const Doubles4 b = 2 * (p0 - p1) + p2 - p3;
    const Doubles4 c = -p0 + p1 - p2 + p3;
    return p1 + t * (a + t * (b + t * c));
}

// `in` as numbers, four a pixel; the fourth is 0. One image a thread: the next call takes its place.
template <class Number>
Number* as_numbers(int side, const uint8_t* in) {
    static thread_local std::vector<Number> numbers;
    numbers.assign(size_t(4) * side * side, 0);
    for (size_t i = 0; i < size_t(side) * side; ++i)
        for (int c = 0; c < 3; ++c) numbers[4 * i + c] = in[3 * i + c];
    return numbers.data();
}

// Cuts fractions off.
template <class Lanes>
void store_bytes(Lanes value, uint8_t* out) {
    const Ints4 whole = __builtin_convertvector(value, Ints4);
    for (int c = 0; c < 3; ++c) out[c] = uint8_t(whole[c]);
}

template <class Lanes>
Lanes clamp_to_byte(Lanes value) {
    const Lanes low = Lanes{}, high = Lanes{} + 255;
    value = value < low ? low : value;
    return value > high ? high : value;
}

Doubles4 pixel_at(const int32_t* in, int offset) { return __builtin_convertvector(load<Ints4>(in + offset), Doubles4); }

// Where the pixels first .. first + count - 1 of a row or column begin, kept inside the image.
template <int count>
std::array<int, count> neighbours(int first, int side, int stride) {
    std::array<int, count> offset;
    for (int i = 0; i < count; ++i) offset[i] = std::clamp(first + i, 0, side - 1) * stride;
    return offset;
}

void sample_bilinear(double x, double y, int side, const int32_t* in, uint8_t* out) {
    const double left = std::floor(x), top = std::floor(y), u = x - left, v = y - top;
    const auto column = neighbours<2>(int(left), side, 4);
    const auto row = neighbours<2>(int(top), side, 4 * side);
    const auto mix = [](Doubles4 a, Doubles4 b, double t) { return a + (b - a) * t; };
    Doubles4 across[2];
    for (int i = 0; i < 2; ++i) across[i] = mix(pixel_at(in, row[i] + column[0]), pixel_at(in, row[i] + column[1]), u);
    store_bytes(mix(across[0], across[1], v), out);
}

void sample_bicubic(double x, double y, int side, const int32_t* in, uint8_t* out) {
    const double left = std::floor(x), top = std::floor(y), u = x - left, v = y - top;
    const auto column = neighbours<4>(int(left) - 1, side, 4);
    const auto row = neighbours<4>(int(top) - 1, side, 4 * side);
    Doubles4 across[4];
    for (int i = 0; i < 4; ++i)
        across[i] = cubic(pixel_at(in, row[i] + column[0]), pixel_at(in, row[i] + column[1]),
                          pixel_at(in, row[i] + column[2]), pixel_at(in, row[i] + column[3]), u);
    store_bytes(clamp_to_byte(cubic(across[0], across[1], across[2], across[3], v)), out);
}

template <class Sample>
void warp_by(const Affine& from, int side, const uint8_t* in, uint8_t* out, Sample sample) {
    const int32_t* numbers = as_numbers<int32_t>(side, in);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x, out += 3) {
            const double at_x = from.xx * (x + 0.5) + from.xy * (y + 0.5) + from.x0;
            const double at_y = from.yx * (x + 0.5) + from.yy * (y + 0.5) + from.y0;
            const bool inside = at_x >= 0 && at_x < side && at_y >= 0 && at_y < side;
            if (inside)
                sample(at_x - 0.5, at_y - 0.5, side, numbers, out);
            else
                std::memset(out, 0, 3);
        }
}

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

Affine turn_scale_shear(double degrees, double scale, double shear_degrees, int side) {
    // Forward: scale R(angle) [1, -tan shear; 0, 1] about the middle. This is its inverse.
    constexpr double kRadian = std::numbers::pi / 180;
    const double c = std::cos(degrees * kRadian), s = std::sin(degrees * kRadian);
    const double t = std::tan(shear_degrees * kRadian), middle = side * 0.5;
    Affine from{
        .xx = (c - s * t) / scale, .xy = (s + c * t) / scale, .x0 = 0, .yx = -s / scale, .yy = c / scale, .y0 = 0};
    from.x0 = middle - from.xx * middle - from.xy * middle;
    from.y0 = middle - from.yx * middle - from.yy * middle;
    return from;
}

void warp(const Affine& from, Interpolation how, int side, const uint8_t* in, uint8_t* out) {
    switch (how) {
        case Interpolation::nearest:
            return warp_nearest(from, side, in, out);
        case Interpolation::bilinear:
            return warp_by(from, side, in, out, sample_bilinear);
        case Interpolation::bicubic:
            return warp_by(from, side, in, out, sample_bicubic);
    }
}

void warp_spline(const Affine& from, int side, const uint8_t* in, uint8_t* out) {
    float* const k = as_numbers<float>(side, in);
    spline_coefficients(k, side, 4 * side, 4);
    spline_coefficients(k, side, 4, 4 * side);

    std::vector<int> place(size_t(side) + 3);  // of pixel i - 1 in its row or column
    for (int i = 0; i < side + 3; ++i) place[i] = mirrored(i - 1, side);
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x, out += 3) {
            const double at_x = from.xx * x + from.xy * y + from.x0;
            const double at_y = from.yx * x + from.yy * y + from.y0;
            const bool inside = at_x >= 0 && at_x <= side - 1 && at_y >= 0 && at_y <= side - 1;
            if (!inside) {
                std::memset(out, 0, 3);
                continue;
            }
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
            store_bytes(clamp_to_byte(sum + 0.5f), out);
        }
}

}  // namespace fp
