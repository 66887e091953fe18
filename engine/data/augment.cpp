#include "engine/data/augment.h"

#include <algorithm>
#include <cstring>

#include "kernels/random.h"

namespace fp {
namespace {

// The second part of every random number's key: one value an operation, never reused.
enum Operation : uint64_t { op_shift = 1, op_flip_across, op_flip_down };

bool happens(double probability, uint64_t key, Operation op) {
    return probability > 0 && uniform_double(key_of(key, op), 0) < probability;
}

// out[y][x] = in[y + down][x + right], 0 where there is none.
void shift_image(int right, int down, int side, uint8_t* rgb) {
    static thread_local std::vector<uint8_t> in;
    const size_t row = size_t(3) * side;
    in.assign(rgb, rgb + row * side);
    std::fill_n(rgb, row * side, uint8_t(0));
    const int first = std::max(0, -right), count = side - std::abs(right);
    for (int y = std::max(0, -down); y < std::min(side, side - down); ++y)
        std::memcpy(rgb + y * row + 3 * first, &in[(y + down) * row + 3 * (first + right)],
                    size_t(3) * count);
}

void flip_across(int side, uint8_t* rgb) {
    for (int y = 0; y < side; ++y) {
        uint8_t* left = rgb + size_t(3) * side * y;
        uint8_t* right = left + 3 * (side - 1);
        for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
    }
}

void flip_down(int side, uint8_t* rgb) {
    const size_t row = size_t(3) * side;
    for (int y = 0; y < side / 2; ++y)
        std::swap_ranges(rgb + y * row, rgb + (y + 1) * row, rgb + (side - 1 - y) * row);
}

}  // namespace

void augment(const AugmentOptions& options, uint64_t key, int side, uint8_t* rgb) {
    if (options.shift > 0) {
        const uint64_t k = key_of(key, op_shift);
        const int most = std::min(options.shift, side - 1);
        const int right = int(uniform_below(2 * most + 1, k, 0)) - most;
        const int down = int(uniform_below(2 * most + 1, k, 1)) - most;
        if (right != 0 || down != 0) shift_image(right, down, side, rgb);
    }
    if (happens(options.flip_across, key, op_flip_across)) flip_across(side, rgb);
    if (happens(options.flip_down, key, op_flip_down)) flip_down(side, rgb);
}

}  // namespace fp
