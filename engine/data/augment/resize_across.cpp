#include "engine/data/augment/resize_across.h"

#include <algorithm>

#include "engine/data/augment/lanes.h"

namespace fp {

static void resize_row(const ResizeFilter& filter, int outputs, const int32_t* in, int32_t* out) {
    const int taps = filter.taps;
    for (int o = 0; o < outputs; ++o) {
        const int32_t* at = in + 3 * filter.first[o];
        const int32_t* weight = filter.weights_of(o);
        Ints4 sum = Ints4{} + kResizeHalf;
        for (int i = 0; i < taps; ++i) sum += load<Ints4>(at + 3 * i) * weight[i];
        store(sum >> kResizeBits, out + 3 * o);
    }
}

void resize_across_plain(
    const ResizeFilter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
    static thread_local std::vector<int32_t> wide, narrow;
    const size_t out_row = size_t(3) * outputs;
    wide.resize(in_row + 1);
    narrow.resize(out_row + 1);
    for (int y = 0; y < rows; ++y) {
        std::copy_n(in + y * in_row, in_row, wide.data());
        resize_row(filter, outputs, wide.data(), narrow.data());
        std::copy_n(narrow.data(), out_row, out + y * out_row);
    }
}

}  // namespace fp
