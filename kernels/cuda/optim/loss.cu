// Softmax cross-entropy with label smoothing and class weights v; sample weights u of the gradient.
//
//   q[n,j]  = smoothing / C + (1 - smoothing) [j == label_n]      P = softmax(logits)
//   loss_n  = - sum_j v_j q[n,j] log P[n,j]                       0 for a label of -1
//   sums    = { sum_n loss_n, sum_n v_{label_n} }
//   dlogits[n,j] = scale / sums[1] u_n (P[n,j] sum_i v_i q[n,i] - v_j q[n,j])
//
// Shapes    logits, dlogits (N,C)   probabilities (N,C) dense float32
// Threads   one warp per sample, whose lanes stride the classes; one block adds the losses in a fixed order
// Traffic   logits twice (the second time from L1), the result once
// Bound     launch overhead at any batch that trains: 256 x 1000 logits are 1 MB
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 8 classes, forward and backward: three launches, 9 us
#include "kernels/cuda/walks/pack.cuh"
#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256;
constexpr int kRows = kThreads / kWarp;

Grid row_grid(int rows, const Place& at = Place::current()) {
    return {.blocks = ceil_div(rows, kRows), .threads = kThreads, .at = at};
}
__device__ inline int row_index() { return int(blockIdx.x) * kRows + warp_index(); }

// log sum_j exp logits[j], in every lane
template <class A>
__device__ float log_sum_exp(const A* logits, int classes) {
    float most = -INFINITY;
    for (int j = lane_index(); j < classes; j += kWarp) most = fmaxf(most, load_one(logits + j));
    most = warp_max(most);
    float sum = 0;
    for (int j = lane_index(); j < classes; j += kWarp) sum += expf(load_one(logits + j) - most);
    return most + logf(warp_sum(sum));
}

// v_j q[n,j]
struct Target {
    float smooth, rest;  // smoothing / C, 1 - smoothing
    const float* class_weight;
    __device__ float operator()(int label, int j) const {
        const float q = smooth + (j == label ? rest : 0);
        return class_weight ? ldg(class_weight + j) * q : q;
    }
};

template <class A>
__global__ void loss_forward_kernel(const A* __restrict__ logits,
                                    const int32_t* __restrict__ labels,
                                    Target target,
                                    float* __restrict__ losses,
                                    Map m) {
    const int n = row_index();
    if (n >= m.n) return;  // whole warps leave together: the shuffles below stay legal
    const A* row = logits + int64_t(n) * m.stored_c();
    const int label = ldg(labels + n);
    float loss = 0;
    if (label >= 0) {
        const float lse = log_sum_exp(row, m.c);
        for (int j = lane_index(); j < m.c; j += kWarp) loss += target(label, j) * (lse - load_one(row + j));
        loss = warp_sum(loss);
    }
    if (lane_index() == 0) stg(losses + n, loss);
}

__global__ void loss_sums_kernel(const float* __restrict__ losses,
                                 const int32_t* __restrict__ labels,
                                 const float* __restrict__ class_weight,
                                 double* sums,
                                 int rows) {
    double loss = 0, weight = 0;
    for (int n = thread_index(); n < rows; n += kThreads) {
        const int label = ldg(labels + n);
        loss += ldg(losses + n);
        if (label >= 0) weight += class_weight ? double(ldg(class_weight + label)) : 1.0;
    }
    loss = block_sum<kThreads>(loss);
    weight = block_sum<kThreads>(weight);
    if (thread_index() == 0) {
        sums[0] = loss;
        sums[1] = weight;
    }
}

template <class A>
__global__ void loss_backward_kernel(const A* __restrict__ logits,
                                     const int32_t* __restrict__ labels,
                                     Target target,
                                     const float* __restrict__ sample_weight,
                                     const double* __restrict__ sums,
                                     double scale,
                                     A* dlogits,
                                     Write write,
                                     Map m) {
    const int n = row_index();
    if (n >= m.n) return;
    const int64_t offset = int64_t(n) * m.stored_c();
    const int label = ldg(labels + n);
    float lse = 0, total = 0, factor = 0;
    if (label >= 0) {
        lse = log_sum_exp(logits + offset, m.c);
        for (int j = lane_index(); j < m.c; j += kWarp) total += target(label, j);
        total = warp_sum(total);
        factor = float(scale / sums[1]) * (sample_weight ? ldg(sample_weight + n) : 1.0f);
    }
    for (int j = lane_index(); j < m.stored_c(); j += kWarp) {
        float g = 0;
        if (label >= 0 && j < m.c) {
            const float probability = expf(load_one(logits + offset + j) - lse);
            g = factor * (probability * total - target(label, j));
        }
        A* slot = dlogits + offset + j;
        store_one(slot, write == Write::add ? load_one(slot) + g : g);
    }
}

template <class A>
__global__ void softmax_kernel(const A* __restrict__ x, float* __restrict__ probabilities, Map m) {
    const int n = row_index();
    if (n >= m.n) return;
    const A* row = x + int64_t(n) * m.stored_c();
    const float lse = log_sum_exp(row, m.c);
    for (int j = lane_index(); j < m.c; j += kWarp)
        stg(probabilities + int64_t(n) * m.c + j, expf(load_one(row + j) - lse));
}

Target target_of(const LossShape& s, const par* class_weight) {
    return {.smooth = float(s.smoothing / s.logits.c),
            .rest = float(1 - s.smoothing),
            .class_weight = as<float>(class_weight)};
}

template <class A>
void forward(const LossShape& s, const Loss::Forward& args, Stream stream) {
    launch(loss_forward_kernel<A>, row_grid(s.logits.n), stream, as<A>(args.logits), args.labels,
           target_of(s, args.class_weight), as<float>(args.losses), s.logits);
    launch(loss_sums_kernel, Grid{.threads = kThreads}, stream, as<float>(args.losses), args.labels,
           as<float>(args.class_weight), args.sums, s.logits.n);
}

template <class A>
void backward(const LossShape& s, const Loss::Backward& args, Stream stream) {
    launch(loss_backward_kernel<A>, row_grid(s.logits.n), stream, as<A>(args.logits), args.labels,
           target_of(s, args.class_weight), args.sample_weight, args.sums, args.scale, as<A>(args.dlogits), args.write,
           s.logits);
}

template <class A>
void softmax(const Map& m, const act* x, float* probabilities, Stream stream) {
    launch(softmax_kernel<A>, row_grid(m.n), stream, as<A>(x), probabilities, m);
}

}  // namespace

extern const Loss loss_f32{.forward = forward<float>, .backward = backward<float>, .softmax = softmax<float>};
extern const Loss loss_bf16{.forward = forward<bf16>, .backward = backward<bf16>, .softmax = softmax<bf16>};

}  // namespace fp::FP_MACHINE
