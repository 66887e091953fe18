#include "engine/core/loss.h"

#include <algorithm>

#include "kernels/error.h"

namespace fp {

CrossEntropy::CrossEntropy(const Kernels& k, int classes, const std::vector<double>& class_weights, double smoothing)
    : classes_(classes), smoothing_(smoothing) {
    if (class_weights.empty()) return;
    FP_CHECK(int(class_weights.size()) == classes, "loss: ", class_weights.size(), " weights for ", classes,
             " classes");
    const size_t stored = size_t(round_up(classes, k.block(classes)));
    weights_ = Buffer(k.memory, stored * bytes_of(k.parameter));
    std::vector<double> wide(stored, 0.0);
    std::copy(class_weights.begin(), class_weights.end(), wide.begin());
    const std::vector<float> narrow(wide.begin(), wide.end());
    const void* host = k.parameter == Type::f64 ? static_cast<const void*>(wide.data()) : narrow.data();
    k.memory.copy_in(weights_.data(), host, weights_.bytes(), {});
    k.memory.synchronize({});
}

LossRow cross_entropy(Tape& tape, Var logits, const int32_t* labels, const CrossEntropy& loss) {
    const auto range = tape.range("cross_entropy");
    const Kernels& k = tape.kernels();
    const Tensor x = tape.value(logits);
    FP_CHECK(x.map.c == loss.classes(), "loss: logits of ", x.map.n, "x", x.map.c, ", ", loss.classes(), " classes");
    const LossShape s{.logits = x.map, .smoothing = loss.smoothing()};
    const auto* weights = static_cast<const par*>(loss.class_weights());
    auto* losses = static_cast<par*>(tape.take(size_t(x.map.n) * bytes_of(k.parameter)));
    auto* sums = static_cast<double*>(tape.take(2 * sizeof(double)));
    k.loss.forward(s, {.logits = x.data, .labels = labels, .class_weight = weights, .losses = losses, .sums = sums},
                   tape.stream());
    const Var row = tape.record({.op = s,
                                 .inputs = {logits},
                                 .value = {nullptr, {.n = 1, .c = 1, .h = 1, .w = 1}},
                                 .bytes = s.bytes(bytes_of(k.activation)),
                                 .needs_grad = tape.needs_grad(logits),
                                 .backward =
                                     [s, logits, labels, weights, sums](Tape& t, const Node&) {
                                         const auto [dx, write] = t.grad_slot(logits);
                                         t.kernels().loss.backward(s,
                                                                   {.logits = t.value(logits).data,
                                                                    .labels = labels,
                                                                    .class_weight = weights,
                                                                    .sums = sums,
                                                                    .scale = 1,
                                                                    .dlogits = dx,
                                                                    .write = write},
                                                                   t.stream());
                                     },
                                 .saved = {losses, sums}});
    return {row, sums};
}

LossRow cross_entropy(Tape& tape, Var logits, const std::vector<int32_t>& labels, const CrossEntropy& loss) {
    FP_CHECK(tape.value(logits).map.n == int(labels.size()), "loss: ", labels.size(), " labels for ",
             tape.value(logits).map.n, " rows of logits");
    const size_t bytes = labels.size() * sizeof(int32_t);
    auto* device = static_cast<int32_t*>(tape.take(bytes));  // for the rest of the step
    tape.kernels().memory.copy_in(device, labels.data(), bytes, tape.stream());
    return cross_entropy(tape, logits, device, loss);
}

double mean_loss(const Tape& tape, const LossRow& loss) {
    double sums[2];
    tape.kernels().memory.copy_out(sums, loss.sums, sizeof(sums), tape.stream());
    return mean_loss(sums);
}

void softmax_later(Tape& tape, Var logits, HostBuffer& host) {
    const Tensor x = tape.value(logits);
    const Kernels& k = tape.kernels();
    const size_t bytes = size_t(x.map.n) * x.map.c * sizeof(float);
    host.grow(k.memory, bytes);
    float* device = static_cast<float*>(tape.take(bytes));
    k.loss.softmax(x.map, x.data, device, tape.stream());
    k.memory.copy_out_later(host.as<void>(), device, bytes, tape.stream());
    tape.give(device);
}

std::vector<float> softmax(Tape& tape, Var logits) {
    const Tensor x = tape.value(logits);
    const Kernels& k = tape.kernels();
    std::vector<float> out(size_t(x.map.n) * x.map.c);
    float* device = static_cast<float*>(tape.take(out.size() * sizeof(float)));
    k.loss.softmax(x.map, x.data, device, tape.stream());
    k.memory.copy_out(out.data(), device, out.size() * sizeof(float), tape.stream());
    tape.give(device);
    return out;
}

}  // namespace fp
