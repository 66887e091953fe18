#include "engine/data/augment/resize_across.h"

namespace fp {

void resize_across(const ResizeFilter& filter, int outputs, int rows, const uint8_t* in, size_t in_row, uint8_t* out) {
    resize_across_plain(filter, outputs, rows, in, in_row, out);
}

}  // namespace fp
