// The sizes of a convolution as its kernels read them, after checks, and a linear layer as a convolution.
#pragma once

#include "kernels/error.h"
#include "kernels/shapes.h"

namespace fp {

struct ConvSizes {
    int n, h, w, c;  // input, c as stored
    int k, r, s;     // filters, logical
    int p, q, y_c;   // output, y_c as stored
    int stride, pad;

    static ConvSizes of(const ConvShape&);  // checks what the kernels' index arithmetic needs
    constexpr int pixels_out() const { return n * p * q; }
    constexpr int taps_c() const { return r * s * c; }  // a filter's length in memory
};

// A parity class: the pixels of dx with h mod stride = row_class and w mod stride = column_class, and the taps that
// reach them, r = first_r + i stride. Tap i of the pixel in row h = h' stride + row_class reads row p = h' + p_shift -
// i of dy. Columns are alike.
struct ParityClass {
    int rows, columns, row_class, column_class;
    int first_r, first_s, taps_r, taps_s, p_shift, q_shift;

    static ParityClass of(const ConvSizes& g, int index) {
        const int row_class = index / g.stride, column_class = index % g.stride;
        const int first_r = (row_class + g.pad) % g.stride;
        const int first_s = (column_class + g.pad) % g.stride;
        const auto share = [&](int first, int count) {  // how many of first, first + stride, ... are below count
            return first < count ? int(ceil_div(count - first, g.stride)) : 0;
        };
        return {.rows = share(row_class, g.h),
                .columns = share(column_class, g.w),
                .row_class = row_class,
                .column_class = column_class,
                .first_r = first_r,
                .first_s = first_s,
                .taps_r = share(first_r, g.r),
                .taps_s = share(first_s, g.s),
                .p_shift = (row_class + g.pad) / g.stride,
                .q_shift = (column_class + g.pad) / g.stride};
    }
};
struct ParityClasses {  // all classes, passed as kernel parameters, where they cost no registers
    static constexpr int kMostStride = 4;
    int count;
    ParityClass at[kMostStride * kMostStride];  // the first is the largest

    static ParityClasses of(const ConvSizes& g) {
        FP_CHECK(g.stride <= kMostStride, "conv: the gradient at stride ", g.stride);
        ParityClasses all{.count = g.stride * g.stride, .at = {}};
        for (int i = 0; i < all.count; ++i) all.at[i] = ParityClass::of(g, i);
        return all;
    }
};

// A linear layer is a 1x1 convolution over one pixel whose channels are the whole stored map.
ConvShape as_conv(const LinearShape&);

}  // namespace fp
