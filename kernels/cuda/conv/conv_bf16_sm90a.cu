// Convolution in bf16 on Hopper: calls the kernel of each pass that kernels/cuda/plan/conv_choice.h names. The kernels'
// files have formulas, shapes, threads, traffic and bound.
#include <algorithm>

#include "kernels/cuda/conv/conv_halo.h"
#include "kernels/cuda/conv/conv_wgmma.h"
#include "kernels/cuda/conv/kept.cuh"
#include "kernels/cuda/walks/columns.cuh"

namespace fp::FP_MACHINE {

extern const Conv conv_bf16;

namespace {

constexpr ConvExtras kWithMoments{.moments = true};

size_t scratch_bytes(const ConvShape& s) {
    const FilterGradientPlan plan = filter_gradient_plan(s);
    return std::max(conv_bf16.scratch_bytes(s), plan.kernel == ConvKernel::halo_filter
                                                    ? halo_filter_scratch_bytes(s)
                                                    : plan.parts_bytes(s));
}

Moments::Rows moments_rows(const ConvShape& s) {
    const ConvChoice choice = conv_choice(s, Pass::forward, kWithMoments);
    if (choice.kernel == ConvKernel::tensor) return conv_bf16.moments_rows(s);
    if (choice.on_halo())
        return halo_plan(s, Pass::forward, choice, kWithMoments).sizes.tile_pixels();
    return pixel_plan(s, Pass::forward, choice).moments_rows();
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
    const ConvChoice choice = conv_choice(s, Pass::forward, kWithMoments);
    if (choice.kernel == ConvKernel::tensor)
        return conv_bf16.forward_moments(s, x, w, bias, y, moments, scratch, stream);
    const bf16* filters = rounded_weights(w, s.w.stored(), scratch, stream);
    if (choice.on_halo())
        return halo_convolution(s, halo_plan(s, Pass::forward, choice, kWithMoments), from, filters,
                                to, stream);
    wgmma_forward(s, pixel_plan(s, Pass::forward, choice), from, filters, to, stream);
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
    const ConvExtras extras{.residual = residual != nullptr};
    const ConvChoice choice = conv_choice(s, Pass::forward, extras);
    if (choice.kernel == ConvKernel::tensor)
        return conv_bf16.infer(s, x, prepared, bias, residual, relu, y, scratch, stream);
    if (choice.on_halo())
        return halo_convolution(s, halo_plan(s, Pass::forward, choice, extras), from, w, to,
                                stream);
    wgmma_forward(s, pixel_plan(s, Pass::forward, choice), from, w, to, stream);
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
    const ConvExtras extras{.residual = write == Write::add};
    const ConvChoice choice = conv_choice(s, Pass::data, extras);
    if (choice.kernel == ConvKernel::tensor)
        return conv_bf16.backward_data(s, dy, w, dx, write, scratch, stream);
    const bf16* filters = rounded_weights(w, s.w.stored(), scratch, stream);
    if (choice.on_halo())
        return halo_convolution(s, halo_plan(s, Pass::data, choice, extras), from, filters,
                                {nullptr, write == Write::add ? to : nullptr, false, to, {}},
                                stream);
    if (choice.kernel == ConvKernel::strided)
        return wgmma_strided_data(s, choice.tile, from, filters, to, write, stream);
    wgmma_data(s, pixel_plan(s, Pass::data, choice), from, filters, to, write, stream);
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
    const FilterGradientPlan plan = filter_gradient_plan(s);
    if (plan.kernel == ConvKernel::halo_filter)
        return halo_filter_gradient(s, from, gradient, to, of_bias, write, scratch, stream);
    if (plan.kernel == ConvKernel::tensor)
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
