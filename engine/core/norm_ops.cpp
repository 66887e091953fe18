// Batch norm, and what a backend can run in one kernel with it: addition and ReLU, the max pool behind a stem, the
// norm of a shortcut.
#include "engine/core/conv_rows.h"
#include "kernels/error.h"

namespace fp {
namespace {

bool fuses(const Tape& tape) { return tape.options().rows != Rows::each_op; }

// Whether convolutions take the statistics of the norms behind them.
bool norms_on_moments(const Tape& tape) {
    return tape.training() && fuses(tape) && tape.kernels().conv.forward_moments;
}

BatchNormShape norm_shape(const Tape& tape, const Map& x, const Norm& norm) {
    FP_CHECK(x.c == norm.gamma->shape.k, norm.name, ": input has ", x.c, " channels, norm has ",
             norm.gamma->shape.k);
    const double momentum = tape.options().norm_momentum;
    return {.x = x, .eps = norm.eps, .momentum = momentum > 0 ? momentum : norm.momentum};
}

std::vector<ParamUse> uses(const Norm& norm) {
    return {{norm.gamma}, {norm.beta}, {norm.running_mean}, {norm.running_var}};
}

void* trained_grad(const Param* p) { return p->trainable ? p->grad : nullptr; }

// Mean or rstd of a map's channels.
void* take_vector(Tape& tape, const Map& map) {
    return tape.take(size_t(map.stored_c()) * size_t(bytes_of(tape.kernels().parameter)));
}

// A map with what says where it is above 0 behind it (BatchNormShape::bits).
Tensor map_with_bits(Tape& tape, const BatchNormShape& s) {
    const Kernels& k = tape.kernels();
    const size_t bytes = size_t(s.x.stored()) * size_t(bytes_of(k.activation));
    return {tape.take(bytes + k.batchnorm.bits_bytes(s)), s.x};
}

// Where a kernel writes the gradient dx of a row, which it always computes: in place, or in memory of its own where
// nobody wants the gradient, or where there is one already and the kernel cannot add to it. finish() follows the
// kernel.
class Dx {
public:
    Dx(Tape& tape, Var row, bool kernel_adds)
        : tape_(tape), map_(tape.value(row).map), slot_(tape.grad_slot(row)) {
        if (!slot_.data || (slot_.write == Write::add && !kernel_adds))
            own_ = tape.empty(map_).data;
    }
    void* data() const { return own_ ? own_ : slot_.data; }
    Write write() const { return own_ ? Write::replace : slot_.write; }
    void finish() {
        if (!own_) return;
        if (slot_.data)
            tape_.kernels().add.accumulate(map_, own_, slot_.data, slot_.write, tape_.stream());
        tape_.give(own_);
    }

private:
    Tape& tape_;
    Map map_;
    Tape::Slot slot_;
    void* own_ = nullptr;
};

// Norm, addition and ReLU as one row; `moments` are those of x where the convolution left them.
Var fused_norm(
    Tape& tape, Var x, const Norm& norm, bool relu, Var residual, const Moments* moments) {
    const auto range = tape.range(norm.name);
    const Kernels& k = tape.kernels();
    const Tensor in = tape.value(x);
    BatchNormShape s = norm_shape(tape, in.map, norm);
    s.relu = relu;
    s.residual = bool(residual);
    // With a residual ReLU's mask cannot be computed again from x.
    s.bits = tape.training() && relu && residual && k.batchnorm.bits_bytes;
    const Tensor y = s.bits ? map_with_bits(tape, s) : tape.empty(in.map);
    const void* residual_data = residual ? tape.value(residual).data : nullptr;
    const Param *gamma = norm.gamma, *beta = norm.beta;
    const Param *running_mean = norm.running_mean, *running_var = norm.running_var;
    void *mean = nullptr, *rstd = nullptr;
    std::vector<void*> saved;
    if (tape.training()) {
        saved = {mean = take_vector(tape, in.map), rstd = take_vector(tape, in.map)};
        if (moments)
            k.batchnorm.train_on_moments(s, in.data, *moments, residual_data, gamma->value,
                                         beta->value, running_mean->value, running_var->value,
                                         y.data, mean, rstd, tape.stream());
        else
            k.batchnorm.train(s, in.data, residual_data, gamma->value, beta->value,
                              running_mean->value, running_var->value, y.data, mean, rstd,
                              tape.scratch(k.batchnorm.scratch_bytes(s)), tape.stream());
    } else {
        k.batchnorm.infer(s, in.data, residual_data, gamma->value, beta->value, running_mean->value,
                          running_var->value, y.data, tape.stream());
    }
    Node node{.op = s,
              .layer = norm.name,
              .inputs = {x},
              .params = uses(norm),
              .value = y,
              .bytes = moments || !tape.training() ? s.infer_bytes(bytes_of(k.activation))
                                                   : s.bytes(bytes_of(k.activation)),
              .needs_grad =
                  tape.needs_grad(x) || gamma->trainable || (residual && tape.needs_grad(residual)),
              .saved = saved};
    if (residual) node.inputs.push_back(residual);
    node.backward = [s, x, residual, gamma, beta, running_mean, running_var, mean, rstd](
                        Tape& t, const Node& self) {
        const BatchNorm& bn = t.kernels().batchnorm;
        Dx dx(t, x, true);
        const auto into_residual =
            residual ? t.grad_slot(residual) : Tape::Slot{nullptr, Write::replace};
        const BatchNorm::Backward out{.dx = dx.data(),
                                      .dx_write = dx.write(),
                                      .dresidual = into_residual.data,
                                      .dresidual_write = into_residual.write,
                                      .dgamma = trained_grad(gamma),
                                      .dbeta = trained_grad(beta),
                                      .par_write = t.param_write(),
                                      .beta = beta->value};
        void* scratch = t.scratch(bn.scratch_bytes(s));
        if (mean)
            bn.backward(s, t.value(x).data, self.value.data, self.grad.data, gamma->value, mean,
                        rstd, out, scratch, t.stream());
        else
            bn.backward_frozen(s, t.value(x).data, self.value.data, self.grad.data, gamma->value,
                               running_mean->value, running_var->value, out, scratch, t.stream());
        dx.finish();
    };
    return tape.record(std::move(node));
}

// One side of a batchnorm_pair, and where its gradient goes.
struct Side {
    Var x;
    const Norm& norm;
    const Moments& moments;

