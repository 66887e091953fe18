// Chooses the kernel and tile for a pass of a convolution in bf16 on Hopper. conv_choices() lists the kernels and tiles
// that exist and fit the shape, cost.h models the seconds of each on an H200, and conv_choice() takes the fastest. The
// choice depends on the shape and on the H200's constants, never on the device, so that results are the same on every
// device.
//
// A kernel and tile that were not measured on an H200 in that pass on similar shapes (with, or without, fewer than 64
// channels in or out) must be 10 % and 2 us (`split`: 0.5 us) faster by the model than the best of those that were, here or
// on a layer with more channels: so hardly a layer becomes slower when channels go (test_narrow_widths.cpp).
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "kernels/cuda/plan/gemm_shapes.h"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/shapes.h"

namespace fp {

enum class ConvKernel {
    tensor,       // conv_mma.cuh, all passes, on mma.sync
    pixels,       // conv_wgmma.cuh, forward, and dx at stride 1: one block per tile
    stream,       // conv_stream.cuh, the same with persistent blocks
    patch,        // conv_stream.cuh, 3x3 at stride 1, pixels loaded once for all taps
    strided,      // conv_wgmma_strided.cuh, dx at stride 2
    filter,       // conv_wgmma_filter.cuh, dw
    taps,         // conv_wgmma_taps.cuh, dw of 3x3, all nine taps in one block
    rows,         // conv_wgmma_taps.cuh, dw of 3x3 at stride 1, x loaded once per row of the window
    halo,         // conv_halo.cuh on mma.sync, forward, and dx at stride 1, for few channels
    halo_wgmma,   // conv_halo.cuh on wgmma, forward of the stem
    halo_filter,  // conv_halo_filter.cuh, dw for few channels
    split,        // conv_split.cuh, forward for few pixels, sums split over a cluster; no moments
};
constexpr int kConvKernels = 12;
std::string_view name_of(ConvKernel);

// A kernel and its tile: pixels x outputs; for dw, channels (over all taps) x filters.
struct ConvChoice {
    ConvKernel kernel = ConvKernel::tensor;
    TileSize tile{};
    int resident = 1;  // blocks per multiprocessor
    int parts = 1;     // of split: into how many a sum is split, the blocks of a cluster
    bool operator==(const ConvChoice&) const = default;
    bool on_halo() const { return kernel == ConvKernel::halo || kernel == ConvKernel::halo_wgmma; }
};

// What a pass computes or reads in addition.
struct ConvExtras {
    bool moments = false;   // of the output, for batch normalisation
    bool residual = false;  // one is added to the output, or dx is added to its old values
};

// The compiled tiles, except those of conv_mma.cuh (kTensorTiles) and conv_halo.cuh (kHaloTiles).
constexpr unsigned bit(Pass pass) { return 1u << int(pass); }
inline constexpr unsigned kForward = bit(Pass::forward), kData = bit(Pass::data), kFilter = bit(Pass::filter),
                          kBoth = kForward | kData;
struct ConvTile {
    ConvKernel kernel;
    TileSize tile;
    int resident;
    unsigned passes, measured;  // bits: passes that have this tile; passes measured on an H200
};
inline constexpr ConvTile kConvTiles[] = {
    {ConvKernel::pixels, {256, 128}, 1, kForward, kForward}, {ConvKernel::pixels, {256, 64}, 1, kForward, kForward},
    {ConvKernel::pixels, {128, 128}, 1, kBoth, kBoth},       {ConvKernel::pixels, {128, 192}, 1, kForward, 0},
    {ConvKernel::pixels, {128, 160}, 1, kForward, kForward}, {ConvKernel::pixels, {128, 96}, 1, kForward, kForward},
    {ConvKernel::pixels, {128, 32}, 1, kForward, kForward},  {ConvKernel::stream, {256, 64}, 1, kBoth, kBoth},
    {ConvKernel::stream, {256, 128}, 1, kBoth, kBoth},       {ConvKernel::stream, {192, 256}, 1, kBoth, kBoth},
    {ConvKernel::stream, {192, 192}, 1, kBoth, 0},           {ConvKernel::patch, {256, 64}, 1, kBoth, kBoth},
    {ConvKernel::patch, {256, 128}, 1, kBoth, kForward},     {ConvKernel::strided, {128, 64}, 3, kData, kData},
    {ConvKernel::strided, {128, 128}, 2, kData, kData},      {ConvKernel::strided, {256, 128}, 1, kData, kData},
    {ConvKernel::filter, {256, 128}, 1, kFilter, kFilter},   {ConvKernel::filter, {256, 64}, 1, kFilter, kFilter},
    {ConvKernel::filter, {128, 128}, 1, kFilter, kFilter},   {ConvKernel::filter, {128, 64}, 1, kFilter, kFilter},
    {ConvKernel::taps, {64, 64}, 1, kFilter, kFilter},       {ConvKernel::rows, {64, 64}, 1, kFilter, kFilter},
    {ConvKernel::split, {64, 32}, 2, kForward, 0},           {ConvKernel::split, {64, 64}, 2, kForward, 0},
};

// Overrides for tests and for tuning on a GPU; what is not set is chosen as usual. A forced choice that does not fit a
// shape is an error.
struct ConvForced {
    std::optional<ConvKernel> pixels = {};   // forward, and dx at stride 1
    std::optional<ConvKernel> strided = {};  // dx at other strides
    std::optional<ConvKernel> filter = {};   // dw
    std::optional<ConvKernel> without = {};  // is not chosen
    TileSize tile{};                         // for the kernels above
    int blocks = 0;                          // for stream and patch; for halo, the most per slice of outputs
    int parts = 0;                           // partial sums of dw (halo_filter: at most), of kernel split
    int buffers = 0;                         // patches per halo block: 1 or 2
    bool late = false;                       // kernel split does not begin before the kernels in front are complete
};
// One per process, read whenever a convolution is planned. Do not change it between scratch_bytes and the call.
ConvForced& conv_forced();

// Every kernel and tile that can compute the pass.
std::vector<ConvChoice> conv_choices(const ConvShape&, Pass, ConvExtras = {});
// Whether the kernel and tile were measured on an H200 in that pass, on similar shapes.
bool was_measured(const ConvShape&, Pass, ConvChoice);
// The kernel and tile to run. Answers are cached per thread.
ConvChoice conv_choice(const ConvShape&, Pass, ConvExtras = {});

}  // namespace fp
