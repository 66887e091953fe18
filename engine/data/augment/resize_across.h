// The pass along rows of resize.cpp, in two forms of equal bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fp {

// Weights are positive and sum to 2^kResizeBits but for rounding, so sums need no clamping.
constexpr int kResizeBits = 22;
constexpr int32_t kResizeHalf = 1 << (kResizeBits - 1);
constexpr int kTapsTogether = 4;  // taps across that are taken at a time, where vectors are long enough

// The triangle filter of one axis. Every output takes the same number of input pixels, some with weight 0, so that
// loops over them have one length.
struct ResizeFilter {
    int taps;
    std::vector<int> first;        // by output: the input pixel of the first tap
    std::vector<int32_t> weights;  // outputs x taps

    const int32_t* weights_of(int o) const { return &weights[size_t(o) * taps]; }
    // The input pixels that any output needs.
    int begin() const { return first.front(); }
    int end() const { return first.back() + taps; }
};

// `rows` rows from `in` on, which are `in_row` bytes apart, to rows x outputs pixels. The first is plain; the second is
// what is fastest on this processor (x86_64/, other/).
void resize_across_plain(const ResizeFilter&, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out);
void resize_across(const ResizeFilter&, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out);

}  // namespace fp
