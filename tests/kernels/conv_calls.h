// Convolutions as tests call them: a case, its inputs, and what each pass answers on a backend.
#pragma once

#include "tests/kernels/compare.h"

namespace fp::testing {

struct ConvCase {
    const char* name;
    Map x;
    int k, window, stride, pad;
    bool image = false;  // the input is an image, in its own layout and without a gradient
};

struct Inputs {
    Values x, w, bias{}, residual{}, dy{}, dx_before{}, dw_before{}, dbias_before{};
};

inline ConvShape shape_on(const Device& on, const ConvCase& c) {
    const Map x = c.image ? on.image(c.x) : on.map(c.x);
    return {.x = x,
            .w = on.k.filter(c.k, c.x.c, c.window, c.window, x.block),
            .stride = c.stride,
            .pad = c.pad,
            .y_block = on.k.block(c.k)};
}

inline Inputs random_inputs(const ConvCase& c, Type activation, Type parameter) {
    const ConvShape s = shape_on({exact()}, c);
    return {.x = random_values(s.x.logical(), 1, activation),
            .w = random_values(s.w.logical(), 2, parameter),
            .bias = random_values(s.w.k, 3, parameter),
            .residual = random_values(s.y().logical(), 4, activation),
            .dy = random_values(s.y().logical(), 5, activation),
            .dx_before = random_values(s.x.logical(), 6, activation),
            .dw_before = random_values(s.w.logical(), 7, parameter),
            .dbias_before = random_values(s.w.k, 8, parameter)};
}

inline Values forward(const Kernels& k, const ConvCase& c, const Inputs& in, bool bias) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
    const Tensor b = on.par_in(on.channels(s.w.k), in.bias), y = on.act_out(s.y());
    k.conv.forward(s, x, w, b.if_given(bias), y, scratch.data(), {});
    return y.values();
}

inline Values infer(
    const Kernels& k, const ConvCase& c, const Inputs& in, bool bias, bool residual, bool relu) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Buffer prepared(k, k.conv.prepared_bytes(s, residual, relu));
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
    const Tensor b = on.par_in(on.channels(s.w.k), in.bias), z = on.act_in(s.y(), in.residual);
    const Tensor y = on.act_out(s.y());
    k.conv.prepare(s, residual, relu, w, prepared.data(), {});
    k.conv.infer(s, x, prepared.data(), b.if_given(bias), z.if_given(residual), relu, y,
                 scratch.data(), {});
    return y.values();
}

inline Values backward_data(const Kernels& k, const ConvCase& c, const Inputs& in, Write write) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Tensor dy = on.act_in(s.y(), in.dy), w = on.par_in(s.w, in.w);
    const Tensor dx = on.act_grad(s.x, write, in.dx_before);
    k.conv.backward_data(s, dy, w, dx, write, scratch.data(), {});
    return dx.values();
}

struct FilterGradient {
    Values dw, dbias;
};

inline FilterGradient backward_filter(
    const Kernels& k, const ConvCase& c, const Inputs& in, bool bias, Write write) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), dy = on.act_in(s.y(), in.dy);
    const Tensor dw = on.par_grad(s.w, write, in.dw_before);
    const Tensor dbias = on.par_grad(on.channels(s.w.k), write, in.dbias_before);
    k.conv.backward_filter(s, x, dy, dw, dbias.if_given(bias), write, scratch.data(), {});
    return {dw.values(), bias ? dbias.values() : Values()};
}

}  // namespace fp::testing
