// The cost of kernels that memory bounds.
#include "kernels/cuda/plan/cost.h"

namespace fp {
namespace {

// The traffic of a kernel, in activation maps of the size of x: always, in addition with a residual, and without a
// ReLU; and the share of HBM's rate that it reaches.
struct Row {
    Moving kernel;
    std::string_view name;
    double maps, residual, without_relu, share;
};
constexpr double kBits = 1.0 / 16;           // the bits of a ReLU, one per element
constexpr double kPooled = 0.25 + 0.25 / 2;  // a quarter of the pixels, with a byte of argmax each
constexpr Row kRows[kMovings] = {
    {Moving::normalize, "normalize", 2, 1 + kBits, 0, 1},
    {Moving::normalize_pair, "normalize_pair", 3 + kBits, 0, 0, 1},
    {Moving::normalize_pool, "normalize_pool", 1 + kPooled, 0, 0, 0.63},
    {Moving::gradient_sums, "gradient_sums", 2, kBits, 0, 1},
    {Moving::differentiate, "differentiate", 3, 1 + kBits, 0, 1},
    {Moving::pair_gradient_sums, "pair_gradient_sums", 3 + kBits, 0, 0, 1},
    {Moving::pair_differentiate, "pair_differentiate", 5 + kBits, 0, 0, 1},
    {Moving::pool_gradient_sums, "pool_gradient_sums", 1 + kPooled, 0, 0, 0.9},
    {Moving::pool_differentiate, "pool_differentiate", 2 + kPooled, 0, 0, 0.93},
    {Moving::maxpool_forward, "maxpool_forward", 1 + kPooled, 0, 0, 0.73},
    {Moving::maxpool_backward, "maxpool_backward", 1 + kPooled, 0, 0, 0.73},  // not measured
    {Moving::image, "image", 0, 0, 0, 0.94},
    {Moving::sgd, "sgd", 0, 0, 0, 1},
    {Moving::others, "others", 0, 0, 0, 1},
};
const Row& row_of(Moving kernel) { return kRows[int(kernel)]; }
static_assert([] {
    for (int i = 0; i < kMovings; ++i)
        if (int(kRows[i].kernel) != i) return false;
    return true;
}());

constexpr double kRamp = 2.5e-6;  // until the full rate is reached, and at the end
// Of the kernels that finish statistics or sums, not measured: two latencies of L2, the barriers between, and the parts
// of conv_stream.cuh, up to 132 of 8 bytes per channel. Other kernels may leave more.
constexpr double kFinish = 1.5e-6, kFinishBytes = 132 * 8;

}  // namespace

std::string_view name_of(Moving kernel) { return row_of(kernel).name; }

Cost cost(const Device& d, Moving kernel, double bytes) {
    return {.start = d.start + kRamp, .memory = bytes / (d.hbm * row_of(kernel).share)};
}

double bytes_of(Moving kernel, const Map& x, bool residual, bool relu) {
    const Row& row = row_of(kernel);
    return 2.0 * double(x.stored()) * (row.maps + (residual ? row.residual : 0) + (relu ? 0 : row.without_relu));
}

Cost finishing(const Device& d, int channels) {
    return {.start = d.start + kFinish, .load = channels * kFinishBytes / d.l2};
}

}  // namespace fp
