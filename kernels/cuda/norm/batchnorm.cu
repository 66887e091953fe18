// Batch normalisation: the op's table. What the calls do, in which file, and which maps take which kernels:
//
//   statistics, running statistics   batchnorm_statistics.cu   every map; on moments the first kernel is left out
//   y, with residual and ReLU        batchnorm_forward.cu      every map, batch or given statistics
//   gradients                        batchnorm_backward.cu     every map, batch or given statistics
//   ... with a max pool behind       batchnorm_pool.cu         bf16, 3x3 at stride 2 with padding 1, batch statistics
//   two norms, added                 batchnorm_pair.cu         bf16, ReLU with bits, batch statistics
//
// A map has at most Swath::kMostPacks packs of 16 bytes (34 GB); a larger one is an Error.
#include "kernels/cuda/norm/batchnorm.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
size_t scratch_bytes(const BatchNormShape& s) {
    return std::max(statistics_bytes(s, Pack<A>::kSize), gradient_bytes(s, Pack<A>::kSize));
}

template <class A>
void train_on_moments(const BatchNormShape& s,
                      const act* x,
                      const Moments& moments,
                      const act* residual,
                      const par* gamma,
                      const par* beta,
                      par* running_mean,
                      par* running_var,
                      act* y,
                      par* mean,
                      par* rstd,
                      Stream stream) {
    finish_statistics(s, moments, running_mean, running_var, mean, rstd, stream);
    normalize<A>(s, x, residual, NormVectors::of_batch(gamma, beta, mean, rstd), y, stream);
}

template <class A>
void train(const BatchNormShape& s,
           const act* x,
           const act* residual,
           const par* gamma,
           const par* beta,
           par* running_mean,
           par* running_var,
           act* y,
           par* mean,
           par* rstd,
           void* scratch,
           Stream stream) {
    const Moments moments = take_statistics<A>(s, x, scratch, stream);
    train_on_moments<A>(s, x, moments, residual, gamma, beta, running_mean, running_var, y, mean,
                        rstd, stream);
}

template <class A>
void infer(const BatchNormShape& s,
           const act* x,
           const act* residual,
           const par* gamma,
           const par* beta,
           const par* running_mean,
           const par* running_var,
           act* y,
           Stream stream) {
    const auto norm = NormVectors::of_running(gamma, beta, running_mean, running_var, s.eps);
    normalize<A>(s, x, residual, norm, y, stream);
}

template <class A>
void backward(const BatchNormShape& s,
              const act* x,
              const act* y,
              const act* dy,
              const par* gamma,
              const par* mean,
              const par* rstd,
              const BatchNorm::Backward& out,
              void* scratch,
              Stream stream) {
    differentiate<A>(s,
                     {.x = x,
                      .y = y,
                      .dy = dy,
                      .norm = NormVectors::of_batch(gamma, out.beta, mean, rstd),
                      .of_batch = true},
                     out, scratch, stream);
}

template <class A>
void backward_frozen(const BatchNormShape& s,
                     const act* x,
                     const act* y,
                     const act* dy,
                     const par* gamma,
                     const par* running_mean,
                     const par* running_var,
                     const BatchNorm::Backward& out,
                     void* scratch,
                     Stream stream) {
    differentiate<A>(
        s,
        {.x = x,
         .y = y,
         .dy = dy,
         .norm = NormVectors::of_running(gamma, out.beta, running_mean, running_var, s.eps),
         .of_batch = false},
        out, scratch, stream);
}

template <class A>
size_t bits_bytes(const BatchNormShape& s) {
    return size_t(s.x.stored()) / Pack<A>::kSize;
}

template <class A>
constexpr BatchNorm batchnorm{.scratch_bytes = scratch_bytes<A>,
                              .train = train<A>,
                              .infer = infer<A>,
                              .backward = backward<A>,
                              .backward_frozen = backward_frozen<A>,
                              .train_on_moments = train_on_moments<A>,
                              .bits_bytes = bits_bytes<A>};

// Of bf16 there are the fused ops too.
constexpr BatchNorm with_fused_ops(BatchNorm op) {
    op.pools = pools;
    op.pool_scratch_bytes = pool_scratch_bytes;
    op.pool_on_moments = pool_on_moments;
    op.pool_backward = pool_backward;
    op.pair_scratch_bytes = pair_scratch_bytes;
    op.pair_on_moments = pair_on_moments;
    op.pair_backward = pair_backward;
    return op;
}

}  // namespace

extern const BatchNorm batchnorm_f32{batchnorm<float>};
extern const BatchNorm batchnorm_bf16{with_fused_ops(batchnorm<bf16>)};

}  // namespace fp::FP_MACHINE
