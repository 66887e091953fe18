// Direct convolution: every tap of the window is multiplied, none that falls on a row or column of padding twice.
#pragma once

#include <vector>

#include "kernels/cpu/conv/tile.h"
#include "kernels/shapes.h"

namespace fp::cpu::direct {

// A tap reads the pixel at (stride p + row, stride q + column) for the output (p, q) of the grid; `w` is its place
// among the filters of a block of inputs.
struct Place {
    int row, column;
    int64_t w;
};

// A grid of outputs of which each is a sum over taps: all outputs of a convolution, or, of dx at stride 2, those of
// one parity.
struct Grid {
    Map from, to;
    int rows, columns;                  // outputs of one map
    int stride;                         // of reading
    int first_row, first_column, step;  // where in `to` they lie: row first_row + p step
    std::vector<Place> taps;
    int lanes;                 // of a tap (tile.h)
    int64_t w_block, w_panel;  // filters: floats from one block of inputs, and of outputs, to the next
};

Grid forward_grid(const ConvShape&);
// The grids of dx over `transposed` filters.
std::vector<Grid> backward_grids(const ConvShape&);

// filters[cb][kb][r][s][k][c] from w[kb][cb][r][s][c][k].
void transpose(const Filter&, const float* w, float* filters);

int64_t scratch(const Grid&);  // floats
void run(const Grid&, const float* x, const float* w, float* y, const Finish&, float* scratch);

}  // namespace fp::cpu::direct
