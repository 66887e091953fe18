// Convolution in bf16 on Hopper: which of its kernels does a pass. Their files have formulas, shapes, threads, traffic
// and bound, and kernels/cuda/plan/ the rules by which they are chosen.
//
//   few channels, and the stem     conv_halo.cuh, with the input's patch in shared memory: on mma.sync, the stem's forward
//                                  pass on warpgroup products. dw: conv_halo_filter.cuh, on mma.sync
//   forward, and dx at stride 1    conv_stream.cuh where its tiles fill the device, else conv_wgmma.cuh
//   dx at stride 2                 conv_wgmma_strided.cuh: 3x3 with padding 1, 1x1
//   dw                             conv_wgmma_taps.cuh: 3x3 with padding 1; else conv_wgmma_filter.cuh
//   all else                       conv_tensor.cuh, on mma.sync: what these do not fit (the image's 4 channels, dx at
//                                  other strides), and gradients where products.h expects less of them
#include <algorithm>

#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/conv_halo.h"
#include "kernels/cuda/conv_wgmma.h"
#include "kernels/cuda/kept.cuh"

namespace fp::FP_MACHINE {

extern const Conv conv_bf16;

namespace {

bool on_halo(const ConvShape& s, Pass pass) {
    const ConvForced& forced = conv_forced();
    const bool other = pass == Pass::filter ? forced.filter.has_value() : forced.pixels.has_value();
    return !other && takes_halo(s, pass);
}

size_t scratch_bytes(const ConvShape& s) {
    const size_t of_others = conv_bf16.scratch_bytes(s);
    if (on_halo(s, Pass::filter)) return std::max(of_others, halo_filter_scratch_bytes(s));
    return std::max(of_others, filter_gradient_plan(s).parts_bytes(s));
}

Moments::Rows moments_rows(const ConvShape& s) {
    if (on_halo(s, Pass::forward)) return halo_moments_rows(s);
    const PixelPlan plan = pixel_plan(s, Pass::forward);
    if (plan.kernel == PixelKernel::mma_sync) return conv_bf16.moments_rows(s);
    return plan.moments_rows();
}

void forward_moments(const ConvShape& s,
                     const act* x,
                     const par* w,
                     const par* bias,
                     act* y,
                     const Moments& moments,
                     void* scratch,
                     Stream stream) {
    if (moments.data) {
        const Moments::Rows rows = moments_rows(s);
        FP_CHECK(moments.rows == rows, "conv: moments of chunks of ", moments.rows.count,
                 moments.rows.padded() ? " padded" : "", " places, not of ", rows.count,
                 rows.padded() ? " padded" : "");
    }
    const Epilogue to{static_cast<const float*>(bias), nullptr, false, static_cast<bf16*>(y),
                      MomentsOut::of(moments, s.y())};
    const auto* from = static_cast<const bf16*>(x);
    const auto filters = [&] { return rounded_weights(w, s.w.stored(), scratch, stream); };
    if (on_halo(s, Pass::forward))
        return halo_convolution(s, Pass::forward, from, filters(), to, stream);
    const PixelPlan plan = pixel_plan(s, Pass::forward);
    if (plan.kernel == PixelKernel::mma_sync)
        return conv_bf16.forward_moments(s, x, w, bias, y, moments, scratch, stream);
    wgmma_forward(s, plan, from, filters(), to, stream);
}

void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    forward_moments(s, x, w, bias, y, {}, scratch, stream);
}

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream stream) {
    const Epilogue to{static_cast<const float*>(bias),
                      static_cast<const bf16*>(residual),
                      relu,
                      static_cast<bf16*>(y),
                      {}};
    const auto *from = static_cast<const bf16*>(x), *w = static_cast<const bf16*>(prepared);
    if (on_halo(s, Pass::forward)) return halo_convolution(s, Pass::forward, from, w, to, stream);
    const PixelPlan plan = pixel_plan(s, Pass::forward);
    if (plan.kernel == PixelKernel::mma_sync)
        return conv_bf16.infer(s, x, prepared, bias, residual, relu, y, scratch, stream);
    wgmma_forward(s, plan, from, w, to, stream);
}

void backward_data(const ConvShape& s,
                   const act* dy,
                   const par* w,
                   act* dx,
                   Write write,
                   void* scratch,
                   Stream stream) {
    const auto* from = static_cast<const bf16*>(dy);
    auto* to = static_cast<bf16*>(dx);
    const auto filters = [&] { return rounded_weights(w, s.w.stored(), scratch, stream); };
    if (on_halo(s, Pass::data))
        return halo_convolution(s, Pass::data, from, filters(),
                                {nullptr, write == Write::add ? to : nullptr, false, to, {}},
                                stream);
    if (const auto tile = strided_tile(s))
        return wgmma_strided_data(s, *tile, from, filters(), to, write, stream);
    const PixelPlan plan = pixel_plan(s, Pass::data);
    if (plan.kernel == PixelKernel::mma_sync)
        return conv_bf16.backward_data(s, dy, w, dx, write, scratch, stream);
    wgmma_data(s, plan, from, filters(), to, write, stream);
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    const auto *from = static_cast<const bf16*>(x), *gradient = static_cast<const bf16*>(dy);
    auto *to = static_cast<float*>(dw), *of_bias = static_cast<float*>(dbias);
    if (on_halo(s, Pass::filter))
        return halo_filter_gradient(s, from, gradient, to, of_bias, write, scratch, stream);
    const FilterGradientPlan plan = filter_gradient_plan(s);
    if (plan.kernel == FilterKernel::mma_sync)
        return conv_bf16.backward_filter(s, x, dy, dw, dbias, write, scratch, stream);
    wgmma_filter(s, plan, from, gradient, to, write, scratch, stream);
    if (dbias) column_sums(s.y(), gradient, of_bias, write, scratch, stream);
}

}  // namespace

// The functions of conv_bf16 are called, not copied: that constant is in another file and may be initialised later.
extern const Conv conv_bf16_sm90a{
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward_data = backward_data,
    .backward_filter = backward_filter,
    .prepared_bytes = [](const ConvShape& s,
                         bool residual,
                         bool relu) { return conv_bf16.prepared_bytes(s, residual, relu); },
    .prepare = [](const ConvShape& s,
                  bool residual,
                  bool relu,
                  const par* w,
                  void* prepared,
                  Stream stream) { conv_bf16.prepare(s, residual, relu, w, prepared, stream); },
    .infer = infer,
    .moments_rows = moments_rows,
    .forward_moments = forward_moments,
    .keep_rounded = keep_rounded};

}  // namespace fp::FP_MACHINE
