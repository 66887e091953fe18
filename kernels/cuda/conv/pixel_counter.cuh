// The position of a pixel in a batch of maps, which advances by a fixed number of pixels without a division.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

struct PixelCounter {
    int rows, columns;
    int step_n, step_p, step_q;
    int n, p, q;

    __device__ PixelCounter(int rows_, int columns_, int pixel, int step)
        : rows(rows_),
          columns(columns_),
          step_n(step / columns_ / rows_),
          step_p(step / columns_ % rows_),
          step_q(step % columns_),
          n(pixel / columns_ / rows_),
          p(pixel / columns_ % rows_),
          q(pixel % columns_) {}
    __device__ void advance() {
        q += step_q;
        p += step_p;
        n += step_n;
        if (q >= columns) q -= columns, ++p;
        if (p >= rows) p -= rows, ++n;
    }
};

}  // namespace fp::FP_MACHINE
