#include "engine/core/ops.h"

#include "engine/core/conv_rows.h"
#include "engine/core/inference_weights.h"
#include "kernels/error.h"

namespace fp {
namespace {

std::vector<ParamUse> uses(const Param& weight, const Param* bias) {
    std::vector<ParamUse> out{{&weight, true}};
    if (bias) out.push_back({bias});
    return out;
}

par* data(const Param* p) { return p ? p->value : nullptr; }
par* grad(const Param* p) { return p ? p->grad() : nullptr; }
// A layer's bias is trained with its weight.
bool trains(const Param& weight) { return weight.trainable; }

const Conv& kernels_of(const Tape& t, const ConvShape&) { return t.kernels().conv; }
const Linear& kernels_of(const Tape& t, const LinearShape&) { return t.kernels().linear; }

// The backward of a convolution or a linear layer.
template <class Shape>
auto backward_of(const Shape& s, Var x, const Param& weight, const Param* bias) {
    return [s, x, w = &weight, bias](Tape& t, const Node& self) {
        const auto& op = kernels_of(t, s);
        void* scratch = t.scratch(op.scratch_bytes(s));
        if (trains(*w))
            op.backward_filter(s,
                               {.x = t.value(x).data,
                                .dy = self.grad.data,
                                .dw = w->grad(),
                                .dbias = grad(bias),
                                .write = t.param_write()},
                               scratch, {});
        if (const auto [dx, write] = t.grad_slot(x); dx)
            op.backward_data(s, {.dy = self.grad.data, .w = w->value, .dx = dx, .write = write}, scratch, {});
    };
}

}  // namespace

ConvShape conv_shape(const Tape& tape, Var x, const ConvLayer& layer) {
    const Map& in = tape.value(x).map;
    const Filter& w = layer.weight->shape;
    FP_CHECK(in.c == w.c, layer.name, ": input has ", in.c, " channels, weight wants ", w.c);
    const ConvShape s{.x = in, .w = w, .stride = layer.stride, .pad = layer.pad, .y_block = tape.kernels().block(w.k)};
    FP_REQUIRE(s.p() > 0 && s.q() > 0, Exit::data, layer.name, ": a map of ", in.h, "x", in.w,
               " is too small for a window of ", w.r, "x", w.s, "; use larger images");
    return s;
}

Var infer_conv(Tape& tape, Var x, const ConvLayer& layer, const Norm* norm, bool relu, Var residual) {
    const auto range = tape.range(layer.name);
    const ConvShape s = conv_shape(tape, x, layer);
    const auto& ready =
        tape.inference_weights()->find(s, *layer.weight, layer.bias, norm, {.residual = bool(residual), .relu = relu});
    const Tensor y = tape.empty(s.y());
    const Conv& conv = tape.kernels().conv;
    conv.infer(s,
               {.x = tape.value(x).data,
                .prepared = ready.filter.data(),
                .bias = ready.bias.as<par>(),
                .residual = residual ? tape.value(residual).data : nullptr,
                .relu = relu,
                .y = y.data},
               tape.scratch(conv.scratch_bytes(s)), {});
    Node node{
        .op = s, .layer = layer.name, .inputs = {x}, .value = y, .bytes = s.bytes(bytes_of(tape.kernels().activation))};
    if (residual) node.inputs.push_back(residual);
    return tape.record(std::move(node));
}

Var train_conv(Tape& tape, Var x, const ConvLayer& layer, Moments* moments) {
    const auto range = tape.range(layer.name);
    const ConvShape s = conv_shape(tape, x, layer);
    const Conv& conv = tape.kernels().conv;
    const Param *weight = layer.weight, *bias = layer.bias;
    const Tensor y = tape.empty(s.y());
    const Conv::Forward arguments{.x = tape.value(x).data, .w = weight->value, .bias = data(bias), .y = y.data};
    void* const space = tape.scratch(conv.scratch_bytes(s));
    if (moments) {
        moments->parts = conv.moments_parts(s);
        moments->data = tape.take(Moments::bytes(s.y(), moments->parts));
        conv.forward_moments(s, arguments, *moments, space, {});
    } else {
        conv.forward(s, arguments, space, {});
    }
    return tape.record({.op = s,
                        .layer = layer.name,
                        .inputs = {x},
                        .params = uses(*weight, bias),
                        .value = y,
                        .bytes = s.bytes(bytes_of(tape.kernels().activation)),
                        .needs_grad = tape.needs_grad(x) || trains(*weight),
                        .backward = backward_of(s, x, *weight, bias)});
}

Var conv2d(Tape& tape, Var x, const ConvLayer& layer) {
    if (tape.inference_weights()) return infer_conv(tape, x, layer, nullptr, false, {});
    return train_conv(tape, x, layer, nullptr);
}

Var conv_relu(Tape& tape, Var x, const ConvLayer& layer) {
    if (tape.inference_weights()) return infer_conv(tape, x, layer, nullptr, true, {});
    return relu(tape, conv2d(tape, x, layer));
}

Var relu(Tape& tape, Var x) {
    const auto range = tape.range("relu");
    const Map map = tape.value(x).map;
    const Tensor y = tape.empty(map);
    tape.kernels().relu.forward(map, {.x = tape.value(x).data, .y = y.data}, {});
    return tape.record({.op = ReluOp{},
                        .inputs = {x},
                        .value = y,
                        .bytes = 2.0 * double(map.logical()) * bytes_of(tape.kernels().activation),
                        .needs_grad = tape.needs_grad(x),
                        .backward = [map, x](Tape& t, const Node& self) {
                            const auto [dx, write] = t.grad_slot(x);
                            t.kernels().relu.backward(
                                map, {.y = self.value.data, .dy = self.grad.data, .dx = dx, .write = write}, {});
                        }});
}

Var add(Tape& tape, Var a, Var b) {
    const auto range = tape.range("add");
    const Map map = tape.value(a).map;
    FP_CHECK(map == tape.value(b).map, "add: the two inputs differ in shape: ", map.c, " and ", tape.value(b).map.c,
             " channels");
    const Tensor y = tape.empty(map);
    tape.kernels().add.forward(map, {.a = tape.value(a).data, .b = tape.value(b).data, .y = y.data}, {});
    return tape.record({.op = AddOp{},
                        .inputs = {a, b},
                        .value = y,
                        .bytes = 3.0 * double(map.logical()) * bytes_of(tape.kernels().activation),
                        .needs_grad = tape.needs_grad(a) || tape.needs_grad(b),
                        .backward = [map, a, b](Tape& t, const Node& self) {
                            for (const Var v : {a, b})
                                if (const auto [dx, write] = t.grad_slot(v); dx)
                                    t.kernels().add.accumulate(map, {.dy = self.grad.data, .dx = dx, .write = write},
                                                               {});
                        }});
}

Var maxpool(Tape& tape, Var x, const Pool& pool) {
    const auto range = tape.range("maxpool");
    const MaxPoolShape s = pool.of(tape.value(x).map);
    FP_REQUIRE(s.p() > 0 && s.q() > 0, Exit::data, "maxpool: a map of ", s.x.h, "x", s.x.w,
               " is too small for a window of ", s.window, "; use larger images");
    const Tensor y = tape.empty(s.y());
    uint8_t* argmax = nullptr;
    std::vector<void*> saved;
    if (tape.options().mode != Mode::infer && tape.needs_grad(x)) {
        argmax = static_cast<uint8_t*>(tape.take(size_t(s.y().stored())));
        saved.push_back(argmax);
    }
    tape.kernels().maxpool.forward(s, {.x = tape.value(x).data, .y = y.data, .argmax = argmax}, {});
    return tape.record({.op = s,
                        .inputs = {x},
                        .value = y,
                        .bytes = s.bytes(bytes_of(tape.kernels().activation)),
                        .needs_grad = tape.needs_grad(x),
                        .backward =
                            [s, x, argmax](Tape& t, const Node& self) {
                                const auto [dx, write] = t.grad_slot(x);
                                t.kernels().maxpool.backward(
                                    s, {.dy = self.grad.data, .argmax = argmax, .dx = dx, .write = write}, {});
                            },
                        .saved = saved});
}

Var avgpool(Tape& tape, Var x, int p, int q) {
    const auto range = tape.range("avgpool");
    const AvgPoolShape s{.x = tape.value(x).map, .p = p, .q = q};
    if (s.x.h == p && s.x.w == q) return x;
    const Tensor y = tape.empty(s.y());
    tape.kernels().avgpool.forward(s, {.x = tape.value(x).data, .y = y.data}, {});
    return tape.record({.op = s,
                        .inputs = {x},
                        .value = y,
                        .bytes = s.bytes(bytes_of(tape.kernels().activation)),
                        .needs_grad = tape.needs_grad(x),
                        .backward = [s, x](Tape& t, const Node& self) {
                            const auto [dx, write] = t.grad_slot(x);
                            t.kernels().avgpool.backward(s, {.dy = self.grad.data, .dx = dx, .write = write}, {});
                        }});
}

Var linear(Tape& tape, Var x, const Param& weight, const Param* bias, const std::string& layer) {
    const auto range = tape.range(layer);
    const Map in = tape.value(x).map;
    FP_CHECK(in.c == weight.shape.c && in.h == weight.shape.r && in.w == weight.shape.s, layer, ": input is ", in.c,
             "x", in.h, "x", in.w, ", weight wants ", weight.shape.c, "x", weight.shape.r, "x", weight.shape.s);
    const Kernels& k = tape.kernels();
    const LinearShape s{.x = in, .w = weight.shape, .y_block = k.block(weight.shape.k)};
    const Tensor y = tape.empty(s.y());
    k.linear.forward(s, {.x = tape.value(x).data, .w = weight.value, .bias = data(bias), .y = y.data},
                     tape.scratch(k.linear.scratch_bytes(s)), {});
    return tape.record({.op = s,
                        .layer = layer,
                        .inputs = {x},
                        .params = uses(weight, bias),
                        .value = y,
                        .bytes = s.bytes(bytes_of(k.activation)),
                        .needs_grad = tape.needs_grad(x) || trains(weight),
                        .backward = backward_of(s, x, weight, bias)});
}

Var dropout(Tape& tape, Var x, double p) {
    if (!tape.training() || !tape.options().dropout || p == 0) return x;
    const auto range = tape.range("dropout");
    tape.draws_random();
    const Map map = tape.value(x).map;
    // Each dropout of a step has a key of its own: its row.
    const uint64_t key = tape.options().dropout_key + 0x9E3779B97F4A7C15u * (tape.nodes().size() + 1);
    const Tensor y = tape.empty(map);
    tape.kernels().dropout.forward(map, {.p = p, .key = key, .x = tape.value(x).data, .y = y.data}, {});
    return tape.record({.op = DropoutOp{p},
                        .inputs = {x},
                        .value = y,
                        .bytes = 2.0 * double(map.logical()) * bytes_of(tape.kernels().activation),
                        .needs_grad = tape.needs_grad(x),
                        .backward = [map, p, key, x](Tape& t, const Node& self) {
                            const auto [dx, write] = t.grad_slot(x);
                            t.kernels().dropout.backward(
                                map, {.p = p, .key = key, .dy = self.grad.data, .dx = dx, .write = write}, {});
                        }});
}

}  // namespace fp
