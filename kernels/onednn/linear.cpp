// Linear layers by oneDNN's inner product.
//
// A sample is stored as one row of D = stored_c h w numbers, and the filters as a K x D matrix in tiles with the same
// order along D. A layer of any h x w is therefore one matrix product without a reorder: y (n,K) = x (n,D) W^T.
#include <algorithm>

#include "kernels/error.h"
#include "kernels/onednn/maps.h"
#include "kernels/onednn/onednn.h"

namespace fp::onednn {
namespace {

using dnnl::memory;
using dnnl::prop_kind;
using Forward = dnnl::inner_product_forward;
using BackwardData = dnnl::inner_product_backward_data;
using BackwardFilter = dnnl::inner_product_backward_weights;

enum class Call { forward, backward_data, backward_filter };

struct Matrices {
    Desc x, w, y;
};

Matrices ours(const LinearShape& s) {
    FP_CHECK(s.w.c_block == s.x.block && s.w.r == s.x.h && s.w.s == s.x.w,
             "linear: the filter is not as large as the map");
    const int d = int(s.x.stored() / s.x.n);
    const Filter matrix{.k = s.w.k, .c = d, .k_block = s.w.k_block, .c_block = s.w.c_block};
    using Tag = memory::format_tag;
    const auto type = memory::data_type::f32;
    return {Desc({s.x.n, d, 1, 1}, type, Tag::nhwc), desc(matrix), Desc({s.x.n, s.y().stored_c()}, type, Tag::nc)};
}

// Our layouts where oneDNN has an optimised primitive for them, its own choice elsewhere.
template <class Make>
auto choose(const Matrices& m, Make make) {
    try {
        auto made = make(m);
        if (!is_reference(made)) return made;
    } catch (const dnnl::error& e) {
        if (e.status != dnnl_unimplemented) throw;
    }
    return make({m.x, any(m.w), m.y});
}

Forward::primitive_desc forward_desc(const Matrices& m, bool bias) {
    const auto kind = prop_kind::forward_training;
    const Desc b = vector_desc(int(dims(m.y)[1]));
    return bias ? forward_primitive<Forward>(attributes(), kind, m.x, m.w, b, m.y)
                : forward_primitive<Forward>(attributes(), kind, m.x, m.w, m.y);
}

const Plan& plan(const LinearShape& s, Call call, bool bias = false) {
    const Key key = key_of({1, int(call), bias}, s.x, s.w, s.y());
    return cached(key, [&]() -> Plan {
        const Matrices m = ours(s);
        switch (call) {
            case Call::forward: {
                const auto made = choose(m, [&](const Matrices& with) { return forward_desc(with, bias); });
                std::vector<Plan::Argument> arguments{{DNNL_ARG_SRC, m.x}, {DNNL_ARG_WEIGHTS, m.w}};
                if (bias) {
                    arguments.push_back({DNNL_ARG_BIAS, vector_desc(s.y().stored_c())});
                }
                arguments.push_back({DNNL_ARG_DST, m.y});
                return {made, arguments};
            }
            case Call::backward_data: {
                const auto made = choose(m, [&](const Matrices& with) {
                    return backward_primitive<BackwardData>(forward_desc(with, false), with.x, with.w, with.y);
                });
                return {made, {{DNNL_ARG_DIFF_DST, m.y}, {DNNL_ARG_WEIGHTS, m.w}, {DNNL_ARG_DIFF_SRC, m.x}}};
            }
            case Call::backward_filter: {
                const auto made = choose(m, [&](const Matrices& with) {
                    return backward_primitive<BackwardFilter>(forward_desc(with, false), with.x, with.w, with.y);
                });
                return {made, {{DNNL_ARG_SRC, m.x}, {DNNL_ARG_DIFF_DST, m.y}, {DNNL_ARG_DIFF_WEIGHTS, m.w}}};
            }
        }
        fail("linear: no such call");
    });
}

size_t scratch_bytes(const LinearShape& s) {
    return std::max({plan(s, Call::forward, false).scratch_bytes(), plan(s, Call::forward, true).scratch_bytes(),
                     plan(s, Call::backward_data).scratch_bytes(), plan(s, Call::backward_filter).scratch_bytes()});
}

void forward(const LinearShape& s, const Linear::Forward& a, void* scratch, Stream) {
    if (a.bias) {
        plan(s, Call::forward, true).run({a.x, a.w, a.bias, a.y}, Write::replace, scratch);
    } else {
        plan(s, Call::forward).run({a.x, a.w, a.y}, Write::replace, scratch);
    }
}

void backward_data(const LinearShape& s, const Linear::BackwardData& a, void* scratch, Stream) {
    plan(s, Call::backward_data).run({a.dy, a.w, a.dx}, a.write, scratch);
}

void backward_filter(const LinearShape& s, const Linear::BackwardFilter& a, void* scratch, Stream) {
    plan(s, Call::backward_filter).run({a.x, a.dy, a.dw}, a.write, scratch);
    if (a.dbias) channel_sums(s.y(), as<float>(a.dy), as<float>(a.dbias), a.write);
}

}  // namespace

extern const Linear linear{.scratch_bytes = scratch_bytes,
                           .forward = forward,
                           .backward_data = backward_data,
                           .backward_filter = backward_filter};

}  // namespace fp::onednn
