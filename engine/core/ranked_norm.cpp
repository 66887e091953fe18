// Batch norm over the batches of all ranks, made of the ops of one. With M the elements of a channel on all ranks:
//
//   forward    every rank's mean and sum of squares about it are merged in rank order (Chan, Golub and LeVeque, 1979):
//              mean, var. Then y is the norm with given statistics.
//   backward   the sums dbeta and dgamma of a rank are those of its own batch. With D of all ranks:
//              dx = gamma rstd (g - Dbeta / M - xhat Dgamma / M): the gradient with given statistics, plus a norm of x
//              with -gamma rstd Dgamma / M for its scale and -gamma rstd Dbeta / M for its shift.
//
// The vectors of a layer go through the host, in double: an exchange in forward and one in backward per layer, which the
// device waits for.
#include "engine/core/ranked_norm.h"

#include <cmath>
#include <utility>

#include "engine/core/elements.h"

namespace fp {
namespace {

using Values = std::vector<double>;

// A vector with one number per channel, on the device.
struct Channels {
    const Kernels& k;
    const Map& map;

    size_t bytes() const { return size_t(map.stored_c()) * size_t(bytes_of(k.parameter)); }
    Values read(const par* from) const {
        const auto block = copy_to_host<char>(k.memory, from, bytes());
        Values out;
        for (int c = 0; c < map.c; ++c) out.push_back(element(block.data(), k.parameter, c));
        return out;
    }
    void write(par* to, const Values& values) const {
        std::vector<char> block(bytes(), 0);
        for (int c = 0; c < map.c; ++c) set_element(block.data(), k.parameter, c, values[size_t(c)]);
        copy_to_device(k.memory, to, block);
    }
    void add(par* to, const Values& values) const {
        Values sum = read(to);
        for (size_t c = 0; c < sum.size(); ++c) sum[c] += values[c];
        write(to, sum);
    }
};

// What a rank says of its batch, per channel: the mean, and the sum of squared distances from it.
struct RankMoments {
    double count = 0;
    Values mean, squares;

    Values packed() const {
        Values out{count};
        out.insert(out.end(), mean.begin(), mean.end());
        out.insert(out.end(), squares.begin(), squares.end());
        return out;
    }
    static RankMoments of(const Values& packed) {
        const auto middle = packed.begin() + 1 + int64_t(packed.size() / 2);
        return {packed[0], {packed.begin() + 1, middle}, {middle, packed.end()}};
    }
    void join(const RankMoments& next) {
        const double total = count + next.count;
        for (size_t c = 0; c < mean.size(); ++c) {
            const double apart = next.mean[c] - mean[c];
            mean[c] += apart * (next.count / total);
            squares[c] += next.squares[c] + apart * apart * (count * next.count / total);
        }
        count = total;
    }
    Values over(double divisor) const {
        Values out = squares;
        for (double& v : out) v /= divisor;
        return out;
    }
};

struct RankedNorm {
    BatchNormShape shape;
    Var x, residual;
    Norm norm;
    par *mean, *var;    // of the batches of all ranks
    double pixels = 0;  // theirs, per channel

    // Sets mean and var, and leaves the running statistics' part of the step.
    void take_statistics(Tape& tape, act* y) {
        const Kernels& k = tape.kernels();
        const Channels channels{k, shape.x};
        BatchNormShape plain = shape;
        plain.relu = plain.residual = plain.bits = false;
        par *const left_mean = tape.moving(*norm.running_mean), *const left_var = tape.moving(*norm.running_var);
        k.batchnorm.train(plain,
                          {.x = tape.value(x).data,
                           .residual = nullptr,
                           .gamma = norm.gamma->value,
                           .beta = norm.beta->value,
                           .running_mean = left_mean,
                           .running_var = left_var,
                           .y = y,
                           .mean = mean,
                           .rstd = var},
                          tape.scratch(k.batchnorm.scratch_bytes(plain)), {});
        const double own = double(shape.x.n) * double(shape.x.pixels());
        RankMoments mine{own, channels.read(left_mean), channels.read(left_var)};
        for (double& v : mine.squares) v *= own > 1 ? own - 1 : 1;
        const std::vector<Values> ranks = (*tape.options().of_ranks)(mine.packed());
        RankMoments all = RankMoments::of(ranks[0]);
        for (size_t r = 1; r < ranks.size(); ++r) all.join(RankMoments::of(ranks[r]));
        pixels = all.count;
        channels.write(mean, all.mean);
        channels.write(var, all.over(pixels));
        channels.write(left_mean, all.mean);
        channels.write(left_var, all.over(pixels > 1 ? pixels - 1 : 1));
    }

    void forward(Tape& tape, act* y) const {
        tape.kernels().batchnorm.infer(shape,
                                       {.x = tape.value(x).data,
                                        .residual = residual ? tape.value(residual).data : nullptr,
                                        .gamma = norm.gamma->value,
                                        .beta = norm.beta->value,
                                        .running_mean = mean,
                                        .running_var = var,
                                        .y = y},
                                       {});
    }

