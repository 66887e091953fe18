// Partial batch statistics, written by a convolution for the batch norm that follows it, which then does not read the
// convolution's output for them: per stored channel and chunk of pixels, the mean and the sum of squared deviations
// from it, of the values as stored. float32, [c][2][chunk].
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/shapes.h"

namespace fp {

struct Moments {
    // The line of places that is cut into chunks.
    enum class Line {
        pixels,  // the pixels of the map in memory order
        // the same with one empty place after each row and w + 1 more after each sample, so chunks hold different
        // numbers of pixels (counts)
        padded
    };
    // The size of a chunk: `count` consecutive places of the line; the last chunk may hold fewer.
    struct Rows {
        int count = 0;
        Line line = Line::pixels;

        constexpr Rows() = default;
        constexpr Rows(int count_, Line line_ = Line::pixels) : count(count_), line(line_) {}
        constexpr bool padded() const { return line == Line::padded; }
        bool operator==(const Rows&) const = default;
    };
    void* data = nullptr;
    Rows rows;

    static constexpr int64_t chunks(const Map& m, Rows rows) {
        const int extra = rows.padded() ? 1 : 0;
        return ceil_div(int64_t(m.n) * (m.h + extra) * (m.w + extra), rows.count);
    }
    static constexpr size_t bytes(const Map& m, Rows rows) {
        const size_t counts = rows.padded() ? 1 : 0;
        return size_t(chunks(m, rows)) * (2 * size_t(m.stored_c()) + counts) * sizeof(float);
    }
    // The number of pixels in each chunk, stored after the moments; null where every chunk but the last holds
    // rows.count.
    float* counts(const Map& m) const {
        if (!rows.padded()) return nullptr;
        return static_cast<float*>(data) + 2 * chunks(m, rows) * m.stored_c();
    }
    // The number of pixels before a place of the padded line of h x w maps.
    static constexpr int64_t before(int64_t place, int h, int w) {
        const int64_t line = place / (w + 1), q = place % (w + 1), n = line / (h + 1), p = line % (h + 1);
        return (n * h + p) * w + (p == h ? 0 : q);
    }
};

}  // namespace fp
