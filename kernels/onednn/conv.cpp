// Convolution by oneDNN (conv_plan.h).

#include <algorithm>
#include <cstring>

#include "kernels/onednn/conv_plan.h"
#include "kernels/onednn/maps.h"

namespace fp::onednn {
namespace {

size_t bias_bytes(const ConvShape& s) { return size_t(round_up(s.y().stored_c() * int64_t(sizeof(float)), 64)); }

size_t scratch_bytes(const ConvShape& s) {
    size_t bytes = 0;
    const auto cover = [&](ConvPass call, const ConvOptions& o) {
        bytes = std::max(bytes, conv_plan(s, call, o).scratch_bytes());
    };
    cover(ConvPass::input_gradient, {});
    cover(ConvPass::filter_gradient, {});
    for (const bool bias : {false, true}) cover(ConvPass::forward, {.bias = bias});
    for (const bool residual : {false, true}) {
        for (const bool relu : {false, true}) {
            cover(ConvPass::inference, {.bias = true, .residual = residual, .relu = relu});
        }
    }
    return bytes + bias_bytes(s);
}

void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream) {
    if (a.bias) {
        conv_plan(s, ConvPass::forward, {.bias = true}).run({a.x, a.w, a.bias, a.y}, Write::replace, scratch);
    } else {
        conv_plan(s, ConvPass::forward).run({a.x, a.w, a.y}, Write::replace, scratch);
    }
}

void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch, Stream) {
    conv_plan(s, ConvPass::input_gradient).run({a.dy, a.w, a.dx}, a.write, scratch);
}

void backward_filter(const ConvShape& s, const Conv::BackwardFilter& a, void* scratch, Stream) {
    conv_plan(s, ConvPass::filter_gradient).run({a.x, a.dy, a.dw}, a.write, scratch);
    if (a.dbias) channel_sums(s.y(), as<float>(a.dy), as<float>(a.dbias), a.write);
}

const Plan& infer_plan(const ConvShape& s, Conv::Fused fused) {
    return conv_plan(s, ConvPass::inference, {.bias = true, .residual = fused.residual, .relu = fused.relu});
}

size_t prepared_bytes(const ConvShape& s, Conv::Fused fused) {
    return infer_plan(s, fused).wanted(DNNL_ARG_WEIGHTS).get_size();
}

void prepare(const ConvShape& s, Conv::Fused fused, const par* w, void* prepared, Stream) {
    reorder(desc(s.w), w, infer_plan(s, fused).wanted(DNNL_ARG_WEIGHTS), prepared);
}

// oneDNN adds the convolution to what y holds, so the residual is copied there first, unless it is y itself.
void infer(const ConvShape& s, const Conv::Infer& a, void* scratch, Stream) {
    if (a.residual && a.residual != a.y) {
        copy_map(s.y(), as<float>(a.residual), as<float>(a.y));
    }
    const void* bias = a.bias;
    if (!bias) {
        bias = std::memset(scratch, 0, bias_bytes(s));
        scratch = static_cast<std::byte*>(scratch) + bias_bytes(s);
    }
    infer_plan(s, {.residual = a.residual != nullptr, .relu = a.relu})
        .run({a.x, a.prepared, bias, a.y}, Write::replace, scratch);
}

}  // namespace

extern const Conv conv{.scratch_bytes = scratch_bytes,
                       .forward = forward,
                       .backward_data = backward_data,
                       .backward_filter = backward_filter,
                       .prepared_bytes = prepared_bytes,
                       .prepare = prepare,
                       .infer = infer};

}  // namespace fp::onednn
