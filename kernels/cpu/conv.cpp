// Convolution on oneDNN: Winograd F(4x4, 3x3) (Lavin and Gray, 2015, https://arxiv.org/abs/1509.09308 )
// where it is faster, direct elsewhere.
#include "kernels/cpu/conv.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cpu/channels.h"
#include "kernels/cpu/onednn.h"
#include "kernels/error.h"

namespace fp::cpu {
namespace {

using dnnl::algorithm;
using dnnl::prop_kind;
using onednn::any;
using onednn::Desc;
using onednn::Plan;
using Forward = dnnl::convolution_forward;
using BackwardData = dnnl::convolution_backward_data;
using BackwardFilter = dnnl::convolution_backward_weights;

struct Options {
    bool bias = false, residual = false, relu = false;
};

// The descriptors of a shape. Activations in our layout as a rule, so that nothing is reordered but
// filters; all free where oneDNN has nothing but reference loops for it.
struct Layouts {
    Desc x, w, y;
};
Layouts ours(const ConvShape& s) {
    return {onednn::desc(s.x), onednn::desc(s.w), onednn::desc(s.y())};
}

bool winograd(const ConvShape& s) {
    return s.w.r == 3 && s.w.s == 3 && s.stride == 1 && s.pad == 1 && s.x.block > 1 && s.p() > 2 &&
           s.q() > 2;
}

// The first that exists and is no reference loop, best first.
template <class Make>
auto choose(const ConvShape& s, Make make) {
    const Layouts fixed = ours(s);
    const Layouts filter_free{fixed.x, any(fixed.w), fixed.y};
    const Layouts free{any(fixed.x), any(fixed.w), any(fixed.y)};
    if (winograd(s)) {
        try {
            return make(algorithm::convolution_winograd, filter_free);
        } catch (const dnnl::error& e) {
            if (e.status != dnnl_unimplemented) throw;
        }
    }
    try {
        auto made = make(algorithm::convolution_direct, filter_free);
        if (!onednn::is_reference(made)) return made;
    } catch (const dnnl::error& e) {
        if (e.status != dnnl_unimplemented) throw;
    }
    return make(algorithm::convolution_direct, free);
}

Forward::primitive_desc forward_desc(
    const ConvShape& s, algorithm a, const Layouts& l, prop_kind kind, const Options& o) {
    const dnnl::memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
    const Desc bias = onednn::vector_desc(s.y().stored_c());
    const auto wish = o.bias ? Forward::desc(kind, a, l.x, l.w, bias, l.y, stride, pad, pad)
                             : Forward::desc(kind, a, l.x, l.w, l.y, stride, pad, pad);
    return {wish, onednn::attributes(o.residual, o.relu), onednn::engine()};
}

BackwardData::primitive_desc backward_data_desc(const ConvShape& s, algorithm a, const Layouts& l) {
    const dnnl::memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
    return {BackwardData::desc(a, l.x, l.w, l.y, stride, pad, pad), onednn::attributes(),
            onednn::engine(), forward_desc(s, a, l, prop_kind::forward_training, {})};
}

BackwardFilter::primitive_desc backward_filter_desc(const ConvShape& s,
                                                    algorithm a,
                                                    const Layouts& l) {
    const dnnl::memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
    return {BackwardFilter::desc(a, l.x, l.w, l.y, stride, pad, pad), onednn::attributes(),
            onednn::engine(), forward_desc(s, a, l, prop_kind::forward_training, {})};
}

const Plan& plan(const ConvShape& s, ConvCall call, const Options& o = {}) {
    const onednn::Key key = onednn::key_of(
        {0, int(call), o.bias, o.residual, o.relu, s.stride, s.pad}, s.x, s.w, s.y());
    return onednn::cached(key, [&]() -> Plan {
        const Layouts l = ours(s);
        const Desc bias = onednn::vector_desc(s.y().stored_c());
        switch (call) {
            case ConvCall::forward: {
                const auto made = choose(s, [&](algorithm a, const Layouts& with) {
                    return forward_desc(s, a, with, prop_kind::forward_training, o);
                });
                std::vector<Plan::Argument> arguments{{DNNL_ARG_SRC, l.x}, {DNNL_ARG_WEIGHTS, l.w}};
                if (o.bias) arguments.push_back({DNNL_ARG_BIAS, bias});
                arguments.push_back({DNNL_ARG_DST, l.y});
                return {made, arguments};
            }
            case ConvCall::backward_data: {
                const auto made = choose(s, [&](algorithm a, const Layouts& with) {
                    return backward_data_desc(s, a, with);
                });
                return {
                    made,
                    {{DNNL_ARG_DIFF_DST, l.y}, {DNNL_ARG_WEIGHTS, l.w}, {DNNL_ARG_DIFF_SRC, l.x}}};
            }
            case ConvCall::backward_filter: {
                const auto made = choose(s, [&](algorithm a, const Layouts& with) {
                    return backward_filter_desc(s, a, with);
                });
                return {
                    made,
                    {{DNNL_ARG_SRC, l.x}, {DNNL_ARG_DIFF_DST, l.y}, {DNNL_ARG_DIFF_WEIGHTS, l.w}}};
            }
            case ConvCall::infer: {
                const auto made = choose(s, [&](algorithm a, const Layouts& with) {
                    return forward_desc(s, a, with, prop_kind::forward_inference, o);
                });
                return {made,
                        {{DNNL_ARG_SRC, l.x},
                         {DNNL_ARG_WEIGHTS, made.weights_desc()},  // laid out by prepare
                         {DNNL_ARG_BIAS, bias},
                         {DNNL_ARG_DST, l.y}}};
            }
        }
        fail("convolution: no such call");
    });
}

const Plan& infer_plan(const ConvShape& s, bool residual, bool relu) {
    return plan(s, ConvCall::infer, {.bias = true, .residual = residual, .relu = relu});
}

size_t bias_bytes(const ConvShape& s) {
    return size_t(round_up(s.y().stored_c() * int64_t(sizeof(float)), 64));
}

size_t scratch_bytes(const ConvShape& s) {
    size_t bytes = 0;
    const auto cover = [&](const Plan& p) { bytes = std::max(bytes, p.scratch_bytes()); };
    for (const bool bias : {false, true}) cover(plan(s, ConvCall::forward, {.bias = bias}));
    cover(plan(s, ConvCall::backward_data));
    cover(plan(s, ConvCall::backward_filter));
    for (const bool residual : {false, true}) {
        for (const bool relu : {false, true}) cover(infer_plan(s, residual, relu));
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
    if (bias) {
        plan(s, ConvCall::forward, {.bias = true}).run({x, w, bias, y}, Write::replace, scratch);
    } else {
        plan(s, ConvCall::forward).run({x, w, y}, Write::replace, scratch);
    }
}

void backward_data(
    const ConvShape& s, const act* dy, const par* w, act* dx, Write write, void* scratch, Stream) {
    plan(s, ConvCall::backward_data).run({dy, w, dx}, write, scratch);
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream) {
    plan(s, ConvCall::backward_filter).run({x, dy, dw}, write, scratch);
    if (dbias) {
        channel_sums(s.y(), static_cast<const float*>(dy), static_cast<float*>(dbias), write);
    }
}

size_t prepared_bytes(const ConvShape& s, bool residual, bool relu) {
    return infer_plan(s, residual, relu).wanted(DNNL_ARG_WEIGHTS).get_size();
}

void prepare(const ConvShape& s, bool residual, bool relu, const par* w, void* prepared, Stream) {
    onednn::reorder(onednn::desc(s.w), w, infer_plan(s, residual, relu).wanted(DNNL_ARG_WEIGHTS),
                    prepared);
}

// y may be the residual itself; otherwise the residual is copied there first and the convolution added.
void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream) {
    if (residual && residual != y) {
        copy_map(s.y(), static_cast<const float*>(residual), static_cast<float*>(y));
    }
    if (!bias) {
        bias = std::memset(scratch, 0, bias_bytes(s));
        scratch = static_cast<std::byte*>(scratch) + bias_bytes(s);
    }
    infer_plan(s, residual, relu).run({x, prepared, bias, y}, Write::replace, scratch);
}

}  // namespace

const std::string& implementation(const ConvShape& s, ConvCall call) {
    return plan(s, call, {.bias = call == ConvCall::infer}).implementation();
}

extern const Conv conv{.scratch_bytes = scratch_bytes,
                       .forward = forward,
                       .backward_data = backward_data,
                       .backward_filter = backward_filter,
                       .prepared_bytes = prepared_bytes,
                       .prepare = prepare,
                       .infer = infer};

}  // namespace fp::cpu
