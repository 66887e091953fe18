// What starts the forward convolution on warpgroup products.
#include "kernels/cuda/conv_wgmma_launch.cuh"

namespace fp::FP_MACHINE {

void wgmma_forward(const ConvShape& s,
                   const PixelPlan& plan,
                   const bf16* x,
                   const bf16* w,
                   const Epilogue& to,
                   Stream stream) {
    const ConvSizes g = ConvSizes::of(s);
    const PixelConvolution on{plan, g, x, g, w, to, stream};
    if (plan.kernel != PixelKernel::tiles) return start_walking<FilterRows>(on);
    // Outputs of a tile may be any number here, as filters lie along the sum.
    if (plan.tile == TileSize{128, 192}) return start_tiles<PixelTile<128, 192, FilterRows>>(on);
    if (plan.tile == TileSize{128, 160}) return start_tiles<PixelTile<128, 160, FilterRows>>(on);
    if (plan.tile == TileSize{128, 96}) return start_tiles<PixelTile<128, 96, FilterRows>>(on);
    if (plan.tile == TileSize{128, 32}) return start_tiles<PixelTile<128, 32, FilterRows>>(on);
    start_across_tile<FilterRows>(on);
}

}  // namespace fp::FP_MACHINE
