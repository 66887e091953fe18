// Batch norm by cuDNN in training. The residual addition and ReLU are separate kernels of ours, as in most frameworks.
// With running statistics, and for what the library does not support, our own kernels run.
#include <algorithm>
#include <initializer_list>

#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

constexpr cudnnBatchNormMode_t kMode = CUDNN_BATCHNORM_SPATIAL_PERSISTENT;

struct Descriptors {
    MapDescriptor x, parameters;
    explicit Descriptors(const BatchNormShape& s)
        : x(s.x, libraries().data_type()), parameters({.c = s.x.c, .block = s.x.block}, CUDNN_DATA_FLOAT) {}
};

size_t map_bytes(const Map& m) { return size_t(round_up(m.stored() * bytes_of(libraries().activation()), 256)); }

// The library leaves the padding of channels undefined; ours is zero.
void zero_padding_of(const BatchNormShape& s, act* map, std::initializer_list<par*> vectors, Stream stream) {
    zero_padding(s.x, map, stream);
    const size_t padding = size_t(s.x.stored_c() - s.x.c) * sizeof(float);
    for (par* v : vectors)
        if (v && padding > 0) libraries().own->memory.zero(as<float>(v) + s.x.c, padding, stream);
}

// dy masked by ReLU, then two vectors for gradients that the caller does not want.
size_t scratch_bytes(const BatchNormShape& s) {
    return std::max(map_bytes(s.x) + 2 * size_t(s.x.stored_c()) * sizeof(float),
                    libraries().own->batchnorm.scratch_bytes(s));
}

void train(const BatchNormShape& s, const BatchNorm::Train& args, void*, Stream stream) {
    const Descriptors d(s);
    check(cudnnBatchNormalizationForwardTraining(libraries().on(stream), kMode, &kOne, &kZero, d.x, args.x, d.x, args.y,
                                                 d.parameters, args.gamma, args.beta, s.momentum, args.running_mean,
                                                 args.running_var, s.eps, args.mean, args.rstd),
          "batch norm");
    zero_padding_of(s, args.y, {args.mean, args.rstd}, stream);
    const Kernels& own = *libraries().own;
    if (args.residual) own.add.forward(s.x, {.a = args.y, .b = args.residual, .y = args.y}, stream);
    if (s.relu) own.relu.forward(s.x, {.x = args.y, .y = args.y}, stream);
}

void infer(const BatchNormShape& s, const BatchNorm::Infer& args, Stream stream) {
    libraries().own->batchnorm.infer(s, args, stream);
}

void backward(const BatchNormShape& s, const BatchNorm::Backward& args, void* scratch, Stream stream) {
    const Descriptors d(s);
    const Kernels& own = *libraries().own;
    const BatchNorm::Gradients& to = args.to;
    const act* g = args.dy;
    if (s.relu) {
        auto* const masked = static_cast<act*>(scratch);
        own.relu.backward(s.x, {.y = args.y, .dy = args.dy, .dx = masked, .write = Write::replace}, stream);
        g = masked;
    }
    if (to.dresidual) own.add.accumulate(s.x, {.dy = g, .dx = to.dresidual, .write = to.dresidual_write}, stream);
    auto* unwanted = reinterpret_cast<float*>(static_cast<char*>(scratch) + map_bytes(s.x));
    // One factor serves both vectors: if only one is wanted, the other is written to scratch.
    const float of_x = beta(to.dx_write);
    const float of_parameters = to.dgamma && to.dbeta ? beta(to.par_write) : 0;
    FP_CHECK((to.dgamma != nullptr) == (to.dbeta != nullptr), "cudnn: batch norm's two gradients are had together");
    void* const dgamma = to.dgamma ? static_cast<void*>(to.dgamma) : unwanted;
    void* const dbeta = to.dbeta ? static_cast<void*>(to.dbeta) : unwanted + s.x.stored_c();
    check(cudnnBatchNormalizationBackward(libraries().on(stream), kMode, &kOne, &of_x, &kOne, &of_parameters, d.x,
                                          args.x, d.x, g, d.x, to.dx, d.parameters, args.gamma, dgamma, dbeta, s.eps,
                                          args.mean, args.rstd),
          "batch norm's gradient");
    zero_padding_of(s, to.dx, {to.dgamma, to.dbeta}, stream);
}

void backward_frozen(const BatchNormShape& s, const BatchNorm::BackwardFrozen& args, void* scratch, Stream stream) {
    libraries().own->batchnorm.backward_frozen(s, args, scratch, stream);
}

void follow(int64_t count, int batches, double momentum, const BatchNorm::Follow& args, Stream stream) {
    libraries().own->batchnorm.follow(count, batches, momentum, args, stream);
}

}  // namespace

extern const BatchNorm batchnorm{.scratch_bytes = scratch_bytes,
                                 .train = train,
                                 .infer = infer,
                                 .backward = backward,
                                 .backward_frozen = backward_frozen,
                                 .follow = follow};

}  // namespace fp::cudnn
