#include "engine/data/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr int kFractionBits = 22;
constexpr int32_t kHalf = 1 << (kFractionBits - 1);

// The input pixels that make one output pixel, and their weights in fixed point.
struct Taps {
    int first, count;
    const int32_t* weight;
};

// The triangle filter of one axis, for the output pixels [begin, begin + count) of `out`.
class Filter {
public:
    Filter(int in, int out, int begin, int count) {
        const double scale = double(in) / out;
        const double support = std::max(scale, 1.0);
        stride_ = int(std::ceil(support)) * 2 + 1;
        spans_.resize(count);
        weights_.assign(size_t(stride_) * count, 0);
        std::vector<double> exact(stride_);
        for (int o = 0; o < count; ++o) {
            const double centre = (begin + o + 0.5) * scale;
            const int first = std::max(int(centre - support + 0.5), 0);
            const int taps = std::min(int(centre + support + 0.5), in) - first;
            double sum = 0;
            for (int i = 0; i < taps; ++i) {
                const double distance = std::abs((first + i - centre + 0.5) * (1.0 / support));
                exact[i] = std::max(0.0, 1.0 - distance);
                sum += exact[i];
            }
            for (int i = 0; i < taps; ++i)
                weights_[size_t(o) * stride_ + i] =
                    int32_t(0.5 + exact[i] / sum * (1 << kFractionBits));
            spans_[o] = {first, taps};
        }
    }

    Taps operator[](int o) const {
        return {spans_[o].first, spans_[o].second, &weights_[size_t(o) * stride_]};
    }
    // The input pixels that any output pixel needs.
    int first() const { return spans_.front().first; }
    int end() const { return spans_.back().first + spans_.back().second; }

private:
    int stride_;
    std::vector<std::pair<int, int>> spans_;
    std::vector<int32_t> weights_;
};

uint8_t to_byte(int32_t sum) { return uint8_t(std::clamp(sum >> kFractionBits, 0, 255)); }

void resize_row(const Filter& filter, int out_width, const uint8_t* in, uint8_t* out) {
    for (int o = 0; o < out_width; ++o) {
        const Taps taps = filter[o];
        const uint8_t* at = in + 3 * taps.first;
        int32_t r = kHalf, g = kHalf, b = kHalf;
        for (int i = 0; i < taps.count; ++i, at += 3) {
            r += at[0] * taps.weight[i];
            g += at[1] * taps.weight[i];
            b += at[2] * taps.weight[i];
        }
        out[3 * o] = to_byte(r);
        out[3 * o + 1] = to_byte(g);
        out[3 * o + 2] = to_byte(b);
    }
}

// One output row from the rows of `in` (each `length` bytes) that `taps` names.
void mix_rows(const Taps& taps, int length, const uint8_t* in, int32_t* sum, uint8_t* out) {
    std::fill_n(sum, length, kHalf);
    for (int i = 0; i < taps.count; ++i) {
        const uint8_t* row = in + size_t(i) * length;
        const int32_t weight = taps.weight[i];
        for (int x = 0; x < length; ++x) sum[x] += row[x] * weight;
    }
    for (int x = 0; x < length; ++x) out[x] = to_byte(sum[x]);
}

}  // namespace

Size fit_short_side(Size in, int side) {
    const auto longer = [&](int64_t l, int64_t s) {
        // As torchvision has it: the quotient in double, cut to an integer.
        const double length = double(side * l) / double(s);
        FP_REQUIRE(length < 1 << 30, Exit::data, "an image of ", l, " x ", s,
                   ": too long to resize");
        return int(length);
    };
    return in.width <= in.height ? Size{side, longer(in.height, in.width)}
                                 : Size{longer(in.width, in.height), side};
}

Window centre_window(Size in, int width, int height) {
    FP_CHECK(width <= in.width && height <= in.height, "centre_window: ", width, " x ", height,
             " of ", in.width, " x ", in.height);
    const auto half_to_even = [](int x) { return (x + ((x & 3) == 3)) / 2; };
    return {half_to_even(in.width - width), half_to_even(in.height - height), width, height};
}

void resize(PixelView in, Size full, const Window& part, uint8_t* rgb) {
    FP_CHECK(in.width > 0 && in.height > 0 && part.width > 0 && part.height > 0 && part.left >= 0 &&
                 part.top >= 0 && part.left + part.width <= full.width &&
                 part.top + part.height <= full.height,
             "resize: ", in.width, " x ", in.height, " to a part of ", full.width, " x ",
             full.height);
    const int in_row = 3 * in.width, out_row = 3 * part.width;
    const bool same_width = full.width == in.width, same_height = full.height == in.height;
    if (same_width && same_height) {
        for (int y = 0; y < part.height; ++y)
            std::memcpy(rgb + size_t(y) * out_row,
                        in.rgb + size_t(part.top + y) * in_row + 3 * part.left, out_row);
        return;
    }
    const Filter across(in.width, full.width, part.left, part.width);
    const Filter down(in.height, full.height, part.top, part.height);

    static thread_local std::vector<uint8_t> narrow;  // the rows that are needed, resized across
    static thread_local std::vector<int32_t> sum;
    narrow.resize(size_t(down.end() - down.first()) * out_row);
    sum.resize(out_row);
    for (int y = down.first(); y < down.end(); ++y)
        resize_row(across, part.width, in.rgb + size_t(y) * in_row,
                   &narrow[size_t(y - down.first()) * out_row]);
    for (int y = 0; y < part.height; ++y) {
        const Taps taps = down[y];
        mix_rows(taps, out_row, &narrow[size_t(taps.first - down.first()) * out_row], sum.data(),
                 rgb + size_t(y) * out_row);
    }
}

Pixels resize(PixelView in, Size out) {
    Pixels result{.width = out.width, .height = out.height, .rgb = {}};
    result.rgb.resize(size_t(3) * out.width * out.height);
    resize(in, out, {0, 0, out.width, out.height}, result.rgb.data());
    return result;
}

void fit_centre(PixelView in, int side, uint8_t* rgb) {
    const Size full = fit_short_side({in.width, in.height}, side);
    resize(in, full, centre_window(full, side, side), rgb);
}

}  // namespace fp
