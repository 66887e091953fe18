// Batch norm, and the ops that a backend can run in one kernel with it: addition and ReLU, the max pooling of a stem,
// the batch norm of a shortcut.
#include "engine/core/conv_rows.h"
#include "engine/core/ranked_norm.h"
#include "kernels/error.h"

namespace fp {
namespace {

bool fuses(const Tape& tape) { return tape.options().rows != Rows::each_op; }

// Whether convolutions write the moments that the batch norms after them use.
bool norms_on_moments(const Tape& tape) {
    return tape.training() && fuses(tape) && !tape.options().of_ranks && tape.kernels().conv.forward_moments;
}

BatchNormShape norm_shape(Tape& tape, const Map& x, const Norm& norm) {
    FP_CHECK(x.c == norm.gamma->shape.k, norm.name, ": input has ", x.c, " channels, norm has ", norm.gamma->shape.k);
    const bool leaves = tape.training() && tape.options().batch_statistics;
    if (leaves) tape.leave_statistics(norm.momentum);
    return {.x = x, .eps = norm.eps, .momentum = leaves ? 1 : norm.momentum};
}

std::vector<ParamUse> uses(const Norm& norm) {
    return {{norm.gamma}, {norm.beta}, {norm.running_mean}, {norm.running_var}};
}

par* trained_grad(const Param* p) { return p->trainable ? p->grad : nullptr; }

// Where a kernel, which always computes dx, writes it: in place; or in a buffer of its own if no gradient is wanted, or
// if there already is one and the kernel cannot add to it. Call finish() after the kernel.
class Dx {
public:
    Dx(Tape& tape, Var row, bool kernel_adds) : tape_(tape), map_(tape.value(row).map), slot_(tape.grad_slot(row)) {
        if (!slot_.data || (slot_.write == Write::add && !kernel_adds)) own_ = tape.empty(map_).data;
    }
    act* data() const { return own_ ? own_ : slot_.data; }
    Write write() const { return own_ ? Write::replace : slot_.write; }
    void finish() {
        if (!own_) return;
        if (slot_.data) tape_.kernels().add.accumulate(map_, {.dy = own_, .dx = slot_.data, .write = slot_.write}, {});
        tape_.give(own_);
    }

private:
    Tape& tape_;
    Map map_;
    Tape::Slot slot_;
    act* own_ = nullptr;
};

// A vector with one number per channel: mean or rstd.
par* take_vector(Tape& tape, const Map& map) {
    return static_cast<par*>(tape.take(size_t(map.stored_c()) * size_t(bytes_of(tape.kernels().parameter))));
}

// A map followed by the mask of its ReLU (BatchNormShape::bits).
Tensor map_with_bits(Tape& tape, const BatchNormShape& s) {
    const Kernels& k = tape.kernels();
    const size_t bytes = size_t(s.x.stored()) * size_t(bytes_of(k.activation));
    return {static_cast<act*>(tape.take(bytes + k.batchnorm.bits_bytes(s))), s.x};
}

// A norm applied to a row. mean and rstd, the statistics of the batch, are null outside of training.
struct AppliedNorm {
    Var x;
    Norm norm;
    par *mean = nullptr, *rstd = nullptr;

    AppliedNorm(Tape& tape, Var row, const Norm& n) : x(row), norm(n) {
        if (!tape.training()) return;
        mean = take_vector(tape, tape.value(x).map);
        rstd = take_vector(tape, tape.value(x).map);
    }
    bool needs_grad(const Tape& tape) const { return tape.needs_grad(x) || norm.gamma->trainable; }

    // A struct of arguments of BatchNorm with those members set that belong to the norm and its input.
    template <class Arguments>
    Arguments arguments(const Tape& tape) const {
        Arguments to{};
        to.x = tape.value(x).data;
        to.gamma = norm.gamma->value;
        if constexpr (requires { to.beta; }) to.beta = norm.beta->value;
        if constexpr (requires { to.running_mean; }) {
            to.running_mean = tape.training() ? tape.moving(*norm.running_mean) : norm.running_mean->value;
            to.running_var = tape.training() ? tape.moving(*norm.running_var) : norm.running_var->value;
        }
        if constexpr (requires { to.mean; }) {
            to.mean = mean;
            to.rstd = rstd;
        }
        if constexpr (requires { to.dgamma; }) {
            to.dgamma = trained_grad(norm.gamma);
            to.dbeta = trained_grad(norm.beta);
        }
        return to;
    }
};

// A norm with the addition and the ReLU that follow it, as one row.
struct FusedNorm {
    BatchNormShape shape;
    AppliedNorm norm;
    Var residual;

