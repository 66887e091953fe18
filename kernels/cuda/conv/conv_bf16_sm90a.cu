// Convolution in bf16 on Hopper: calls, for each pass, the kernel that kernels/cuda/plan/conv_choice.h chose. The heads
// of the kernels' files have formulas, shapes, threads, traffic and bound.
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
    return std::max(conv_bf16.scratch_bytes(s),
                    plan.kernel == ConvKernel::halo_filter ? halo_filter_scratch_bytes(s) : plan.parts_bytes(s));
}

int moments_parts(const ConvShape& s) {
    const ConvChoice choice = conv_choice(s, Pass::forward, kWithMoments);
    if (choice.kernel == ConvKernel::tensor) return conv_bf16.moments_parts(s);
    if (choice.on_halo()) return halo_plan(s, Pass::forward, choice, kWithMoments).blocks;
    if (choice.kernel == ConvKernel::pixels) return tiles_down(s, choice.tile);
    return pixel_plan(s, Pass::forward, choice).stream.moments_parts();
}

// The forward pass on the chosen halo or wgmma kernel.
void convolve(
    const ConvShape& s, const ConvChoice& choice, const ConvExtras& extras, const Operands& on, Stream stream) {
    if (choice.on_halo()) return halo_convolution(s, halo_plan(s, Pass::forward, choice, extras), on, stream);
    if (choice.kernel == ConvKernel::split) return wgmma_split(s, choice, on, stream);
    wgmma_forward(s, pixel_plan(s, Pass::forward, choice), on, stream);
}

void forward_moments(const ConvShape& s, const Conv::Forward& a, const Moments& moments, void* scratch, Stream stream) {
    if (moments.data)
        FP_CHECK(moments.parts == moments_parts(s), "conv: room for ", moments.parts, " parts of moments, not for ",
                 moments_parts(s));
    const ConvChoice choice = conv_choice(s, Pass::forward, kWithMoments);
    if (choice.kernel == ConvKernel::tensor) return conv_bf16.forward_moments(s, a, moments, scratch, stream);
    const bf16* w = rounded_weights(a.w, s.w.stored(), scratch, stream);
    const auto to = Epilogue::of(Conv::Infer::of(a, w), MomentsOut::of(moments, s.y()));
    convolve(s, choice, kWithMoments, {.x = as<bf16>(a.x), .w = w, .to = to}, stream);
}

void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream stream) {
    forward_moments(s, a, {}, scratch, stream);
}

void infer(const ConvShape& s, const Conv::Infer& a, void* scratch, Stream stream) {
    const ConvExtras extras{.residual = a.residual != nullptr};
    const ConvChoice choice = conv_choice(s, Pass::forward, extras);
    if (choice.kernel == ConvKernel::tensor) return conv_bf16.infer(s, a, scratch, stream);
    const auto* w = static_cast<const bf16*>(a.prepared);
    convolve(s, choice, extras, {.x = as<bf16>(a.x), .w = w, .to = Epilogue::of(a, {})}, stream);
}

void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch, Stream stream) {
    const ConvExtras extras{.residual = a.write == Write::add};
    const ConvChoice choice = conv_choice(s, Pass::data, extras);
    if (choice.kernel == ConvKernel::tensor) return conv_bf16.backward_data(s, a, scratch, stream);
    const bf16* w = rounded_weights(a.w, s.w.stored(), scratch, stream);
    if (choice.on_halo())
        return halo_convolution(s, halo_plan(s, Pass::data, choice, extras),
                                {.x = as<bf16>(a.dy), .w = w, .to = Epilogue::of(a)}, stream);
    if (choice.kernel == ConvKernel::strided) return wgmma_strided_data(s, choice.tile, a, w, stream);
    wgmma_data(s, pixel_plan(s, Pass::data, choice), a, w, stream);
}

void backward_filter(const ConvShape& s, const Conv::BackwardFilter& a, void* scratch, Stream stream) {
    const FilterGradientPlan plan = filter_gradient_plan(s);
    if (plan.kernel == ConvKernel::halo_filter) return halo_filter_gradient(s, a, scratch, stream);
    if (plan.kernel == ConvKernel::tensor) return conv_bf16.backward_filter(s, a, scratch, stream);
    wgmma_filter(s, plan, a, scratch, stream);
    if (a.dbias) column_sums(s.y(), as<bf16>(a.dy), {as<float>(a.dbias), a.write}, scratch, stream);
}

}  // namespace

// The functions of conv_bf16 are called, not copied: that constant is in another file and may be initialised later.
extern const Conv conv_bf16_sm90a{
    .scratch_bytes = scratch_bytes,
    .forward = forward,
    .backward_data = backward_data,
    .backward_filter = backward_filter,
    .prepared_bytes = [](const ConvShape& s, Conv::Fused fused) { return conv_bf16.prepared_bytes(s, fused); },
    .prepare =
        [](const ConvShape& s, Conv::Fused fused, const par* w, void* prepared, Stream stream) {
            conv_bf16.prepare(s, fused, w, prepared, stream);
        },
    .infer = infer,
    .moments_parts = moments_parts,
    .forward_moments = forward_moments,
    .keep_rounded = keep_rounded};

}  // namespace fp::FP_MACHINE
