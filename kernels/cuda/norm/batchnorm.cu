// Batch normalisation: the table of the op. What is computed in which file, and for which maps:
//
//   batch and running statistics       batchnorm_statistics.cu   every map; given moments, the first kernel is not run
//   y, with residual and ReLU          batchnorm_forward.cu      every map, batch or running statistics
//   gradients                          batchnorm_backward.cu     every map, batch or running statistics
//   both, followed by max pooling      batchnorm_pool.cu         bf16, 3x3 at stride 2 with padding 1, batch statistics
//   both, the sum of two norms         batchnorm_pair.cu         bf16, ReLU with bits, batch statistics
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
void train_on_moments(const BatchNormShape& s, const BatchNorm::Train& args, const Moments& moments, Stream stream) {
    finish_statistics(
        s, moments,
        {.running_mean = args.running_mean, .running_var = args.running_var, .mean = args.mean, .rstd = args.rstd},
        stream);
    normalize<A>(s,
                 {.x = args.x,
                  .residual = args.residual,
                  .norm = NormVectors::of_batch(args.gamma, args.beta, args.mean, args.rstd),
                  .y = args.y},
                 stream);
}

template <class A>
void train(const BatchNormShape& s, const BatchNorm::Train& args, void* scratch, Stream stream) {
    train_on_moments<A>(s, args, take_statistics<A>(s, args.x, scratch, stream), stream);
}

template <class A>
void infer(const BatchNormShape& s, const BatchNorm::Infer& args, Stream stream) {
    const auto norm = NormVectors::of_running(args.gamma, args.beta, args.running_mean, args.running_var, s.eps);
    normalize<A>(s, {.x = args.x, .residual = args.residual, .norm = norm, .y = args.y}, stream);
}

template <class A>
void backward(const BatchNormShape& s, const BatchNorm::Backward& args, void* scratch, Stream stream) {
    differentiate<A>(s,
                     {.x = args.x,
                      .y = args.y,
                      .dy = args.dy,
                      .norm = NormVectors::of_batch(args.gamma, args.beta, args.mean, args.rstd),
                      .of_batch = true,
                      .to = args.to},
                     scratch, stream);
}

template <class A>
void backward_frozen(const BatchNormShape& s, const BatchNorm::BackwardFrozen& args, void* scratch, Stream stream) {
    const auto norm = NormVectors::of_running(args.gamma, args.beta, args.running_mean, args.running_var, s.eps);
    differentiate<A>(s, {.x = args.x, .y = args.y, .dy = args.dy, .norm = norm, .of_batch = false, .to = args.to},
                     scratch, stream);
}

template <class A>
size_t bits_bytes(const BatchNormShape& s) {
    return size_t(s.x.stored()) / Pack<A>::kSize;
}

template <class A>
constexpr BatchNorm batchnorm{.scratch_bytes = scratch_bytes<A>,
                              .train = train<A>,
                              .train_on_moments = train_on_moments<A>,
                              .infer = infer<A>,
                              .backward = backward<A>,
                              .backward_frozen = backward_frozen<A>,
                              .follow = follow,
                              .bits_bytes = bits_bytes<A>};

// The fused ops, which exist in bf16 only.
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