    // `moments`: of the norm's input, if the convolution wrote them.
    void forward(Tape& tape, act* y, const Moments* moments) const {
        const BatchNorm& bn = tape.kernels().batchnorm;
        const auto arguments = [&]<class Arguments>(Arguments args) {
            args.residual = residual ? tape.value(residual).data : nullptr;
            args.y = y;
            return args;
        };
        if (!norm.mean) return bn.infer(shape, arguments(norm.arguments<BatchNorm::Infer>(tape)), {});
        const auto train = arguments(norm.arguments<BatchNorm::Train>(tape));
        if (moments) return bn.train_on_moments(shape, train, *moments, {});
        bn.train(shape, train, tape.scratch(bn.scratch_bytes(shape)), {});
    }

    void backward(Tape& tape, const Node& self) const {
        const BatchNorm& bn = tape.kernels().batchnorm;
        Dx dx(tape, norm.x, true);
        const auto into_residual = residual ? tape.grad_slot(residual) : Tape::Slot{nullptr, Write::replace};
        void* scratch = tape.scratch(bn.scratch_bytes(shape));
        const auto run = [&]<class Arguments>(auto kernel, Arguments args) {
            args.y = self.value.data;
            args.dy = self.grad.data;
            args.to = {.dx = dx.data(),
                       .dx_write = dx.write(),
                       .dresidual = into_residual.data,
                       .dresidual_write = into_residual.write,
                       .dgamma = trained_grad(norm.norm.gamma),
                       .dbeta = trained_grad(norm.norm.beta),
                       .par_write = tape.param_write()};
            kernel(shape, args, scratch, {});
        };
        if (norm.mean)
            run(bn.backward, norm.arguments<BatchNorm::Backward>(tape));
        else
            run(bn.backward_frozen, norm.arguments<BatchNorm::BackwardFrozen>(tape));
        dx.finish();
    }
};

// Norm, addition and ReLU as one row; `moments` of x, if the convolution wrote them.
Var fused_norm(Tape& tape, Var x, const Norm& norm, bool relu, Var residual, const Moments* moments) {
    const auto range = tape.range(norm.name);
    const Kernels& k = tape.kernels();
    const Map map = tape.value(x).map;
    BatchNormShape s = norm_shape(tape, map, norm);
    s.relu = relu;
    s.residual = bool(residual);
    // With a residual the mask of ReLU cannot be computed again from x.
    s.bits = tape.training() && relu && residual && k.batchnorm.bits_bytes;
    if (tape.training() && tape.options().of_ranks) return ranked_norm(tape, x, norm, s, residual);
    const Tensor y = s.bits ? map_with_bits(tape, s) : tape.empty(map);
    const FusedNorm row{.shape = s, .norm = AppliedNorm(tape, x, norm), .residual = residual};
    row.forward(tape, y.data, moments);
    Node node{
        .op = s,
        .layer = norm.name,
        .inputs = {x},
        .params = uses(norm),
        .value = y,
        .bytes = moments || !tape.training() ? s.infer_bytes(bytes_of(k.activation)) : s.bytes(bytes_of(k.activation)),
        .needs_grad = row.norm.needs_grad(tape) || (residual && tape.needs_grad(residual)),
        .backward = [row](Tape& t, const Node& self) { row.backward(t, self); }};
    if (tape.training()) node.saved = {row.norm.mean, row.norm.rstd};
    if (residual) node.inputs.push_back(residual);
    return tape.record(std::move(node));
}

// relu(norm(x) + norm'(x')), where x' is the output of the convolution of a shortcut.
Var norm_pair(Tape& tape, Var x, const Norm& norm, const Moments& moments, const Residual& shortcut) {
    const auto range = tape.range(norm.name);
    const Kernels& k = tape.kernels();
    BatchNormShape s = norm_shape(tape, tape.value(x).map, norm);
    FP_CHECK(s == norm_shape(tape, tape.value(shortcut.convolved).map, *shortcut.norm), norm.name, " and ",
             shortcut.norm->name, ": norms that differ in shape, eps or momentum are no pair");
    s.relu = s.bits = true;
    const Tensor y = map_with_bits(tape, s);
    const AppliedNorm a(tape, x, norm), b(tape, shortcut.convolved, *shortcut.norm);
    const auto half = [&](const AppliedNorm& of, const Moments& its_moments) {
        auto args = of.arguments<BatchNorm::TrainPair::Half>(tape);
        args.moments = its_moments;
        return args;
    };
    k.batchnorm.pair_on_moments(s, {.a = half(a, moments), .b = half(b, shortcut.moments), .y = y.data}, {});
    return tape.record({.op = NormPairOp{s},
                        .layer = norm.name,
                        .inputs = {x, shortcut.value},
                        .params = uses(norm),
                        .value = y,
                        .bytes = 3.0 * double(s.x.logical()) * bytes_of(k.activation),
                        .needs_grad = a.needs_grad(tape) || b.needs_grad(tape),
                        .backward =
                            [s, a, b](Tape& t, const Node& self) {
                                const BatchNorm& bn = t.kernels().batchnorm;
                                Dx to_a(t, a.x, false), to_b(t, b.x, false);
                                const auto towards = [&](const AppliedNorm& of, const Dx& dx) {
                                    auto args = of.arguments<BatchNorm::BackwardPair::Half>(t);
                                    args.dx = dx.data();
                                    return args;
                                };
                                bn.pair_backward(s,
                                                 {.a = towards(a, to_a),
                                                  .b = towards(b, to_b),
                                                  .y = self.value.data,
                                                  .dy = self.grad.data,
                                                  .par_write = t.param_write()},
                                                 t.scratch(bn.pair_scratch_bytes(s)), {});
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

Var conv_norm(Tape& tape, Var x, const ConvLayer& layer, const Norm& norm, bool relu_after, const Residual& residual) {
    if (tape.inference_weights()) return infer_conv(tape, x, layer, &norm, relu_after, residual.value);
    if (!norms_on_moments(tape)) return batchnorm(tape, conv2d(tape, x, layer), norm, relu_after, residual.value);
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

Var conv_norm_maxpool(Tape& tape, Var x, const ConvLayer& layer, const Norm& norm, const Pool& window) {
    const Kernels& k = tape.kernels();
    const auto apart = [&] { return maxpool(tape, conv_norm(tape, x, layer, norm, true), window); };
    if (!norms_on_moments(tape) || tape.options().rows != Rows::fewest || !k.batchnorm.pools) return apart();
    BatchNormShape s = norm_shape(tape, conv_shape(tape, x, layer).y(), norm);
    s.relu = true;
    const MaxPoolShape pool = window.of(s.x);
    if (pool.p() <= 0 || pool.q() <= 0 || !k.batchnorm.pools(s, pool)) return apart();
    Moments moments;
    const Var convolved = train_conv(tape, x, layer, &moments);
    const auto range = tape.range(norm.name);
    const Tensor y = tape.empty(pool.y());
    const AppliedNorm of(tape, convolved, norm);
    auto* argmax = static_cast<uint8_t*>(tape.take(size_t(pool.y().stored())));
    auto train = of.arguments<BatchNorm::TrainPool>(tape);
    train.y = y.data;
    train.argmax = argmax;
    k.batchnorm.pool_on_moments(s, pool, train, moments, {});
    tape.give(moments.data);
    return tape.record({.op = NormPoolOp{s, pool},
                        .layer = norm.name,
                        .inputs = {convolved},
                        .params = uses(norm),
                        .value = y,
                        .bytes = pool.bytes(bytes_of(k.activation)),
                        .needs_grad = of.needs_grad(tape),
                        .backward =
                            [s, pool, of, argmax](Tape& t, const Node& self) {
                                const BatchNorm& bn = t.kernels().batchnorm;
                                Dx dx(t, of.x, false);
                                auto args = of.arguments<BatchNorm::BackwardPool>(t);
                                args.dy = self.grad.data;
                                args.argmax = argmax;
                                args.dx = dx.data();
                                args.par_write = t.param_write();
                                bn.pool_backward(s, pool, args, t.scratch(bn.pool_scratch_bytes(s, pool)), {});
                                dx.finish();
                            },
                        .saved = {of.mean, of.rstd, argmax}});
}

}  // namespace fp