    BatchNorm::Half half(Tape& tape) const {
        const Tensor in = tape.value(x);
        return {.x = in.data,
                .gamma = norm.gamma->value,
                .beta = norm.beta->value,
                .mean = take_vector(tape, in.map),
                .rstd = take_vector(tape, in.map)};
    }
    BatchNorm::HalfOnMoments on_moments() const {
        return {.moments = moments,
                .running_mean = norm.running_mean->value,
                .running_var = norm.running_var->value};
    }
    bool needs_grad(const Tape& tape) const { return tape.needs_grad(x) || norm.gamma->trainable; }
};

// relu(norm(x) + norm'(x')), x' being a shortcut's convolution.
Var norm_pair(
    Tape& tape, Var x, const Norm& norm, const Moments& moments, const Residual& shortcut) {
    const auto range = tape.range(norm.name);
    const Kernels& k = tape.kernels();
    const Side main{x, norm, moments}, other{shortcut.convolved, *shortcut.norm, shortcut.moments};
    BatchNormShape s = norm_shape(tape, tape.value(x).map, norm);
    FP_CHECK(s == norm_shape(tape, tape.value(other.x).map, other.norm), norm.name, " and ",
             other.norm.name, ": norms that differ in shape, eps or momentum are no pair");
    s.relu = s.bits = true;
    const Tensor y = map_with_bits(tape, s);
    const BatchNorm::Half a = main.half(tape), b = other.half(tape);
    k.batchnorm.pair_on_moments(s, a, main.on_moments(), b, other.on_moments(), y.data,
                                tape.stream());
    return tape.record({.op = NormPairOp{s},
                        .layer = norm.name,
                        .inputs = {x, shortcut.value},
                        .params = uses(norm),
                        .value = y,
                        .bytes = 3.0 * double(s.x.logical()) * bytes_of(k.activation),
                        .needs_grad = main.needs_grad(tape) || other.needs_grad(tape),
                        .backward =
                            [s, a, b, of_a = main.x, of_b = other.x, gamma = norm.gamma,
                             beta = norm.beta, other_gamma = other.norm.gamma,
                             other_beta = other.norm.beta](Tape& t, const Node& self) {
                                const BatchNorm& bn = t.kernels().batchnorm;
                                Dx to_a(t, of_a, false), to_b(t, of_b, false);
                                bn.pair_backward(s, a, b, self.value.data, self.grad.data,
                                                 {.dx = to_a.data(),
                                                  .dgamma = trained_grad(gamma),
                                                  .dbeta = trained_grad(beta)},
                                                 {.dx = to_b.data(),
                                                  .dgamma = trained_grad(other_gamma),
                                                  .dbeta = trained_grad(other_beta)},
                                                 t.param_write(),
                                                 t.scratch(bn.pair_scratch_bytes(s)), t.stream());
                                to_a.finish();
                                to_b.finish();
                            },
                        .saved = {a.mean, a.rstd, b.mean, b.rstd}});
}

}  // namespace

Var batchnorm(Tape& tape, Var x, const Norm& norm, bool relu_after, Var residual) {
    if (fuses(tape)) return fused_norm(tape, x, norm, relu_after, residual, nullptr);
    Var y = fused_norm(tape, x, norm, false, {}, nullptr);
    if (residual) y = add(tape, y, residual);
    return relu_after ? relu(tape, y) : y;
}

Var conv_norm(Tape& tape,
              Var x,
              const ConvLayer& layer,
              const Norm& norm,
              bool relu_after,
              const Residual& residual) {
    if (tape.inference_weights())
        return infer_conv(tape, x, layer, &norm, relu_after, residual.value);
    if (!norms_on_moments(tape))
        return batchnorm(tape, conv2d(tape, x, layer), norm, relu_after, residual.value);
    Moments moments;
    const Var y = train_conv(tape, x, layer, &moments);
    Var z;
    if (residual.norm) {
        FP_CHECK(relu_after, norm.name, ": a pair of norms ends in ReLU");
        z = norm_pair(tape, y, norm, moments, residual);
        tape.give(residual.moments.data);
    } else {
        z = fused_norm(tape, y, norm, relu_after, residual.value, &moments);
    }
    tape.give(moments.data);
    return z;
}

Residual conv_norm_shortcut(Tape& tape, Var x, const ConvLayer& layer, const Norm& norm) {
    if (!norms_on_moments(tape) || !tape.kernels().batchnorm.pair_on_moments)
        return conv_norm(tape, x, layer, norm, false);
    Residual out;
    out.norm = &norm;
    out.convolved = train_conv(tape, x, layer, &out.moments);
    const Map& map = tape.value(out.convolved).map;
    out.value = tape.record({.op = PairedNormOp{norm_shape(tape, map, norm)},
                             .layer = norm.name,
                             .inputs = {out.convolved},
                             .params = uses(norm),
                             .value = {nullptr, map},
                             .needs_grad = false});
    return out;
}

Var conv_norm_maxpool(
    Tape& tape, Var x, const ConvLayer& layer, const Norm& norm, const Pool& window) {
    const Kernels& k = tape.kernels();
    const auto apart = [&] { return maxpool(tape, conv_norm(tape, x, layer, norm, true), window); };
    if (!norms_on_moments(tape) || tape.options().rows != Rows::fewest || !k.batchnorm.pools)
        return apart();
    BatchNormShape s = norm_shape(tape, conv_shape(tape, x, layer).y(), norm);
    s.relu = true;
    const MaxPoolShape pool = window.of(s.x);
    if (pool.p() <= 0 || pool.q() <= 0 || !k.batchnorm.pools(s, pool)) return apart();
    Moments moments;
    const Var convolved = train_conv(tape, x, layer, &moments);
    const auto range = tape.range(norm.name);
    const Tensor y = tape.empty(pool.y());
    void *mean = take_vector(tape, s.x), *rstd = take_vector(tape, s.x);
    auto* argmax = static_cast<uint8_t*>(tape.take(size_t(pool.y().stored())));
    const Param *gamma = norm.gamma, *beta = norm.beta;
    k.batchnorm.pool_on_moments(s, pool, tape.value(convolved).data, moments, gamma->value,
                                beta->value, norm.running_mean->value, norm.running_var->value,
                                y.data, argmax, mean, rstd, tape.stream());
    tape.give(moments.data);
    return tape.record(
        {.op = NormPoolOp{s, pool},
         .layer = norm.name,
         .inputs = {convolved},
         .params = uses(norm),
         .value = y,
         .bytes = pool.bytes(bytes_of(k.activation)),
         .needs_grad = tape.needs_grad(convolved) || gamma->trainable,
         .backward =
             [s, pool, convolved, gamma, beta, argmax, mean, rstd](Tape& t, const Node& self) {
                 const BatchNorm& bn = t.kernels().batchnorm;
                 Dx dx(t, convolved, false);
                 const BatchNorm::Backward out{.dx = dx.data(),
                                               .dx_write = Write::replace,
                                               .dresidual = nullptr,
                                               .dresidual_write = Write::replace,
                                               .dgamma = trained_grad(gamma),
                                               .dbeta = trained_grad(beta),
                                               .par_write = t.param_write(),
                                               .beta = beta->value};
                 bn.pool_backward(s, pool, t.value(convolved).data, self.grad.data, argmax,
                                  gamma->value, mean, rstd, out,
                                  t.scratch(bn.pool_scratch_bytes(s, pool)), t.stream());
                 dx.finish();
             },
         .saved = {mean, rstd, argmax}});
}

}  // namespace fp
