// oneDNN 2's Winograd F(4x4, 3x3) where it is faster (AVX-512 only), otherwise its direct convolution, by a rule.
//
// Winograd has to transform the filters, at a cost of k c whatever the number of images, and computes outputs in tiles
// of 4 x 4. On 2 cores of a Zen 4, float32, ratio of the times, direct / Winograd:
//
//   full tiles, many      56x56 64->64 n16        2.5 forward   2.5 dx   2.1 dw
//                         16x16 64->64 n128       2.1           2.1      1.7
//                         4x4 256->256 n128       1.7           1.8      2.8
//   half-empty tiles      6x6 512->512 n32        1.2           1.5      1.7
//                         5x5 512->512 n32        0.9           0.8      1.3
//   few tiles             7x7 512->512 n8         1.1           1.1      1.4
//                         8x8 256->256 n1         0.5           0.6      0.7      1.3 in inference
//   few channels          16x16 16->16 n64        0.4           0.4      1.1
//
// The same rule applies to all gradients. In inference `prepare` has already transformed the filters.
#include "kernels/onednn/conv_plan.h"

#include <algorithm>

#include "kernels/error.h"

namespace fp::onednn {
namespace {

using dnnl::algorithm;
using dnnl::prop_kind;
using Forward = dnnl::convolution_forward;
using BackwardData = dnnl::convolution_backward_data;
using BackwardFilter = dnnl::convolution_backward_weights;

// The descriptors of a shape. Activations are usually in our layout, so that only filters are reordered; oneDNN chooses
// all layouts where it has only a reference implementation for ours.
struct Layouts {
    Desc x, w, y;
};
Layouts ours(const ConvShape& s) { return {desc(s.x), desc(s.w), desc(s.y())}; }

bool winograd(const ConvShape& s, ConvPass call) {
    constexpr int kTile = 4, kFewestChannels = 32;
    const bool possible = s.w.r == 3 && s.w.s == 3 && s.stride == 1 && s.pad == 1 && s.w.c_block > 1 &&
                          std::min(s.x.stored_c(), s.y().stored_c()) >= kFewestChannels;
    const int64_t outputs = s.y().pixels();
    const int64_t covered = ceil_div(s.p(), kTile) * ceil_div(s.q(), kTile) * kTile * kTile;
    const int64_t fewest = call == ConvPass::inference ? 32 : 400;
    return possible && 2 * outputs > covered && s.x.n * outputs >= fewest;
}

// The first primitive that exists and is no reference implementation, best first.
template <class Make>
auto choose(const ConvShape& s, ConvPass call, Make make) {
    const Layouts fixed = ours(s);
    const Layouts filter_free{fixed.x, any(fixed.w), fixed.y};
    const Layouts free{any(fixed.x), any(fixed.w), any(fixed.y)};
    if (winograd(s, call)) {
        try {
            return make(algorithm::convolution_winograd, filter_free);
        } catch (const dnnl::error& e) {
            if (e.status != dnnl_unimplemented) throw;
        }
    }
    try {
        auto made = make(algorithm::convolution_direct, filter_free);
        if (!is_reference(made)) return made;
    } catch (const dnnl::error& e) {
        if (e.status != dnnl_unimplemented) throw;
    }
    return make(algorithm::convolution_direct, free);
}

Forward::primitive_desc forward_desc(
    const ConvShape& s, algorithm a, const Layouts& l, prop_kind kind, const ConvOptions& o) {
    const dnnl::memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
    const Desc bias = vector_desc(s.y().stored_c());
    const dnnl::primitive_attr with = attributes(o.residual, o.relu);
    return o.bias ? forward_primitive<Forward>(with, kind, a, l.x, l.w, bias, l.y, stride, pad, pad)
                  : forward_primitive<Forward>(with, kind, a, l.x, l.w, l.y, stride, pad, pad);
}

BackwardData::primitive_desc backward_data_desc(const ConvShape& s, algorithm a, const Layouts& l) {
    const dnnl::memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
    return backward_primitive<BackwardData>(forward_desc(s, a, l, prop_kind::forward_training, {}), a, l.x, l.w, l.y,
                                            stride, pad, pad);
}

BackwardFilter::primitive_desc backward_filter_desc(const ConvShape& s, algorithm a, const Layouts& l) {
    const dnnl::memory::dims stride{s.stride, s.stride}, pad{s.pad, s.pad};
    return backward_primitive<BackwardFilter>(forward_desc(s, a, l, prop_kind::forward_training, {}), a, l.x, l.w, l.y,
                                              stride, pad, pad);
}

}  // namespace

const Plan& conv_plan(const ConvShape& s, ConvPass call, const ConvOptions& o) {
    const Key key = key_of({0, int(call), o.bias, o.residual, o.relu, s.stride, s.pad}, s.x, s.w, s.y());
    return cached(key, [&]() -> Plan {
        const Layouts l = ours(s);
        const Desc bias = vector_desc(s.y().stored_c());
        switch (call) {
            case ConvPass::forward: {
                const auto made = choose(s, call, [&](algorithm a, const Layouts& with) {
                    return forward_desc(s, a, with, prop_kind::forward_training, o);
                });
                std::vector<Plan::Argument> arguments{{DNNL_ARG_SRC, l.x}, {DNNL_ARG_WEIGHTS, l.w}};
                if (o.bias) arguments.push_back({DNNL_ARG_BIAS, bias});
                arguments.push_back({DNNL_ARG_DST, l.y});
                return {made, arguments};
            }
            case ConvPass::input_gradient: {
                const auto made =
                    choose(s, call, [&](algorithm a, const Layouts& with) { return backward_data_desc(s, a, with); });
                return {made, {{DNNL_ARG_DIFF_DST, l.y}, {DNNL_ARG_WEIGHTS, l.w}, {DNNL_ARG_DIFF_SRC, l.x}}};
            }
            case ConvPass::filter_gradient: {
                const auto made =
                    choose(s, call, [&](algorithm a, const Layouts& with) { return backward_filter_desc(s, a, with); });
                return {made, {{DNNL_ARG_SRC, l.x}, {DNNL_ARG_DIFF_DST, l.y}, {DNNL_ARG_DIFF_WEIGHTS, l.w}}};
            }
            case ConvPass::inference: {
                const auto made = choose(s, call, [&](algorithm a, const Layouts& with) {
                    return forward_desc(s, a, with, prop_kind::forward_inference, o);
                });
                return {made,
                        {{DNNL_ARG_SRC, l.x},
                         {DNNL_ARG_WEIGHTS, made.weights_desc()},  // the layout that prepare writes
                         {DNNL_ARG_BIAS, bias},
                         {DNNL_ARG_DST, l.y}}};
            }
        }
        fail("convolution: no such call");
    });
}

}  // namespace fp::onednn
