#include "engine/train/optimizer.h"

#include <cmath>

#include "kernels/error.h"

namespace fp {

OptimizerState::OptimizerState(const ParamStore& params, const OptimizerOptions& options)
    : kernels_(params.kernels()), options_(options), norm_(kernels_.memory, sizeof(double)) {
    FP_REQUIRE(options.kind == "sgd" || options.kind == "adamw", Exit::usage, "optimizer ",
               options.kind, " is unknown: sgd or adamw");
    for (int i = 0; i < slots(); ++i) {
        slots_[i] =
            Buffer(kernels_.memory, size_t(params.trained_count()) * bytes_of(kernels_.parameter));
        kernels_.memory.zero(slots_[i].data(), slots_[i].bytes(), {});
    }
}

double OptimizerState::apply(ParamStore& params, double lr, double scale) {
    const int e = bytes_of(kernels_.parameter);
    auto at = [&](void* base, int64_t element) { return static_cast<char*>(base) + element * e; };
    double norm = 0;
    if (options_.clip_norm > 0) {
        double sum = 0;
        for (const bool filters : {true, false})
            for (const auto [begin, end] : params.runs(filters)) {
                double part = 0;
                void* scratch =
                    scratch_.grow(kernels_.memory, kernels_.optimizer.scratch_bytes(end - begin));
                kernels_.optimizer.sum_squares(end - begin, at(params.grads(), begin),
                                               static_cast<double*>(norm_.data()), scratch, {});
                kernels_.memory.copy_out(&part, norm_.data(), sizeof(part), {});
                sum += part;
            }
        norm = std::sqrt(sum) * scale;
        if (!std::isfinite(norm)) return norm;
        if (norm > options_.clip_norm) scale *= options_.clip_norm / norm;
    }
    ++step_;
    for (const bool filters : {true, false}) {
        const double decay = filters || options_.decay_all ? options_.weight_decay : 0;
        for (const auto [begin, end] : params.runs(filters)) {
            void *w = at(params.values(), begin), *g = at(params.grads(), begin),
                 *m = at(slots_[0].data(), begin);
            if (options_.kind == "sgd")
                kernels_.optimizer.sgd(end - begin,
                                       {.lr = lr,
                                        .momentum = options_.momentum,
                                        .decay = decay,
                                        .nesterov = options_.nesterov,
                                        .scale = scale},
                                       w, g, m, {});
            else
                kernels_.optimizer.adamw(end - begin,
                                         {.lr = lr,
                                          .beta1 = options_.beta1,
                                          .beta2 = options_.beta2,
                                          .eps = options_.eps,
                                          .decay = decay,
                                          .step = step_,
                                          .scale = scale},
                                         w, g, m, at(slots_[1].data(), begin), {});
        }
    }
    params.touch();
    return norm;
}

std::vector<double> OptimizerState::get(const ParamStore& params, const Param& p, int slot) const {
    return params.get_block(p, slots_[slot].data());
}

void OptimizerState::set(const ParamStore& params,
                         const Param& p,
                         int slot,
                         const std::vector<double>& values) {
    params.set_block(p, slots_[slot].data(), values.data());
}

}  // namespace fp
