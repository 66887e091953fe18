#include "engine/data/affine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

namespace fp {
namespace {

// 16 bits of fraction.
int64_t fixed(double v) { return int64_t(std::floor(v * 65536.0 + 0.5)); }

void warp_nearest(const Affine& from, int side, const uint8_t* in, uint8_t* out) {
    const int64_t xx = fixed(from.xx), xy = fixed(from.xy), yx = fixed(from.yx),
                  yy = fixed(from.yy);
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
double cubic(double p0, double p1, double p2, double p3, double t) {
    const double a = p2 - p0;
    const double b = 2 * (p0 - p1) + p2 - p3;
    const double c = -p0 + p1 - p2 + p3;
    return p1 + t * (a + t * (b + t * c));
}

// The pixels around a position: `first + i` for i in 0 .. count - 1, kept inside the image, as offsets.
template <int count>
std::array<int, count> neighbours(int first, int side, int stride) {
    std::array<int, count> offset;
    for (int i = 0; i < count; ++i) offset[i] = std::clamp(first + i, 0, side - 1) * stride;
    return offset;
}

void sample_bilinear(double x, double y, int side, const uint8_t* in, uint8_t* out) {
    const double left = std::floor(x), top = std::floor(y), u = x - left, v = y - top;
    const auto column = neighbours<2>(int(left), side, 3),
               row = neighbours<2>(int(top), side, 3 * side);
    for (int c = 0; c < 3; ++c) {
        const auto mix = [&](int at) {
            const double a = in[at + column[0] + c], b = in[at + column[1] + c];
            return a + (b - a) * u;
        };
        const double above = mix(row[0]), below = mix(row[1]);
        out[c] = uint8_t(above + (below - above) * v);
    }
}

void sample_bicubic(double x, double y, int side, const uint8_t* in, uint8_t* out) {
    const double left = std::floor(x), top = std::floor(y), u = x - left, v = y - top;
    const auto column = neighbours<4>(int(left) - 1, side, 3);
    const auto row = neighbours<4>(int(top) - 1, side, 3 * side);
    for (int c = 0; c < 3; ++c) {
        double across[4];
        for (int i = 0; i < 4; ++i) {
            const uint8_t* at = in + row[i] + c;
            across[i] = cubic(at[column[0]], at[column[1]], at[column[2]], at[column[3]], u);
        }
        const double value = cubic(across[0], across[1], across[2], across[3], v);
        out[c] = uint8_t(std::clamp(value, 0.0, 255.0));
    }
}

template <class Sample>
void warp_by(const Affine& from, int side, const uint8_t* in, uint8_t* out, Sample sample) {
    for (int y = 0; y < side; ++y)
        for (int x = 0; x < side; ++x, out += 3) {
            const double at_x = from.xx * (x + 0.5) + from.xy * (y + 0.5) + from.x0;
            const double at_y = from.yx * (x + 0.5) + from.yy * (y + 0.5) + from.y0;
            const bool inside = at_x >= 0 && at_x < side && at_y >= 0 && at_y < side;
            if (inside)
                sample(at_x - 0.5, at_y - 0.5, side, in, out);
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

// In place: the coefficients whose cubic B-spline goes through the `count` values at `v`, `stride` apart.
// A filter with the pole z, once forward and once backward (Unser 1999).
void spline_coefficients(float* v, int count, int64_t stride) {
    if (count == 1) return;
    constexpr int kHorizon = 16;  // |z|^16 < 1e-9
    const float z = std::sqrt(3.0f) - 2;
    const auto at = [&](int i) -> float& { return v[i * stride]; };
    float start = 0;
    for (int i = kHorizon - 1; i >= 0; --i) start = at(mirrored(i, count)) + z * start;
    at(0) = start;
    for (int i = 1; i < count; ++i) at(i) += z * at(i - 1);
    at(count - 1) = z / (z * z - 1) * (at(count - 1) + z * at(count - 2));
    for (int i = count - 2; i >= 0; --i) at(i) = z * (at(i + 1) - at(i));
    for (int i = 0; i < count; ++i) at(i) *= 6;
}

// The cubic B-spline's values at the four pixels around a position t past the second.
std::array<float, 4> spline_weights(float t) {
    const float s = 1 - t;
    return {s * s * s / 6, (4 - 6 * t * t + 3 * t * t * t) / 6, (4 - 6 * s * s + 3 * s * s * s) / 6,
            t * t * t / 6};
}

}  // namespace

Affine turn_scale_shear(double degrees, double scale, double shear_degrees, int side) {
    // Forward: scale R(angle) [1, -tan shear; 0, 1] about the middle. This is its inverse.
    constexpr double kRadian = std::numbers::pi / 180;
    const double c = std::cos(degrees * kRadian), s = std::sin(degrees * kRadian);
    const double t = std::tan(shear_degrees * kRadian), middle = side * 0.5;
    Affine from{.xx = (c - s * t) / scale,
                .xy = (s + c * t) / scale,
                .x0 = 0,
                .yx = -s / scale,
                .yy = c / scale,
                .y0 = 0};
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
    static thread_local std::vector<float> coefficients;
    const int row = 3 * side;
    coefficients.assign(in, in + size_t(row) * side);
    float* const k = coefficients.data();
    for (int i = 0; i < row; ++i) spline_coefficients(k + i, side, row);
    for (int y = 0; y < side; ++y)
        for (int c = 0; c < 3; ++c) spline_coefficients(k + size_t(y) * row + c, side, 3);

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
            float sum[3] = {0, 0, 0};
            for (int j = 0; j < 4; ++j) {
                const float* line = k + size_t(mirrored(top - 1 + j, side)) * row;
                for (int i = 0; i < 4; ++i) {
                    const float* at = line + 3 * mirrored(left - 1 + i, side);
                    const float weight = down[j] * across[i];
                    for (int c = 0; c < 3; ++c) sum[c] += weight * at[c];
                }
            }
            for (int c = 0; c < 3; ++c) out[c] = uint8_t(std::clamp(sum[c] + 0.5f, 0.0f, 255.0f));
        }
}

}  // namespace fp
