// A convolution written as few products: with planes X (sums of pixels), W (of taps) and Y (of outputs),
//
//   y[p] = sum_j Y[yj][p] (W[wj] . w) (X[xj] . x)
//
// The gradients are the same sum, with another of the three factors left out:
//
//   dx[h] = sum_j X[xj][h] (W[wj] . w) (Y[yj] . dy)        dw[r] = sum_j W[wj][r] (X[xj] . x) (Y[yj] . dy)
//
// A form of two dimensions is the product of two of one. Those of one dimension:
//
//   direct    every plane is a single pixel, tap or output: one product for each tap that falls on the map
//   Toeplitz  two outputs of two pixels under three taps, in 3 products instead of 4 (Karatsuba's trick):
//               y0 = w1 (x0 + x1) + (w2 - w1) x1
//               y1 = w1 (x0 + x1) + (w0 - w1) x0
//
//   Toom-Cook three outputs of three pixels under three taps, in 5 products instead of 7: polynomials
//             evaluated at 0, 1, -1, 2 and infinity, as in Winograd's F(3, 3) with padding on both sides
//
// so that a 3x3 window on a 2x2 map takes 9 products, where a loop over its taps takes 36, 20 of them on
// padding; and on a 3x3 map 25, where a loop takes 81.
#pragma once

#include <vector>

#include "kernels/shapes.h"

namespace fp::cpu {

struct Part {
    int at;  // pixel, tap or output, in row order
    float factor;
};
using Plane = std::vector<Part>;

struct Bilinear {
    struct Product {
        int x, w, y;  // planes
    };
    std::vector<Plane> x, w, y;
    std::vector<Product> products;
};

Bilinear bilinear(const ConvShape&);

}  // namespace fp::cpu
