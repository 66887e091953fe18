// Softmax cross-entropy with label smoothing and class weights v; sample weights u of the gradient.
//
//   q[n,j]  = smoothing / C + (1 - smoothing) [j == label_n]      P = softmax(logits)
//   loss_n  = - sum_j v_j q[n,j] log P[n,j]
//   sums    = { sum_n loss_n, sum_n v_{label_n} }
//   dlogits[n,j] = scale / sums[1] u_n (P[n,j] sum_i v_i q[n,i] - v_j q[n,j])
//
// Layout   (n, c, 1, 1): the logits of a sample are contiguous, whatever the block, and zero-padded.
// Threads  one thread per sample; sums over a sample and over samples are in double, in order.
// Bound    the exponential, one per logit.
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

// body(n, the sample's first stored element)
template <class Body>
void for_samples(const Map& logits, const Body& body) {
#pragma omp parallel for if (logits.logical() > kPiece / 16)
    for (int n = 0; n < logits.n; ++n) body(n, int64_t(n) * logits.stored_c());
}

double log_sum_exp(const float* z, int count) {
    float most = z[0];
    for (int j = 1; j < count; ++j) most = z[j] > most ? z[j] : most;
    double sum = 0;
    for (int j = 0; j < count; ++j) sum += std::exp(z[j] - most);
    return most + std::log(sum);
}

// v_j q[n,j] = v_j (even + own [j == label])
struct Target {
    const float* class_weight;
    double even, own;

    Target(const LossShape& s, const par* weight)
        : class_weight(as<float>(weight)), even(s.smoothing / s.logits.c), own(1 - s.smoothing) {}

    double weight(int j) const { return class_weight ? class_weight[j] : 1.0; }
    double operator()(int label, int j) const { return weight(j) * (even + (j == label) * own); }
};

void forward(const LossShape& s, const Loss::Forward& args, Stream) {
    const auto* logits = as<float>(args.logits);
    const int32_t* labels = args.labels;
    auto* losses = as<float>(args.losses);
    double* sums = args.sums;
    const Target target(s, args.class_weight);
    for_samples(s.logits, [&](int n, int64_t first) {
        double loss = 0;
        if (labels[n] >= 0) {
            const float* z = logits + first;
            const double lse = log_sum_exp(z, s.logits.c);
            for (int j = 0; j < s.logits.c; ++j) loss += target(labels[n], j) * (lse - z[j]);
        }
        losses[n] = float(loss);
    });
    sums[0] = sums[1] = 0;
    for (int n = 0; n < s.logits.n; ++n) {
        sums[0] += losses[n];
        if (labels[n] >= 0) sums[1] += target.weight(labels[n]);
    }
}

void backward(const LossShape& s, const Loss::Backward& args, Stream) {
    const auto* logits = as<float>(args.logits);
    const int32_t* labels = args.labels;
    auto* dlogits = as<float>(args.dlogits);
    const Target target(s, args.class_weight);
    for_samples(s.logits, [&](int n, int64_t first) {
        const float* z = logits + first;
        float* dz = dlogits + first;
        if (args.write == Write::replace) std::fill(dz, dz + s.logits.stored_c(), 0.0f);
        if (labels[n] < 0) return;
        const double lse = log_sum_exp(z, s.logits.c);
        const double factor = args.scale / args.sums[1] * (args.sample_weight ? args.sample_weight[n] : 1.0f);
        double total = 0;
        for (int j = 0; j < s.logits.c; ++j) total += target(labels[n], j);
        for (int j = 0; j < s.logits.c; ++j) {
            const double probability = std::exp(float(z[j] - lse));
            dz[j] += float(factor * (probability * total - target(labels[n], j)));
        }
    });
}

void softmax(const Map& map, const act* x_act, float* probabilities, Stream) {
    const auto* x = as<float>(x_act);
    for_samples(map, [&](int n, int64_t first) {
        const double lse = log_sum_exp(x + first, map.c);
        for (int j = 0; j < map.c; ++j) probabilities[int64_t(n) * map.c + j] = std::exp(float(x[first + j] - lse));
    });
}

}  // namespace

extern const Loss loss{.forward = forward, .backward = backward, .softmax = softmax};

}  // namespace fp::cpu
