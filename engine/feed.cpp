#include "engine/feed.h"

namespace fp {

Var Feed::operator()(Tape& tape, const Batch& batch) {
    const int size = preprocessing_.image_size;
    const Map map{.n = batch.n, .c = 3, .h = size, .w = size, .block = kernels_.image_block(3)};
    const size_t bytes = size_t(batch.n) * size * size * 3;
    auto* rgb = static_cast<uint8_t*>(staging_.grow(kernels_.memory, bytes));
    kernels_.memory.copy_in(rgb, batch.rgb, bytes, tape.stream());
    const Tensor x = tape.empty(map);
    kernels_.image.normalize(map, rgb, preprocessing_.mean.data(), preprocessing_.std.data(),
                             x.data, tape.stream());
    return tape.input(x);
}

}  // namespace fp
