#include "engine/core/loss.h"

#include "kernels/error.h"

namespace fp {
namespace {

// Probabilities on the device, in memory that the caller gives back.
float* take_probabilities(Tape& tape, const Tensor& logits) {
    auto* out = static_cast<float*>(tape.take(size_t(logits.map.n) * logits.map.c * sizeof(float)));
    tape.kernels().loss.softmax(logits.map, logits.data, out, {});
    return out;
}

}  // namespace

CrossEntropy::CrossEntropy(const Kernels& k, int classes_, const std::vector<double>& weights, double smoothing_)
    : classes(classes_), smoothing(smoothing_) {
    if (weights.empty()) return;
    FP_CHECK(int(weights.size()) == classes, "loss: ", weights.size(), " weights for ", classes, " classes");
    class_weights = parameter_block(k, {.k = classes, .k_block = k.block(classes)}, weights);
}

LossRow cross_entropy(
    Tape& tape, Var logits, const int32_t* labels, const CrossEntropy& loss, const float* sample_weight) {
    const auto range = tape.range("cross_entropy");
    const Kernels& k = tape.kernels();
    const Tensor x = tape.value(logits);
    FP_CHECK(x.map.c == loss.classes, "loss: logits of ", x.map.n, "x", x.map.c, ", ", loss.classes, " classes");
    const LossShape s{.logits = x.map, .smoothing = loss.smoothing};
    const auto* weights = loss.class_weights.as<par>();
    auto* losses = static_cast<par*>(tape.take(size_t(x.map.n) * bytes_of(k.parameter)));
    auto* sums = static_cast<double*>(tape.take(2 * sizeof(double)));
    k.loss.forward(s, {.logits = x.data, .labels = labels, .class_weight = weights, .losses = losses, .sums = sums},
                   {});
    const Var row = tape.record({.op = s,
                                 .inputs = {logits},
                                 .value = {nullptr, {.n = 1, .c = 1, .h = 1, .w = 1}},
                                 .bytes = s.bytes(bytes_of(k.activation)),
                                 .needs_grad = tape.needs_grad(logits),
                                 .backward =
                                     [s, logits, labels, weights, sample_weight, sums](Tape& t, const Node&) {
                                         const auto [dx, write] = t.grad_slot(logits);
                                         t.kernels().loss.backward(s,
                                                                   {.logits = t.value(logits).data,
                                                                    .labels = labels,
                                                                    .class_weight = weights,
                                                                    .sample_weight = sample_weight,
                                                                    .sums = sums,
                                                                    .scale = 1,
                                                                    .dlogits = dx,
                                                                    .write = write},
                                                                   {});
                                     },
                                 .saved = {losses, sums}});
    return {row, sums, losses};
}

LossRow cross_entropy(Tape& tape, Var logits, const std::vector<int32_t>& labels, const CrossEntropy& loss) {
    FP_CHECK(tape.value(logits).map.n == int(labels.size()), "loss: ", labels.size(), " labels for ",
             tape.value(logits).map.n, " rows of logits");
    auto* device = static_cast<int32_t*>(tape.take(labels.size() * sizeof(int32_t)));  // for the rest of the step
    copy_to_device(tape.kernels().memory, device, labels);
    return cross_entropy(tape, logits, device, loss);
}

double mean_loss(const Tape& tape, const LossRow& loss) {
    return mean_loss(copy_to_host<double>(tape.kernels().memory, loss.sums, 2).data());
}

double RowResults::loss(int row, const Kernels& k) const {
    return k.parameter == Type::f64 ? losses.as<double>()[row] : double(losses.as<float>()[row]);
}

void results_later(Tape& tape, Var logits, const int32_t* labels, RowResults& results) {
    const Kernels& k = tape.kernels();
    const Tensor x = tape.value(logits);
    const size_t bytes = size_t(x.map.n) * x.map.c * sizeof(float),
                 loss_bytes = size_t(x.map.n) * bytes_of(k.parameter);
    float* probabilities = take_probabilities(tape, x);
    auto* losses = static_cast<par*>(tape.take(loss_bytes));
    auto* sums = static_cast<double*>(tape.take(2 * sizeof(double)));
    k.loss.forward({.logits = x.map},
                   {.logits = x.data, .labels = labels, .class_weight = nullptr, .losses = losses, .sums = sums}, {});
    k.memory.copy_out_later(results.probabilities.grow(k.memory, bytes), probabilities, bytes, {});
    k.memory.copy_out_later(results.losses.grow(k.memory, loss_bytes), losses, loss_bytes, {});
    for (void* block : {static_cast<void*>(probabilities), static_cast<void*>(losses), static_cast<void*>(sums)})
        tape.give(block);
}

std::vector<float> softmax(Tape& tape, Var logits) {
    const Tensor x = tape.value(logits);
    float* device = take_probabilities(tape, x);
    auto out = copy_to_host<float>(tape.kernels().memory, device, size_t(x.map.n) * x.map.c);
    tape.give(device);
    return out;
}

}  // namespace fp
