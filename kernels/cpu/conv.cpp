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

const float* floats(const void* p) { return static_cast<const float*>(p); }
float* floats(void* p) { return static_cast<float*>(p); }

size_t bias_bytes(const ConvShape& s) {
    return size_t(round_up(s.y().stored_c() * int64_t(sizeof(float)), 64));
}

size_t scratch_bytes(const ConvShape& s) {
    size_t bytes = 0;
    const auto cover = [&](ConvCall call, const ConvOptions& o) {
        bytes = std::max(bytes, small::suits(s, call) ? small::scratch_bytes(s)
                                                      : conv_plan(s, call, o).scratch_bytes());
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

void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream) {
    if (small::suits(s, ConvCall::forward)) {
        small::forward(s, floats(x), floats(w), nullptr, {.bias = floats(bias)}, floats(y),
                       scratch);
    } else if (bias) {
        conv_plan(s, ConvCall::forward, {.bias = true})
            .run({x, w, bias, y}, Write::replace, scratch);
    } else {
        conv_plan(s, ConvCall::forward).run({x, w, y}, Write::replace, scratch);
    }
}

void backward_data(
    const ConvShape& s, const act* dy, const par* w, act* dx, Write write, void* scratch, Stream) {
    if (small::suits(s, ConvCall::backward_data)) {
        small::backward_data(s, floats(dy), floats(w), floats(dx), write, scratch);
    } else {
        conv_plan(s, ConvCall::backward_data).run({dy, w, dx}, write, scratch);
    }
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream) {
    if (small::suits(s, ConvCall::backward_filter)) {
        small::backward_filter(s, floats(x), floats(dy), floats(dw), write, scratch);
    } else {
        conv_plan(s, ConvCall::backward_filter).run({x, dy, dw}, write, scratch);
    }
    if (dbias) channel_sums(s.y(), floats(dy), floats(dbias), write);
}

const Plan& infer_plan(const ConvShape& s, bool residual, bool relu) {
    return conv_plan(s, ConvCall::infer, {.bias = true, .residual = residual, .relu = relu});
}

size_t prepared_bytes(const ConvShape& s, bool residual, bool relu) {
    if (small::suits(s, ConvCall::infer)) return small::prepared_bytes(s);
    return infer_plan(s, residual, relu).wanted(DNNL_ARG_WEIGHTS).get_size();
}

void prepare(const ConvShape& s, bool residual, bool relu, const par* w, void* prepared, Stream) {
    if (small::suits(s, ConvCall::infer)) {
        small::prepare(s, floats(w), floats(prepared));
    } else {
        onednn::reorder(onednn::desc(s.w), w,
                        infer_plan(s, residual, relu).wanted(DNNL_ARG_WEIGHTS), prepared);
    }
}

// y may be the residual itself; otherwise oneDNN, which adds to what is in y, gets it copied there first.
void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream) {
    if (small::suits(s, ConvCall::infer)) {
        small::forward(s, floats(x), nullptr, floats(prepared),
                       {.bias = floats(bias), .residual = floats(residual), .relu = relu},
                       floats(y), scratch);
        return;
    }
    if (residual && residual != y) copy_map(s.y(), floats(residual), floats(y));
    if (!bias) {
        bias = std::memset(scratch, 0, bias_bytes(s));
        scratch = static_cast<std::byte*>(scratch) + bias_bytes(s);
    }
    infer_plan(s, residual, relu).run({x, prepared, bias, y}, Write::replace, scratch);
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
