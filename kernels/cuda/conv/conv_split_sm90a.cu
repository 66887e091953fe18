// Launcher of conv_split.cuh.
#include "kernels/cuda/conv/conv_split.cuh"
#include "kernels/cuda/conv/conv_wgmma.h"

namespace fp::FP_MACHINE {
namespace {

template <int kOutputs>
void start(const ConvSizes& g, int parts, const Operands& on, Stream stream) {
    using T = SplitTile<kOutputs>;
    const Grid grid{.blocks = ceil_div(g.pixels_out(), kSplitPixels) * parts,
                    .blocks_y = ceil_div(g.y_c, kOutputs),
                    .threads = kSplitThreads,
                    .shared_bytes = sizeof(typename T::Shared),
                    .cluster = parts,
                    .early = !conv_forced().late};
    TensorMapSpec filters = T::Filters::spec(g, on.w);
    filters.settled = true;
    launch(wgmma_split_kernel<T>, grid, stream, pixel_map(g, on.x, kSplitPixels), encode(filters), g, parts, on.to);
}

}  // namespace

void wgmma_split(const ConvShape& s, const ConvChoice& choice, const Operands& on, Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    if (choice.tile.n == 32) return start<32>(g, choice.parts, on, stream);
    start<64>(g, choice.parts, on, stream);
}

}  // namespace fp::FP_MACHINE
