#include "engine/core/loss.h"

#include <algorithm>

#include "kernels/error.h"

namespace fp {

CrossEntropy::CrossEntropy(const Kernels& k,
                           int classes,
                           const std::vector<double>& class_weights,
                           double smoothing)
    : kernels_(k), classes_(classes), smoothing_(smoothing), sums_(k.memory, 2 * sizeof(double)) {
    if (class_weights.empty()) return;
    FP_CHECK(int(class_weights.size()) == classes, "loss: ", class_weights.size(), " weights for ",
             classes, " classes");
    const size_t stored = size_t(round_up(classes, k.block(classes)));
    weights_ = Buffer(k.memory, stored * bytes_of(k.parameter));
    std::vector<double> wide(stored, 0.0);
    std::copy(class_weights.begin(), class_weights.end(), wide.begin());
    const std::vector<float> narrow(wide.begin(), wide.end());
    const void* host =
        k.parameter == Type::f64 ? static_cast<const void*>(wide.data()) : narrow.data();
    k.memory.copy_in(weights_.data(), host, weights_.bytes(), {});
    k.memory.synchronize({});
}

double CrossEntropy::forward(Tape& tape, Var logits, const std::vector<int32_t>& labels) {
    FP_CHECK(tape.value(logits).map.n == int(labels.size()), "loss: ", labels.size(),
             " labels for ", tape.value(logits).map.n, " rows of logits");
    labels_.grow(kernels_.memory, labels.size() * sizeof(int32_t));
    kernels_.memory.copy_in(labels_.data(), labels.data(), labels.size() * sizeof(int32_t),
                            tape.stream());
    enqueue(tape, logits, static_cast<int32_t*>(labels_.data()));
    double sums[2];
    kernels_.memory.copy_out(sums, sums_.data(), sizeof(sums), tape.stream());
    return sums[1] > 0 ? sums[0] / sums[1] : 0;
}

void CrossEntropy::enqueue(Tape& tape, Var logits, const int32_t* labels) {
    const Tensor x = tape.value(logits);
    FP_CHECK(x.map.c == classes_, "loss: logits of ", x.map.n, "x", x.map.c, ", ", classes_,
             " classes");
    samples_ = x.map.n;
    current_ = labels;
    losses_.grow(kernels_.memory, size_t(samples_) * bytes_of(kernels_.parameter));
    kernels_.loss.forward({.logits = x.map, .smoothing = smoothing_},
                          {.logits = x.data,
                           .labels = labels,
                           .class_weight = static_cast<const par*>(weights_.data()),
                           .losses = static_cast<par*>(losses_.data()),
                           .sums = static_cast<double*>(sums_.data())},
                          tape.stream());
}

Tensor CrossEntropy::gradient(Tape& tape, Var logits, double scale) {
    const Tensor x = tape.value(logits);
    const Tensor dx = tape.empty(x.map);
    kernels_.loss.backward({.logits = x.map, .smoothing = smoothing_},
                           {.logits = x.data,
                            .labels = current_,
                            .class_weight = static_cast<const par*>(weights_.data()),
                            .sums = static_cast<const double*>(sums_.data()),
                            .scale = scale,
                            .dlogits = dx.data,
                            .write = Write::replace},
                           tape.stream());
    return dx;
}

std::vector<double> CrossEntropy::losses() const {
    if (kernels_.parameter == Type::f64) {
        std::vector<double> out(samples_);
        kernels_.memory.copy_out(out.data(), losses_.data(), out.size() * sizeof(double), {});
        return out;
    }
    std::vector<float> narrow(samples_);
    kernels_.memory.copy_out(narrow.data(), losses_.data(), narrow.size() * sizeof(float), {});
    return {narrow.begin(), narrow.end()};
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