    void backward(Tape& tape, const Node& self) const {
        const Kernels& k = tape.kernels();
        const Channels channels{k, shape.x};
        auto* const dgamma = static_cast<par*>(tape.take(channels.bytes()));
        auto* const dbeta = static_cast<par*>(tape.take(channels.bytes()));
        const Tensor given = tape.empty(shape.x);  // dx, as if the statistics were given
        const auto into_residual = residual ? tape.grad_slot(residual) : Tape::Slot{nullptr, Write::replace};
        k.batchnorm.backward_frozen(shape,
                                    {.x = tape.value(x).data,
                                     .y = self.value.data,
                                     .dy = self.grad.data,
                                     .gamma = norm.gamma->value,
                                     .beta = norm.beta->value,
                                     .running_mean = mean,
                                     .running_var = var,
                                     .to = {.dx = given.data,
                                            .dx_write = Write::replace,
                                            .dresidual = into_residual.data,
                                            .dresidual_write = into_residual.write,
                                            .dgamma = dgamma,
                                            .dbeta = dbeta,
                                            .par_write = Write::replace}},
                                    tape.scratch(k.batchnorm.scratch_bytes(shape)), {});
        const Values own_gamma = channels.read(dgamma), own_beta = channels.read(dbeta);
        const auto put = [&](const Param* p, const Values& values) {
            if (!p->trainable) return;
            tape.param_write() == Write::add ? channels.add(p->grad, values) : channels.write(p->grad, values);
        };
        put(norm.gamma, own_gamma);
        put(norm.beta, own_beta);
        if (tape.needs_grad(x)) add_drift(tape, given, {own_gamma, own_beta}, {dgamma, dbeta});
        tape.give(given.data);
        tape.give(dgamma);
        tape.give(dbeta);
    }

    // The gradient of x: `given`, and what comes through mean and var. The vectors of `by` are free to be used.
    void add_drift(Tape& tape,
                   const Tensor& given,
                   const std::pair<Values, Values>& own,
                   const std::pair<par*, par*>& by) const {
        const Kernels& k = tape.kernels();
        const Channels channels{k, shape.x};
        const auto& [own_gamma, own_beta] = own;
        Values mine = own_gamma;
        mine.insert(mine.end(), own_beta.begin(), own_beta.end());
        const std::vector<Values> ranks = (*tape.options().of_ranks)(mine);
        const Values gamma = channels.read(norm.gamma->value), variance = channels.read(var);
        Values scale(gamma.size(), 0), shift(gamma.size(), 0);
        for (const Values& of : ranks)
            for (size_t c = 0; c < gamma.size(); ++c) {
                scale[c] += of[c];
                shift[c] += of[gamma.size() + c];
            }
        for (size_t c = 0; c < gamma.size(); ++c) {
            const double by_sum = -gamma[c] / std::sqrt(variance[c] + shape.eps) / pixels;
            scale[c] *= by_sum;
            shift[c] *= by_sum;
        }
        channels.write(by.first, scale);
        channels.write(by.second, shift);
        const auto [dx, write] = tape.grad_slot(x);
        const Tensor whole = write == Write::add ? tape.empty(shape.x) : Tensor{dx, shape.x};
        k.batchnorm.infer({.x = shape.x, .eps = shape.eps, .residual = true},
                          {.x = tape.value(x).data,
                           .residual = given.data,
                           .gamma = by.first,
                           .beta = by.second,
                           .running_mean = mean,
                           .running_var = var,
                           .y = whole.data},
                          {});
        if (write == Write::replace) return;
        k.add.accumulate(shape.x, {.dy = whole.data, .dx = dx, .write = write}, {});
        tape.give(whole.data);
    }
};

}  // namespace

Var ranked_norm(Tape& tape, Var x, const Norm& norm, BatchNormShape shape, Var residual) {
    FP_CHECK(tape.options().batch_statistics, norm.name, ": a norm over ranks leaves its batch's statistics");
    shape.bits = false;
    const Kernels& k = tape.kernels();
    const Tensor y = tape.empty(shape.x);
    const auto vector = [&] { return static_cast<par*>(tape.take(Channels{k, shape.x}.bytes())); };
    RankedNorm row{.shape = shape, .x = x, .residual = residual, .norm = norm, .mean = vector(), .var = vector()};
    row.take_statistics(tape, y.data);
    row.forward(tape, y.data);
    Node node{.op = shape,
              .layer = norm.name,
              .inputs = {x},
              .params = {{norm.gamma}, {norm.beta}, {norm.running_mean}, {norm.running_var}},
              .value = y,
              .bytes = shape.bytes(bytes_of(k.activation)),
              .needs_grad = tape.needs_grad(x) || norm.gamma->trainable || (residual && tape.needs_grad(residual)),
              .backward = [row](Tape& t, const Node& self) { row.backward(t, self); },
              .saved = {row.mean, row.var}};
    if (residual) node.inputs.push_back(residual);
    return tape.record(std::move(node));
}

}  // namespace fp
