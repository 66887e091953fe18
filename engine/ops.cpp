#include "engine/ops.h"

#include <cstdlib>

#include "engine/folded.h"
#include "kernels/error.h"

namespace fp {
namespace {

ConvShape conv_shape(const Tape& tape,
                     const Map& x,
                     const Param& weight,
                     int stride,
                     int pad,
                     const std::string& layer) {
    FP_CHECK(x.c == weight.shape.c, layer, ": input has ", x.c, " channels, weight wants ",
             weight.shape.c);
    const ConvShape s{.x = x,
                      .w = weight.shape,
                      .stride = stride,
                      .pad = pad,
                      .y_block = tape.kernels().block(weight.shape.k)};
    FP_REQUIRE(s.p() > 0 && s.q() > 0, Exit::data, layer, ": a map of ", x.h, "x", x.w,
               " is too small for a window of ", weight.shape.r, "x", weight.shape.s,
               "; use larger images");
    return s;
}

std::vector<ParamUse> uses(const Param& weight, const Param* bias) {
    std::vector<ParamUse> out{{&weight, true}};
    if (bias) out.push_back({bias});
    return out;
}

void* data(const Param* p) { return p ? p->value : nullptr; }
void* grad(const Param* p) { return p ? p->grad : nullptr; }
// A layer's bias is trained with its weight.
bool trains(const Param& weight) { return weight.trainable; }

// One kernel: convolution, folded norm if any, residual if any, ReLU if asked.
Var infer_conv(Tape& tape,
               Var x,
               const Param& weight,
               const Param* bias,
               int stride,
               int pad,
               const Norm* norm,
               bool relu,
               Var residual,
               const std::string& layer) {
    const auto range = tape.range(layer);
    const ConvShape s = conv_shape(tape, tape.value(x).map, weight, stride, pad, layer);
    const auto& ready = tape.folded()->find(s, weight, bias, norm, bool(residual), relu);
    const Tensor y = tape.empty(s.y());
    const Conv& conv = tape.kernels().conv;
    conv.infer(s, tape.value(x).data, ready.filter.data(), ready.bias.data(),
               residual ? tape.value(residual).data : nullptr, relu, y.data,
               tape.scratch(conv.scratch_bytes(s)), tape.stream());
    Node node{
        .op = "conv2d", .layer = layer, .inputs = {x}, .channels = Channels::fresh, .value = y};
    if (residual) node.inputs.push_back(residual);
    node.macs = s.macs();
    node.bytes = s.bytes(bytes_of(tape.kernels().activation));
    return tape.record(std::move(node));
}

// conv2d that keeps what backward needs; into `moments`, if given, those of its output, for its caller to give
// back to the tape.
Var plain_conv(Tape& tape,
               Var x,
               const Param& weight,
               const Param* bias,
               int stride,
               int pad,
               const std::string& layer,
               Moments* moments) {
    const auto range = tape.range(layer);
    const ConvShape s = conv_shape(tape, tape.value(x).map, weight, stride, pad, layer);
    const Conv& conv = tape.kernels().conv;
    const Tensor y = tape.empty(s.y());
    void* const space = tape.scratch(conv.scratch_bytes(s));
    if (moments) {
        moments->rows = conv.moments_rows(s);
        moments->data = tape.take(Moments::bytes(s.y(), moments->rows));
        conv.forward_moments(s, tape.value(x).data, weight.value, data(bias), y.data, *moments,
                             space, tape.stream());
    } else {
        conv.forward(s, tape.value(x).data, weight.value, data(bias), y.data, space, tape.stream());
    }
    return tape.record({.op = "conv2d",
                        .layer = layer,
                        .inputs = {x},
                        .channels = Channels::fresh,
                        .params = uses(weight, bias),
                        .value = y,
                        .stride = stride,
                        .pad = pad,
                        .macs = s.macs(),
                        .bytes = s.bytes(bytes_of(tape.kernels().activation)),
                        .needs_grad = tape.needs_grad(x) || trains(weight),
                        .backward = [s, x, w = &weight, bias](Tape& t, const Node& self) {
                            const Conv& c = t.kernels().conv;
                            void* scratch = t.scratch(c.scratch_bytes(s));
                            if (trains(*w))
                                c.backward_filter(s, t.value(x).data, self.grad.data, w->grad,
                                                  grad(bias), t.param_write(), scratch, t.stream());
                            if (const auto [dx, write] = t.grad_slot(x); dx)
                                c.backward_data(s, self.grad.data, w->value, dx, write, scratch,
                                                t.stream());
                        }});
}

// batchnorm as one row; `moments` are those of x where somebody has them.
Var fused_norm(Tape& tape,
               Var x,
               const Norm& norm,
               bool relu_after,
               Var residual,
               const std::string& layer,
               const Moments* moments) {
    const auto range = tape.range(layer);
    const Kernels& k = tape.kernels();
    const Tensor in = tape.value(x);
    BatchNormShape s{
        .x = in.map,
        .eps = norm.eps,
        .momentum = tape.options().norm_momentum > 0 ? tape.options().norm_momentum : norm.momentum,
        .relu = relu_after,
        .residual = bool(residual)};
    FP_CHECK(in.map.c == norm.gamma->shape.k, layer, ": input has ", in.map.c,
             " channels, norm has ", norm.gamma->shape.k);
    // With a residual ReLU's mask cannot be computed again from x: it is kept, a sixteenth of the map.
    s.bits = tape.training() && relu_after && residual && k.batchnorm.bits_bytes &&
             !std::getenv("FP_NO_BITS");
    const Tensor y =
        s.bits ? Tensor{tape.take(size_t(in.map.stored()) * size_t(bytes_of(k.activation)) +
                                  k.batchnorm.bits_bytes(s)),
                        in.map}
               : tape.empty(in.map);
    const void* residual_data = residual ? tape.value(residual).data : nullptr;
    void *mean = nullptr, *rstd = nullptr;
    std::vector<void*> saved;
    if (tape.training()) {
        const size_t bytes = size_t(in.map.stored_c()) * bytes_of(k.parameter);
        saved = {mean = tape.take(bytes), rstd = tape.take(bytes)};
        if (moments)
            k.batchnorm.train_on_moments(s, in.data, *moments, residual_data, norm.gamma->value,
                                         norm.beta->value, norm.running_mean->value,
                                         norm.running_var->value, y.data, mean, rstd,
                                         tape.stream());
        else
            k.batchnorm.train(s, in.data, residual_data, norm.gamma->value, norm.beta->value,
                              norm.running_mean->value, norm.running_var->value, y.data, mean, rstd,
                              tape.scratch(k.batchnorm.scratch_bytes(s)), tape.stream());
    } else {
        k.batchnorm.infer(s, in.data, residual_data, norm.gamma->value, norm.beta->value,
                          norm.running_mean->value, norm.running_var->value, y.data, tape.stream());
    }
    Node node{.op = "batchnorm",
              .layer = layer,
              .inputs = {x},
              .params = {{norm.gamma}, {norm.beta}, {norm.running_mean}, {norm.running_var}},
              .value = y,
              .eps = norm.eps,
              .bytes = moments || !tape.training() ? s.infer_bytes(bytes_of(k.activation))
                                                   : s.bytes(bytes_of(k.activation)),
              .needs_grad = tape.needs_grad(x) || norm.gamma->trainable ||
                            (residual && tape.needs_grad(residual)),
              .saved = saved};
    if (residual) node.inputs.push_back(residual);
    node.backward = [s, x, residual, norm, mean, rstd](Tape& t, const Node& self) {
        const BatchNorm& bn = t.kernels().batchnorm;
        auto into_x = t.grad_slot(x);
        void* unwanted =
            into_x.data ? nullptr : t.empty(s.x).data;  // the kernel writes dx all the same
        if (unwanted) into_x.data = unwanted;
        const auto into_residual =
            residual ? t.grad_slot(residual) : Tape::Slot{nullptr, Write::replace};
        const BatchNorm::Backward out{.dx = into_x.data,
                                      .dx_write = into_x.write,
                                      .dresidual = into_residual.data,
                                      .dresidual_write = into_residual.write,
                                      .dgamma = norm.gamma->trainable ? norm.gamma->grad : nullptr,
                                      .dbeta = norm.beta->trainable ? norm.beta->grad : nullptr,
                                      .par_write = t.param_write(),
                                      .beta = norm.beta->value};
        void* scratch = t.scratch(bn.scratch_bytes(s));
        if (mean)
            bn.backward(s, t.value(x).data, self.value.data, self.grad.data, norm.gamma->value,
                        mean, rstd, out, scratch, t.stream());
        else
            bn.backward_frozen(s, t.value(x).data, self.value.data, self.grad.data,
                               norm.gamma->value, norm.running_mean->value, norm.running_var->value,
                               out, scratch, t.stream());
        if (unwanted) t.give(unwanted);
    };
    return tape.record(std::move(node));
}

}  // namespace

Var conv2d(Tape& tape,
           Var x,
           const Param& weight,
           const Param* bias,
           int stride,
           int pad,
           const std::string& layer) {
    if (tape.folded())
        return infer_conv(tape, x, weight, bias, stride, pad, nullptr, false, {}, layer);
    return plain_conv(tape, x, weight, bias, stride, pad, layer, nullptr);
}

Var batchnorm(
    Tape& tape, Var x, const Norm& norm, bool relu_after, Var residual, const std::string& layer) {
    if (tape.options().fused || !(relu_after || residual))
        return fused_norm(tape, x, norm, relu_after, residual, layer, nullptr);
    Var y = fused_norm(tape, x, norm, false, {}, layer, nullptr);
    if (residual) y = add(tape, y, residual);
    return relu_after ? relu(tape, y) : y;
}

Var conv_norm(Tape& tape,
              Var x,
              const Param& weight,
              const Param* bias,
              int stride,
              int pad,
              const Norm& norm,
              bool relu_after,
              Var residual,
              const std::string& conv_layer,
              const std::string& norm_layer) {
    if (tape.folded())
        return infer_conv(tape, x, weight, bias, stride, pad, &norm, relu_after, residual,
                          conv_layer);
    if (!tape.training() || !tape.options().fused || !tape.kernels().conv.forward_moments)
        return batchnorm(tape, conv2d(tape, x, weight, bias, stride, pad, conv_layer), norm,
                         relu_after, residual, norm_layer);
    Moments moments;
    const Var y = plain_conv(tape, x, weight, bias, stride, pad, conv_layer, &moments);
    const Var z = fused_norm(tape, y, norm, relu_after, residual, norm_layer, &moments);
    tape.give(moments.data);
    return z;
}

Var conv_relu(Tape& tape,
              Var x,
              const Param& weight,
              const Param* bias,
              int stride,
              int pad,
              const std::string& layer) {
    if (tape.folded())
        return infer_conv(tape, x, weight, bias, stride, pad, nullptr, true, {}, layer);
    return relu(tape, conv2d(tape, x, weight, bias, stride, pad, layer));
}

Var relu(Tape& tape, Var x) {
    const auto range = tape.range("relu");
    const Map map = tape.value(x).map;
    const Tensor y = tape.empty(map);
    tape.kernels().relu.forward(map, tape.value(x).data, y.data, tape.stream());
    return tape.record({.op = "relu",
                        .inputs = {x},
                        .value = y,
                        .bytes = 2.0 * double(map.logical()) * bytes_of(tape.kernels().activation),
                        .needs_grad = tape.needs_grad(x),
                        .backward = [map, x](Tape& t, const Node& self) {
                            const auto [dx, write] = t.grad_slot(x);
                            t.kernels().relu.backward(map, self.value.data, self.grad.data, dx,
                                                      write, t.stream());
                        }});
}

Var add(Tape& tape, Var a, Var b) {
    const auto range = tape.range("add");
    const Map map = tape.value(a).map;
    FP_CHECK(map == tape.value(b).map, "add: the two inputs differ in shape: ", map.c, " and ",
             tape.value(b).map.c, " channels");
    const Tensor y = tape.empty(map);
    tape.kernels().add.forward(map, tape.value(a).data, tape.value(b).data, y.data, tape.stream());
    return tape.record({.op = "add",
                        .inputs = {a, b},
                        .value = y,
                        .bytes = 3.0 * double(map.logical()) * bytes_of(tape.kernels().activation),
                        .needs_grad = tape.needs_grad(a) || tape.needs_grad(b),
                        .backward = [map, a, b](Tape& t, const Node& self) {
                            for (const Var v : {a, b})
                                if (const auto [dx, write] = t.grad_slot(v); dx)
                                    t.kernels().add.accumulate(map, self.grad.data, dx, write,
                                                               t.stream());
                        }});
}

Var conv_norm_maxpool(Tape& tape,
                      Var x,
                      const Param& weight,
                      int stride,
                      int pad,
                      const Norm& norm,
                      int pool_window,
                      int pool_stride,
                      int pool_pad,
                      const std::string& conv_layer,
                      const std::string& norm_layer) {
    const Kernels& k = tape.kernels();
    const auto apart = [&] {
        const Var y = conv_norm(tape, x, weight, nullptr, stride, pad, norm, true, {}, conv_layer,
                                norm_layer);
        return maxpool(tape, y, pool_window, pool_stride, pool_pad);
    };
    if (!tape.training() || !tape.options().fused || !k.batchnorm.pools || !k.conv.forward_moments)
        return apart();
    const ConvShape of_conv = conv_shape(tape, tape.value(x).map, weight, stride, pad, conv_layer);
    const BatchNormShape s{
        .x = of_conv.y(),
        .eps = norm.eps,
        .momentum = tape.options().norm_momentum > 0 ? tape.options().norm_momentum : norm.momentum,
        .relu = true};
    const MaxPoolShape pool{
        .x = s.x, .window = pool_window, .stride = pool_stride, .pad = pool_pad};
    if (!k.batchnorm.pools(s, pool) || pool.p() <= 0 || pool.q() <= 0) return apart();
    Moments moments;
    const Var convolved = plain_conv(tape, x, weight, nullptr, stride, pad, conv_layer, &moments);
    const auto range = tape.range(norm_layer);
    const Tensor y = tape.empty(pool.y());
    const size_t vector = size_t(s.x.stored_c()) * size_t(bytes_of(k.parameter));
    void *mean = tape.take(vector), *rstd = tape.take(vector);
    auto* argmax = static_cast<uint8_t*>(tape.take(size_t(pool.y().stored())));
    k.batchnorm.pool_on_moments(s, pool, tape.value(convolved).data, moments, norm.gamma->value,
                                norm.beta->value, norm.running_mean->value, norm.running_var->value,
                                y.data, argmax, mean, rstd, tape.stream());
    tape.give(moments.data);
    return tape.record(
        {.op = "batchnorm",
         .layer = norm_layer,
         .inputs = {convolved},
         .params = {{norm.gamma}, {norm.beta}, {norm.running_mean}, {norm.running_var}},
         .value = y,
         .eps = norm.eps,
         .bytes = pool.bytes(bytes_of(k.activation)),
         .needs_grad = tape.needs_grad(convolved) || norm.gamma->trainable,
         .backward =
             [s, pool, convolved, norm, argmax, mean, rstd](Tape& t, const Node& self) {
                 const BatchNorm& bn = t.kernels().batchnorm;
                 auto into_x = t.grad_slot(convolved);
                 void* unwanted = into_x.data ? nullptr : t.empty(s.x).data;
                 if (unwanted) into_x.data = unwanted;
                 const BatchNorm::Backward out{
                     .dx = into_x.data,
                     .dx_write = into_x.write,
                     .dresidual = nullptr,
                     .dresidual_write = Write::replace,
                     .dgamma = norm.gamma->trainable ? norm.gamma->grad : nullptr,
                     .dbeta = norm.beta->trainable ? norm.beta->grad : nullptr,
                     .par_write = t.param_write(),
                     .beta = norm.beta->value};
                 bn.pool_backward(s, pool, t.value(convolved).data, self.grad.data, argmax,
                                  norm.gamma->value, mean, rstd, out,
                                  t.scratch(bn.pool_scratch_bytes(s, pool)), t.stream());
                 if (unwanted) t.give(unwanted);
             },
         .saved = {mean, rstd, argmax}});
}

bool pairs_norms(const Tape& tape) {
    const Kernels& k = tape.kernels();
    return tape.training() && tape.options().fused && k.batchnorm.pair_on_moments &&
           k.conv.forward_moments && !std::getenv("FP_NO_PAIR");
}

Convolved conv_moments(
    Tape& tape, Var x, const Param& weight, int stride, int pad, const std::string& layer) {
    Convolved out;
    out.y = plain_conv(tape, x, weight, nullptr, stride, pad, layer, &out.moments);
    return out;
}

Var norm_pair(Tape& tape,
              const Convolved& main,
              const Norm& first,
              const Convolved& shortcut,
              const Norm& second,
              const std::string& layer) {
    const Kernels& k = tape.kernels();
    const Convolved* convolved[2] = {&main, &shortcut};
    const Norm* norms[2] = {&first, &second};
    const auto range = tape.range(layer);
    const Map map = tape.value(main.y).map;
    FP_CHECK(map == tape.value(shortcut.y).map && first.eps == second.eps &&
                 first.momentum == second.momentum,
             layer, ": not a pair");
    const BatchNormShape s{.x = map,
                           .eps = first.eps,
                           .momentum = tape.options().norm_momentum > 0
                                           ? tape.options().norm_momentum
                                           : first.momentum,
                           .relu = true,
                           .bits = true};
    const Tensor y{tape.take(size_t(map.stored()) * size_t(bytes_of(k.activation)) +
                             k.batchnorm.bits_bytes(s)),
                   map};
    const size_t vector = size_t(map.stored_c()) * size_t(bytes_of(k.parameter));
    std::vector<void*> saved;
    BatchNorm::Half halves[2];
    BatchNorm::HalfOnMoments told[2];
    for (int i = 0; i < 2; ++i) {
        const Norm& norm = *norms[i];
        void *mean = tape.take(vector), *rstd = tape.take(vector);
        saved.insert(saved.end(), {mean, rstd});
        halves[i] = {.x = tape.value(convolved[i]->y).data,
                     .gamma = norm.gamma->value,
                     .beta = norm.beta->value,
                     .mean = mean,
                     .rstd = rstd};
        told[i] = {.moments = convolved[i]->moments,
                   .running_mean = norm.running_mean->value,
                   .running_var = norm.running_var->value};
    }
    k.batchnorm.pair_on_moments(s, halves[0], told[0], halves[1], told[1], y.data, tape.stream());
    for (const Convolved* c : convolved) tape.give(c->moments.data);
    return tape.record(
        {.op = "batchnorm",
         .layer = layer,
         .inputs = {main.y, shortcut.y},
         .params = {{first.gamma}, {first.beta}, {first.running_mean}, {first.running_var}},
         .value = y,
         .eps = s.eps,
         .bytes = 1.5 * s.infer_bytes(bytes_of(k.activation)),
         .backward =
             [s, a = halves[0], b = halves[1], of_a = main.y, of_b = shortcut.y, first, second](
                 Tape& t, const Node& self) {
                 const BatchNorm& bn = t.kernels().batchnorm;
                 const auto gradient = [&](Var v, const Norm& norm) {
                     const auto slot = t.grad_slot(v);
                     FP_CHECK(slot.data && slot.write == Write::replace, "a pair's gradient");
                     return BatchNorm::HalfGradient{
                         .dx = slot.data,
                         .dgamma = norm.gamma->trainable ? norm.gamma->grad : nullptr,
                         .dbeta = norm.beta->trainable ? norm.beta->grad : nullptr};
                 };
                 const auto to_a = gradient(of_a, first), to_b = gradient(of_b, second);
                 bn.pair_backward(s, a, b, self.value.data, self.grad.data, to_a, to_b,
                                  t.param_write(), t.scratch(bn.pair_scratch_bytes(s)), t.stream());
             },
         .saved = saved});
}

Var maxpool(Tape& tape, Var x, int window, int stride, int pad) {
    const auto range = tape.range("maxpool");
    const MaxPoolShape s{.x = tape.value(x).map, .window = window, .stride = stride, .pad = pad};
    FP_REQUIRE(s.p() > 0 && s.q() > 0, Exit::data, "maxpool: a map of ", s.x.h, "x", s.x.w,
               " is too small for a window of ", window, "; use larger images");
    const Tensor y = tape.empty(s.y());
    uint8_t* argmax = nullptr;
    std::vector<void*> saved;
    if (tape.options().mode != Mode::infer && tape.needs_grad(x)) {
        argmax = static_cast<uint8_t*>(tape.take(size_t(s.y().stored())));
        saved.push_back(argmax);
    }
    tape.kernels().maxpool.forward(s, tape.value(x).data, y.data, argmax, tape.stream());
    return tape.record({.op = "maxpool",
                        .inputs = {x},
                        .value = y,
                        .stride = stride,
                        .pad = pad,
                        .window = window,
                        .bytes = s.bytes(bytes_of(tape.kernels().activation)),
                        .needs_grad = tape.needs_grad(x),
                        .backward =
                            [s, x, argmax](Tape& t, const Node& self) {
                                const auto [dx, write] = t.grad_slot(x);
                                t.kernels().maxpool.backward(s, self.grad.data, argmax, dx, write,
                                                             t.stream());
                            },
                        .saved = saved});
}

Var avgpool(Tape& tape, Var x, int p, int q) {
    const auto range = tape.range("avgpool");
    const AvgPoolShape s{.x = tape.value(x).map, .p = p, .q = q};
    if (s.x.h == p && s.x.w == q) return x;
    const Tensor y = tape.empty(s.y());
    tape.kernels().avgpool.forward(s, tape.value(x).data, y.data, tape.stream());
    return tape.record({.op = "avgpool",
                        .inputs = {x},
                        .value = y,
                        .bytes = s.bytes(bytes_of(tape.kernels().activation)),
                        .needs_grad = tape.needs_grad(x),
                        .backward = [s, x](Tape& t, const Node& self) {
                            const auto [dx, write] = t.grad_slot(x);
                            t.kernels().avgpool.backward(s, self.grad.data, dx, write, t.stream());
                        }});
}

Var linear(Tape& tape, Var x, const Param& weight, const Param* bias, const std::string& layer) {
    const auto range = tape.range(layer);
    const Map in = tape.value(x).map;
    FP_CHECK(in.c == weight.shape.c && in.h == weight.shape.r && in.w == weight.shape.s, layer,
             ": input is ", in.c, "x", in.h, "x", in.w, ", weight wants ", weight.shape.c, "x",
             weight.shape.r, "x", weight.shape.s);
    const Kernels& k = tape.kernels();
    const LinearShape s{.x = in, .w = weight.shape, .y_block = k.block(weight.shape.k)};
    const Tensor y = tape.empty(s.y());
    k.linear.forward(s, tape.value(x).data, weight.value, data(bias), y.data,
                     tape.scratch(k.linear.scratch_bytes(s)), tape.stream());
    return tape.record(
        {.op = "linear",
         .layer = layer,
         .inputs = {x},
         .channels = Channels::fresh,
         .params = uses(weight, bias),
         .value = y,
         .macs = s.macs(),
         .bytes = s.bytes(bytes_of(k.activation)),
         .needs_grad = tape.needs_grad(x) || trains(weight),
         .backward = [s, x, w = &weight, bias](Tape& t, const Node& self) {
             const Linear& op = t.kernels().linear;
             void* scratch = t.scratch(op.scratch_bytes(s));
             if (trains(*w))
                 op.backward_filter(s, t.value(x).data, self.grad.data, w->grad, grad(bias),
                                    t.param_write(), scratch, t.stream());
             if (const auto [dx, write] = t.grad_slot(x); dx)
                 op.backward_data(s, self.grad.data, w->value, dx, write, scratch, t.stream());
         }});
}

Var dropout(Tape& tape, Var x, double p) {
    if (!tape.training() || !tape.options().dropout || p == 0) return x;
    const auto range = tape.range("dropout");
    tape.draws_from_key();
    const Map map = tape.value(x).map;
    // Each dropout of a step has a key of its own: its row.
    const uint64_t key =
        tape.options().dropout_key + 0x9E3779B97F4A7C15u * (tape.nodes().size() + 1);
    const Tensor y = tape.empty(map);
    tape.kernels().dropout.forward(map, p, key, tape.value(x).data, y.data, tape.stream());
    return tape.record({.op = "dropout",
                        .inputs = {x},
                        .value = y,
                        .bytes = 2.0 * double(map.logical()) * bytes_of(tape.kernels().activation),
                        .needs_grad = tape.needs_grad(x),
                        .backward = [map, p, key, x](Tape& t, const Node& self) {
                            const auto [dx, write] = t.grad_slot(x);
                            t.kernels().dropout.backward(map, p, key, self.grad.data, dx, write,
                                                         t.stream());
                        }});
}

}  // namespace fp
