// Softmax cross-entropy with label smoothing and class weights v; sample weights u of the gradient.
//
//   q[n,j]  = smoothing / C + (1 - smoothing) [j == label_n]      P = softmax(logits)
//   loss_n  = - sum_j v_j q[n,j] log P[n,j]
//   sums    = { sum_n loss_n, sum_n v_{label_n} }
//   dlogits[n,j] = scale / sums[1] u_n (P[n,j] sum_i v_i q[n,i] - v_j q[n,j])
//
// A label of -1 marks a padded sample: zero everywhere.
#include <cmath>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

// log sum_j exp logits[n,j]
template <class T>
double log_sum_exp(const MapView<const T>& logits, int n) {
    double most = logits(n, 0, 0, 0), sum = 0;
    for (int j = 1; j < logits.map.c; ++j) most = std::fmax(most, double(logits(n, j, 0, 0)));
    for (int j = 0; j < logits.map.c; ++j) sum += std::exp(logits(n, j, 0, 0) - most);
    return most + std::log(sum);
}

// v_j q[n,j]
template <class T>
double weighted_target(const LossShape& shape, const T* class_weight, int label, int j) {
    const double q = shape.smoothing / shape.logits.c + (j == label ? 1 - shape.smoothing : 0.0);
    return class_weight ? class_weight[j] * q : q;
}

template <class T>
void forward(const LossShape& shape, const Loss::Forward& args, Stream) {
    const auto logits = view<T>(shape.logits, args.logits);
    const int32_t* labels = args.labels;
    const auto* class_weight = as<T>(args.class_weight);
    auto* losses = as<T>(args.losses);
    double* sums = args.sums;
    sums[0] = sums[1] = 0;
    for (int n = 0; n < shape.logits.n; ++n) {
        double loss = 0;
        if (labels[n] >= 0) {
            const double lse = log_sum_exp(logits, n);
            for (int j = 0; j < shape.logits.c; ++j)
                loss += weighted_target(shape, class_weight, labels[n], j) * (lse - logits(n, j, 0, 0));
            sums[1] += class_weight ? double(class_weight[labels[n]]) : 1.0;
        }
        sums[0] += loss;
        losses[n] = T(loss);
    }
}

template <class T>
void backward(const LossShape& shape, const Loss::Backward& args, Stream) {
    const auto logits = view<T>(shape.logits, args.logits);
    const int32_t* labels = args.labels;
    const auto* class_weight = as<T>(args.class_weight);
    const auto dlogits = view<T>(shape.logits, args.dlogits);
    for (int n = 0; n < shape.logits.n; ++n) {
        const bool padded = labels[n] < 0;
        const double lse = log_sum_exp(logits, n);
        const double factor = args.scale / args.sums[1] * (args.sample_weight ? args.sample_weight[n] : 1.0f);
        double total = 0;
        for (int j = 0; j < shape.logits.c; ++j) total += weighted_target(shape, class_weight, labels[n], j);
        for (int j = 0; j < shape.logits.c; ++j) {
            const double probability = std::exp(logits(n, j, 0, 0) - lse);
            const double slope = probability * total - weighted_target(shape, class_weight, labels[n], j);
            put(dlogits(n, j, 0, 0), padded ? 0.0 : factor * slope, args.write);
        }
    }
    zero_padding(dlogits);
}

template <class T>
void softmax(const Map& map, const act* x_act, float* probabilities, Stream) {
    const auto x = view<T>(map, x_act);
    for (int n = 0; n < map.n; ++n) {
        const double lse = log_sum_exp(x, n);
        for (int j = 0; j < map.c; ++j) probabilities[int64_t(n) * map.c + j] = float(std::exp(x(n, j, 0, 0) - lse));
    }
}

template <class T>
constexpr Loss loss{.forward = forward<T>, .backward = backward<T>, .softmax = softmax<T>};

}  // namespace

extern const Loss loss_f32{loss<float>};
extern const Loss loss_f64{loss<double>};

}  // namespace fp::reference
