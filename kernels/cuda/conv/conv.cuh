// Output-pixel coordinates that advance by a fixed step, and the parts of a convolution that other files use.
#pragma once

#include "kernels/cuda/plan/conv_sizes.h"
#include "machine.cuh"

namespace fp::FP_MACHINE {

// A fixed number of output pixels as rows and columns: the step of PixelPlace::advance.
struct PixelStep {
    int p, q;
    __device__ static PixelStep of(const ConvSizes& g, int pixels) { return {pixels / g.q, pixels % g.q}; }
};
struct PixelPlace {
    int n, p, q;
    __device__ PixelPlace(const ConvSizes& g, int pixel) : n(pixel / g.q / g.p), p(pixel / g.q % g.p), q(pixel % g.q) {}
    __device__ void advance(const ConvSizes& g, const PixelStep& step) {
        p += step.p;
        q += step.q;
        while (q >= g.q) q -= g.q, ++p;
        while (p >= g.p) p -= g.p, ++n;
    }
};

// Conv::prepared_bytes and Conv::prepare of the kernels that read float32 filters as stored: a copy.
size_t conv_prepared_bytes(const ConvShape&, Conv::Fused);
void conv_prepare(const ConvShape&, Conv::Fused, const par* w, void* prepared, Stream);

// A linear layer computed by the convolution kernels `kConv`.
template <const Conv& kConv>
constexpr Linear linear_of{.scratch_bytes = [](const LinearShape& s) { return kConv.scratch_bytes(as_conv(s)); },
                           .forward =
                               [](const LinearShape& s, const Linear::Forward& a, void* scratch, Stream stream) {
                                   kConv.forward(as_conv(s), a, scratch, stream);
                               },
                           .backward_data =
                               [](const LinearShape& s, const Linear::BackwardData& a, void* scratch, Stream stream) {
                                   kConv.backward_data(as_conv(s), a, scratch, stream);
                               },
                           .backward_filter =
                               [](const LinearShape& s, const Linear::BackwardFilter& a, void* scratch, Stream stream) {
                                   kConv.backward_filter(as_conv(s), a, scratch, stream);
                               }};

}  // namespace fp::FP_MACHINE
