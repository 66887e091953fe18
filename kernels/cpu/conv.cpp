// Convolution: on small maps by bilinear forms (conv_small.h), elsewhere on oneDNN (conv_plan.h).
#include "kernels/cpu/conv.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/channels.h"
#include "kernels/cpu/conv_plan.h"
#include "kernels/cpu/conv_small.h"

namespace fp::cpu {
namespace {

using onednn::Plan;

size_t bias_bytes(const ConvShape& s) { return size_t(round_up(s.y().stored_c() * int64_t(sizeof(float)), 64)); }

size_t scratch_bytes(const ConvShape& s) {
    size_t bytes = 0;
    const auto cover = [&](ConvCall call, const ConvOptions& o) {
        bytes =
            std::max(bytes, small::suits(s, call) ? small::scratch_bytes(s) : conv_plan(s, call, o).scratch_bytes());
    };
    cover(ConvCall::backward_data, {});
    cover(ConvCall::backward_filter, {});
    for (const bool bias : {false, true}) cover(ConvCall::forward, {.bias = bias});
    for (const bool residual : {false, true}) {
        for (const bool relu : {false, true}) {
            cover(ConvCall::infer, {.bias = true, .residual = residual, .relu = relu});
        }
    }
    return bytes + bias_bytes(s);
}

void forward(const ConvShape& s, const Conv::Forward& a, void* scratch, Stream) {
    if (small::suits(s, ConvCall::forward)) {
        small::forward(s, a, scratch);
    } else if (a.bias) {
        conv_plan(s, ConvCall::forward, {.bias = true}).run({a.x, a.w, a.bias, a.y}, Write::replace, scratch);
    } else {
        conv_plan(s, ConvCall::forward).run({a.x, a.w, a.y}, Write::replace, scratch);
    }
}

void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch, Stream) {
    if (small::suits(s, ConvCall::backward_data)) {
        small::backward_data(s, a, scratch);
    } else {
        conv_plan(s, ConvCall::backward_data).run({a.dy, a.w, a.dx}, a.write, scratch);
    }
}

void backward_filter(const ConvShape& s, const Conv::BackwardFilter& a, void* scratch, Stream) {
    if (small::suits(s, ConvCall::backward_filter)) {
        small::backward_filter(s, a, scratch);
    } else {
        conv_plan(s, ConvCall::backward_filter).run({a.x, a.dy, a.dw}, a.write, scratch);
    }
    if (a.dbias) channel_sums(s.y(), as<float>(a.dy), as<float>(a.dbias), a.write);
}

const Plan& infer_plan(const ConvShape& s, Conv::Fused fused) {
    return conv_plan(s, ConvCall::infer, {.bias = true, .residual = fused.residual, .relu = fused.relu});
}

size_t prepared_bytes(const ConvShape& s, Conv::Fused fused) {
    if (small::suits(s, ConvCall::infer)) return small::prepared_bytes(s);
    return infer_plan(s, fused).wanted(DNNL_ARG_WEIGHTS).get_size();
}

void prepare(const ConvShape& s, Conv::Fused fused, const par* w, void* prepared, Stream) {
    if (small::suits(s, ConvCall::infer)) {
        small::prepare(s, as<float>(w), static_cast<float*>(prepared));
    } else {
        onednn::reorder(onednn::desc(s.w), w, infer_plan(s, fused).wanted(DNNL_ARG_WEIGHTS), prepared);
    }
}

// oneDNN adds the convolution to what y holds, so the residual is copied there first, unless it is y itself.
void infer(const ConvShape& s, const Conv::Infer& a, void* scratch, Stream) {
    if (small::suits(s, ConvCall::infer)) return small::infer(s, a, scratch);
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

std::string implementation(const ConvShape& s, ConvCall call) {
    if (small::suits(s, call)) return "bilinear";
    return conv_plan(s, call, {.bias = call == ConvCall::infer}).implementation();
}

extern const Conv conv{.scratch_bytes = scratch_bytes,
                       .forward = forward,
                       .backward_data = backward_data,
                       .backward_filter = backward_filter,
                       .prepared_bytes = prepared_bytes,
                       .prepare = prepare,
                       .infer = infer};

}  // namespace fp::cpu
