// The tiles of a map, and their transforms into the 36 matrices that are multiplied.
#pragma once

#include "kernels/cpu/conv/winograd_transforms.h"
#include "kernels/shapes.h"

namespace fp::cpu::winograd {

// Tiles of 4x4 outputs, of all images, in one line.
struct Tiles {
    int images, rows, columns;

    explicit Tiles(const Map& outputs)
        : images(outputs.n), rows(int(ceil_div(outputs.h, kTile))), columns(int(ceil_div(outputs.w, kTile))) {}
    int64_t count() const { return int64_t(images) * rows * columns; }

    struct Place {
        int n, row, column;  // of the first output
    };
    Place place(int64_t tile) const {
        const int64_t per_image = int64_t(rows) * columns, rest = tile % per_image;
        return {int(tile / per_image), int(rest / columns) * kTile, int(rest % columns) * kTile};
    }
};

// to[product * step] = B^T d B, d the 6x6 inputs of one block under the tile at `place`; zeros beyond the map.
inline void transform_input(
    const Map& m, int pad, const Tiles::Place& place, int block, const float* x, float* to, int64_t step) {
    const int top = place.row - pad, left = place.column - pad, h = m.h, w = m.w;
    const float* const map = x + (int64_t(place.n) * m.blocks() + block) * m.pixels() * kBlock;
    const auto put = [&](int r, int c, const Vector& v) { store<kBlock>(to + (r * kPatch + c) * step, v); };
    if (top >= 0 && left >= 0 && top + kPatch <= h && left + kPatch <= w) {
        const float* const patch = map + (int64_t(top) * w + left) * kBlock;
        transform<kPatch, kPatch>(
            input, [&](int r, int c) { return load<kBlock>(patch + (int64_t(r) * w + c) * kBlock); }, put);
        return;
    }
    const auto pixel = [&](int r, int c) {
        const bool inside = unsigned(top + r) < unsigned(h) && unsigned(left + c) < unsigned(w);
        return inside ? load<kBlock>(map + (int64_t(top + r) * w + left + c) * kBlock) : Vector{};
    };
    transform<kPatch, kPatch>(input, pixel, put);
}

// to[product * step] = A dy A^T, dy the 4x4 gradients of the tile.
inline void transform_gradient(
    const Map& m, const Tiles::Place& place, int block, const float* dy, float* to, int64_t step) {
    const float* const map = dy + (int64_t(place.n) * m.blocks() + block) * m.pixels() * kBlock;
    const int tall = m.h - place.row, wide = m.w - place.column;
    const auto pixel = [&](int r, int c) {
        return r < tall && c < wide ? load<kBlock>(map + (int64_t(place.row + r) * m.w + place.column + c) * kBlock)
                                    : Vector{};
    };
    transform<kTile, kPatch>(output_gradient, pixel,
                             [&](int r, int c, const Vector& v) { store<kBlock>(to + (r * kPatch + c) * step, v); });
}

}  // namespace fp::cpu::winograd
