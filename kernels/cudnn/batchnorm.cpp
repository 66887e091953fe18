// Batch norm by cuDNN in training. Its addition and ReLU are rows of their own, as most frameworks run it;
// with statistics that do not move, and for what the library lacks, our own kernels.
#include <algorithm>
#include <initializer_list>

#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

constexpr cudnnBatchNormMode_t kMode = CUDNN_BATCHNORM_SPATIAL_PERSISTENT;

struct Descriptors {
    MapDescriptor x, parameters;
    explicit Descriptors(const BatchNormShape& s)
        : x(s.x, libraries().data_type()),
          parameters({.c = s.x.c, .block = s.x.block}, CUDNN_DATA_FLOAT) {}
};

size_t map_bytes(const Map& m) {
    return size_t(round_up(m.stored() * bytes_of(libraries().activation()), 256));
}

// The library leaves what stands behind the logical channels undefined; to us it is zeros.
void zero_padding_of(const BatchNormShape& s,
                     act* map,
                     std::initializer_list<par*> vectors,
                     Stream stream) {
    zero_padding(s.x, map, stream);
    const size_t padding = size_t(s.x.stored_c() - s.x.c) * sizeof(float);
    for (par* v : vectors)
        if (v && padding > 0)
            libraries().own->memory.zero(static_cast<float*>(v) + s.x.c, padding, stream);
}

// dy behind ReLU, then two vectors for gradients that nobody wants.
size_t scratch_bytes(const BatchNormShape& s) {
    return std::max(map_bytes(s.x) + 2 * size_t(s.x.stored_c()) * sizeof(float),
                    libraries().own->batchnorm.scratch_bytes(s));
}

void train(const BatchNormShape& s,
           const act* x,
           const act* residual,
           const par* gamma,
           const par* beta_of_norm,
           par* running_mean,
           par* running_var,
           act* y,
           par* mean,
           par* rstd,
           void*,
           Stream stream) {
    const Descriptors d(s);
    check(cudnnBatchNormalizationForwardTraining(
              libraries().on(stream), kMode, &kOne, &kZero, d.x, x, d.x, y, d.parameters, gamma,
              beta_of_norm, s.momentum, running_mean, running_var, s.eps, mean, rstd),
          "batch norm");
    zero_padding_of(s, y, {mean, rstd}, stream);
    const Kernels& own = *libraries().own;
    if (residual) own.add.forward(s.x, y, residual, y, stream);
    if (s.relu) own.relu.forward(s.x, y, y, stream);
}

void infer(const BatchNormShape& s,
           const act* x,
           const act* residual,
           const par* gamma,
           const par* beta_of_norm,
           const par* running_mean,
           const par* running_var,
           act* y,
           Stream stream) {
    libraries().own->batchnorm.infer(s, x, residual, gamma, beta_of_norm, running_mean, running_var,
                                     y, stream);
}

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
    const Descriptors d(s);
    const Kernels& own = *libraries().own;
    const act* g = dy;
    if (s.relu) {
        own.relu.backward(s.x, y, dy, scratch, Write::replace, stream);
        g = scratch;
    }
    if (out.dresidual) own.add.accumulate(s.x, g, out.dresidual, out.dresidual_write, stream);
    auto* unwanted = reinterpret_cast<float*>(static_cast<char*>(scratch) + map_bytes(s.x));
    // One factor serves both vectors: where only one is wanted, the other is written beside it.
    const float of_x = beta(out.dx_write);
    const float of_parameters = out.dgamma && out.dbeta ? beta(out.par_write) : 0;
    FP_CHECK((out.dgamma != nullptr) == (out.dbeta != nullptr),
             "cudnn: batch norm's two gradients are had together");
    check(cudnnBatchNormalizationBackward(
              libraries().on(stream), kMode, &kOne, &of_x, &kOne, &of_parameters, d.x, x, d.x, g,
              d.x, out.dx, d.parameters, gamma, out.dgamma ? out.dgamma : unwanted,
              out.dbeta ? out.dbeta : unwanted + s.x.stored_c(), s.eps, mean, rstd),
          "batch norm's gradient");
    zero_padding_of(s, out.dx, {out.dgamma, out.dbeta}, stream);
}

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
    libraries().own->batchnorm.backward_frozen(s, x, y, dy, gamma, running_mean, running_var, out,
                                               scratch, stream);
}

}  // namespace

extern const BatchNorm batchnorm{.scratch_bytes = scratch_bytes,
                                 .train = train,
                                 .infer = infer,
                                 .backward = backward,
                                 .backward_frozen = backward_frozen};

}  // namespace fp::cudnn
