#include "engine/train/optimizer.h"

#include <array>

namespace fp {
namespace {

constexpr OptimizerKind kSgd{.name = "sgd",
                             .says = "with momentum",
                             .slots = 1,
                             .update = [](const Optimizer& op, const OptimizerOptions& o, const OptimizerRun& run) {
                                 op.sgd(run.count,
                                        {.lr = run.lr,
                                         .momentum = o.momentum,
                                         .decay = run.decay,
                                         .nesterov = o.nesterov,
                                         .scale = run.scale,
                                         .clipped = run.clipped},
                                        {.w = run.w, .g = run.g, .v = run.m}, {});
                             }};

constexpr OptimizerKind kAdamW{.name = "adamw",
                               .says = "Adam with decoupled weight decay",
                               .slots = 2,
                               .update = [](const Optimizer& op, const OptimizerOptions& o, const OptimizerRun& run) {
                                   op.adamw(run.count,
                                            {.lr = run.lr,
                                             .beta1 = o.beta1,
                                             .beta2 = o.beta2,
                                             .eps = o.eps,
                                             .decay = run.decay,
                                             .step = run.step,
                                             .scale = run.scale,
                                             .clipped = run.clipped},
                                            {.w = run.w, .g = run.g, .m = run.m, .v = run.v}, {});
                               }};

}  // namespace

std::span<const OptimizerKind* const> OptimizerKind::all() {
    static constexpr std::array kAll{&kSgd, &kAdamW};
    return kAll;
}

OptimizerState::OptimizerState(const ParamStore& params, const OptimizerOptions& options)
    : kernels_(params.kernels()),
      options_(options),
      clipped_(kernels_.memory, sizeof(GradientScale)),
      seen_(kernels_.memory, sizeof(GradientScale)) {
    *seen_.as<GradientScale>() = {};
    for (int i = 0; i < slots(); ++i) {
        slots_[i] = Buffer(kernels_.memory, size_t(params.trained_count()) * bytes_of(kernels_.parameter));
        kernels_.memory.zero(slots_[i].data(), slots_[i].bytes(), {});
    }
}

par* OptimizerState::at(void* block, int64_t element) const {
    void* const number = static_cast<char*>(block) + element * bytes_of(kernels_.parameter);
    return static_cast<par*>(number);
}

// The gradient's sum of squares per run, then the clipping factor, all on the device.
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
    op.clip(int(runs.size()), {.squares = squares, .scale = scale, .most = options_.clip_norm, .to = clipped}, {});
    memory.copy_out_later(seen_.as<void>(), clipped, sizeof(*clipped), {});
    return clipped;
}

void OptimizerState::apply(ParamStore& params, double lr, double scale) {
    const GradientScale* clipped = clip(params, scale);
    ++step_;
    for (const bool filters : {true, false}) {
        const double decay = filters || options_.decay_all ? options_.weight_decay : 0;
        for (const auto [begin, end] : params.runs(filters)) {
            options_.kind->update(kernels_.optimizer, options_,
                                  {.count = end - begin,
                                   .step = step_,
                                   .lr = lr,
                                   .decay = decay,
                                   .scale = scale,
                                   .clipped = clipped,
                                   .w = at(params.values(), begin),
                                   .g = at(params.grads(), begin),
                                   .m = at(slots_[0].data(), begin),
                                   .v = slots() > 1 ? at(slots_[1].data(), begin) : nullptr});
        }
    }
    params.touch();
}

std::vector<double> OptimizerState::get(const ParamStore& params, const Param& p, int slot) const {
    return params.get_block(p, slots_[slot].data());
}

void OptimizerState::set(const ParamStore& params, const Param& p, int slot, const std::vector<double>& values) {
    params.set_block(p, slots_[slot].data(), values.data());
}

}  // namespace fp
