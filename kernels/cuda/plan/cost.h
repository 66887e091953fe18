// What a kernel takes, in seconds, from a device's rates and a few fitted quantities of each kernel family. Choices of
// kernels and tiles can be made by it: seconds() of each of conv_choices(), the least wins (best_choice).
//
// A convolution's kernel gives every multiprocessor `rounds` tiles of so many steps. A round costs
//
//   fill       until the block's first stage is in shared memory
//   steps      each the longest of: products, bytes from L2 into shared memory, the producer's instructions; then barriers
//   epilogue   the tile's way out, as far as no other warpgroup hides it; moments and what is added come on top
//
// Blocks that share a multiprocessor hide each other's fill, barriers and epilogue. Beside all that HBM moves each byte
// once. Two busy resources hinder each other: their joint time is a norm of the two times, not the longer one. A kernel
// that only moves bytes is its start and those bytes at a share of HBM's rate.
//
// The quantities are fitted to launches on an H200, tests/kernels/recordings/h200-kernels.csv; test_cost.cpp holds each
// launch of 50 us or more against the model, 15 % either way, and names the few that lie further off.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/products.h"
#include "kernels/shapes.h"
#include "kernels/tiles.h"

namespace fp {

// The device of a compute capability: 80, 86, 89, 90, 100 or 120; others get the last one below. Only the H200
// (kDevice) was measured.
const Device& device_of(int compute_capability);
extern const Device kH100;  // 90 too; device_of(90) is the H200

// The kernels of a convolution in bf16.
enum class ConvKernel {
    tensor,   // conv_tensor.cuh, all passes, on mma.sync
    pixels,   // conv_wgmma.cuh, forward, and dx at stride 1
    stream,   // conv_stream.cuh, the same by blocks that stay
    patch,    // conv_stream.cuh, 3x3 at stride 1, pixels brought once for all taps
    strided,  // conv_wgmma_strided.cuh, dx at stride 2
    filter,   // conv_wgmma_filter.cuh, dw, addresses counted
    divided,  // conv_wgmma_filter.cuh, dw, addresses divided out at every step
    taps,     // conv_wgmma_taps.cuh, dw of 3x3, nine taps a block
    rows,     // conv_wgmma_taps.cuh, dw of 3x3 at stride 1, x brought for each row of the window
    halo,     // conv_halo.cuh, forward, and dx at stride 1, of few channels
    halo_filter,  // conv_halo_filter.cuh, dw of few channels
};
constexpr int kConvKernels = 11;
std::string_view name_of(ConvKernel);

// A kernel and its tile: pixels x outputs; of dw channels (of taps) x filters.
struct ConvChoice {
    ConvKernel kernel;
    TileSize tile;
    int resident = 1;  // blocks on one multiprocessor
    bool operator==(const ConvChoice&) const = default;
};

// What a pass does besides.
struct ConvExtras {
    bool moments = false;   // of the output, for batch normalisation
    bool residual = false;  // added to the output, or dx is added to what is there
};

// Seconds. Those from `fill` to `epilogue` are one multiprocessor's, of all its rounds.
struct Cost {
    double start = 0;
    double fill = 0, products = 0, load = 0, issue = 0, step = 0, epilogue = 0;
    double memory = 0;  // HBM
    double finish = 0;  // the kernel that adds parts
    int resident = 1;

    double busy() const;    // the longest of products, load and issue
    double kernel() const;  // the kernel alone
    double seconds() const { return kernel() + finish; }
    std::string_view limiter() const;  // start, memory, matrix, L2, issue or epilogue
};

Cost cost(const Device&, const ConvShape&, Pass, ConvChoice, ConvExtras = {});
inline double seconds(const ConvShape& s, Pass pass, ConvChoice choice, ConvExtras extras = {}) {
    return cost(kDevice, s, pass, choice, extras).seconds();
}
// Every kernel and tile that can do the pass, and the one of them that takes least.
std::vector<ConvChoice> conv_choices(const ConvShape&, Pass, ConvExtras = {});
// Some microseconds: who launches a kernel remembers the answer.
ConvChoice best_choice(const ConvShape&, Pass, ConvExtras = {});

// Kernels that only move bytes, in bf16: batch normalisation by Swath (batchnorm*.cuh, batchnorm_pool.cuh) and by Sheet
// (sheet_*), pooling, the image, the optimiser.
enum class Moving {
    normalize,
    normalize_pair,
    normalize_pool,
    gradient_sums,
    differentiate,
    pair_gradient_sums,
    pair_differentiate,
    pool_gradient_sums,
    pool_differentiate,
    sheet_normalize,
    sheet_gradient_sums,
    sheet_differentiate,
    maxpool_forward,
    maxpool_backward,
    image,
    image_pairs,
    sgd,
    others,  // one pass over their operands
};
constexpr int kMovings = 18;
std::string_view name_of(Moving);

Cost cost(const Device&, Moving, double bytes);
// Of a map that is normalised or pooled: x and what has its size, the pooled map and its argmax, bits of a ReLU.
double bytes_of(Moving, const Map& x, bool residual, bool relu = true);
// The kernel that makes statistics or gradients of a channel from its chunks.
Cost finishing(const Device&, int channels);

}  // namespace fp
