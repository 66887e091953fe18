// Launcher of the forward convolution on warpgroup matrix instructions.
#include "kernels/cuda/conv/conv_wgmma_launch.cuh"

namespace fp::FP_MACHINE {

void wgmma_forward(const ConvShape& s, const PixelPlan& plan, const Operands& operands, Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    const PixelConvolution on{plan, g, g, operands, stream};
    if (plan.kernel != ConvKernel::pixels) return start_walking<FilterRows>(on);
    if (plan.tile == TileSize{256, 128}) return start_tiles<PixelTile<256, 128, FilterRows>>(on);
    if (plan.tile == TileSize{256, 64}) return start_tiles<PixelTile<256, 64, FilterRows>>(on);
    // K-major filters allow any multiple of 8 as the number of outputs of a tile.
    if (plan.tile == TileSize{128, 192}) return start_tiles<PixelTile<128, 192, FilterRows>>(on);
    if (plan.tile == TileSize{128, 160}) return start_tiles<PixelTile<128, 160, FilterRows>>(on);
    if (plan.tile == TileSize{128, 128}) return start_tiles<PixelTile<128, 128, FilterRows>>(on);
    if (plan.tile == TileSize{128, 96}) return start_tiles<PixelTile<128, 96, FilterRows>>(on);
    FP_CHECK((plan.tile == TileSize{128, 32}), "conv: no tile ", plan.tile.m, "x", plan.tile.n);
    start_tiles<PixelTile<128, 32, FilterRows>>(on);
}

}  // namespace fp::FP_MACHINE
