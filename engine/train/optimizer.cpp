#include "engine/train/optimizer.h"

#include "kernels/error.h"

namespace fp {

OptimizerState::OptimizerState(const ParamStore& params, const OptimizerOptions& options)
    : kernels_(params.kernels()),
      options_(options),
      clipped_(kernels_.memory, sizeof(GradientScale)),
      seen_(kernels_.memory, sizeof(GradientScale)) {
    *seen_.as<GradientScale>() = {};
    FP_REQUIRE(options.kind == "sgd" || options.kind == "adamw", Exit::usage, "optimizer ",
               options.kind, " is unknown: sgd or adamw");
    for (int i = 0; i < slots(); ++i) {
        slots_[i] =
            Buffer(kernels_.memory, size_t(params.trained_count()) * bytes_of(kernels_.parameter));
        kernels_.memory.zero(slots_[i].data(), slots_[i].bytes(), {});
    }
}

par* OptimizerState::at(void* block, int64_t element) const {
    void* const number = static_cast<char*>(block) + element * bytes_of(kernels_.parameter);
    return static_cast<par*>(number);
}

// A sum of squares for each run of the gradient, and of them the factor, all on the device.
const GradientScale* OptimizerState::clip(const ParamStore& params, double scale) {
    if (options_.clip_norm <= 0) return nullptr;
    const Memory& memory = kernels_.memory;
    const Optimizer& op = kernels_.optimizer;
    std::vector<ParamStore::Run> runs = params.runs(true);
    for (const auto run : params.runs(false)) runs.push_back(run);
    auto* squares = static_cast<double*>(squares_.grow(memory, runs.size() * sizeof(double)));
    for (size_t i = 0; i < runs.size(); ++i) {
        const auto [begin, end] = runs[i];
        void* scratch = scratch_.grow(memory, op.scratch_bytes(end - begin));
        op.sum_squares(end - begin, at(params.grads(), begin), squares + i, scratch, {});
    }
    auto* clipped = static_cast<GradientScale*>(clipped_.data());
    op.clip(int(runs.size()),
            {.squares = squares, .scale = scale, .most = options_.clip_norm, .to = clipped}, {});
    memory.copy_out_later(seen_.as<void>(), clipped, sizeof(*clipped), {});
    return clipped;
}

void OptimizerState::apply(ParamStore& params, double lr, double scale) {
    const GradientScale* clipped = clip(params, scale);
    ++step_;
    for (const bool filters : {true, false}) {
        const double decay = filters || options_.decay_all ? options_.weight_decay : 0;
        for (const auto [begin, end] : params.runs(filters)) {
            par *w = at(params.values(), begin), *g = at(params.grads(), begin),
                *first = at(slots_[0].data(), begin);
            if (options_.kind == "sgd")
                kernels_.optimizer.sgd(end - begin,
                                       {.lr = lr,
                                        .momentum = options_.momentum,
                                        .decay = decay,
                                        .nesterov = options_.nesterov,
                                        .scale = scale,
                                        .clipped = clipped},
                                       {.w = w, .g = g, .v = first}, {});
            else
                kernels_.optimizer.adamw(
                    end - begin,
                    {.lr = lr,
                     .beta1 = options_.beta1,
                     .beta2 = options_.beta2,
                     .eps = options_.eps,
                     .decay = decay,
                     .step = step_,
                     .scale = scale,
                     .clipped = clipped},
                    {.w = w, .g = g, .m = first, .v = at(slots_[1].data(), begin)}, {});
        }
    }
    params.touch();
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
