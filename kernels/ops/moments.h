// Batch statistics that a convolution writes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/shapes.h"

namespace fp {

// What a convolution leaves for the batch norm behind it, so that nobody reads its output for the statistics:
// of every channel (as stored) and every chunk of pixels their mean and the sum of squares about it, of the
// values as stored. float32, [c][2][chunk].
struct Moments {
    enum class Line {
        pixels,  // the pixels of the map, in memory's order
        // the same, with an empty place behind each row and w + 1 behind each sample: chunks differ in pixels (counts)
        padded
    };
    // What a chunk is: `count` consecutive places of a line, the last chunk perhaps fewer.
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
    // How many pixels each chunk holds; null where all but the last hold rows.count.
    float* counts(const Map& m) const {
        if (!rows.padded()) return nullptr;
        return static_cast<float*>(data) + 2 * chunks(m, rows) * m.stored_c();
    }
    // Pixels that lie before a place of the padded line of h x w maps.
    static constexpr int64_t before(int64_t place, int h, int w) {
        const int64_t line = place / (w + 1), q = place % (w + 1), n = line / (h + 1),
                      p = line % (h + 1);
        return (n * h + p) * w + (p == h ? 0 : q);
    }
};

}  // namespace fp
