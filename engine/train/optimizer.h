// Updates of all trainable parameters from their gradients (formulas: kernels/ops/optimizer.h), and their state:
// momenta and the step number.
#pragma once

#include <span>
#include <string_view>

#include "engine/core/params.h"
#include "engine/io/one_of.h"

namespace fp {

struct OptimizerOptions;

// One run of neighbouring parameters at one step; m and v are the first and second slot of its state.
struct OptimizerRun {
    int64_t count, step;
    double lr, decay, scale;
    const GradientScale* clipped;
    par *w, *g, *m, *v;
};

struct OptimizerKind {
    std::string_view name, says;
    int slots;  // values of state per parameter
    void (*update)(const Optimizer&, const OptimizerOptions&, const OptimizerRun&);

    static constexpr std::string_view kind = "optimizer";
    static std::span<const OptimizerKind* const> all();
};

struct OptimizerOptions {
    OneOf<OptimizerKind> kind = "sgd";
    double momentum = 0.9;
    bool nesterov = true;
    double weight_decay = 1e-4;
    bool decay_all = true;  // false: norms and biases are not decayed
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
    double clip_norm = 0;  // 0: no clipping; else gradients are scaled to at most this L2 norm
};

class OptimizerState {
public:
    OptimizerState(const ParamStore&, const OptimizerOptions&);

    // Multiplies gradients by `scale` first. Does not wait for the device. Where the gradients' norm is not finite and
    // clipping is on, weights and momenta stay as they are; norm() shows it.
    void apply(ParamStore&, double lr, double scale = 1);
    // The L2 norm of the last step's gradients after scaling, before clipping; 0 without clipping and before the first
    // step. Valid once the host has waited for that step or for anything queued behind it.
    double norm() const { return seen_.as<GradientScale>()->norm; }

    int64_t step() const { return step_; }
    // Momenta by name, in file order, to be saved and cut with the weights: `slot` 0 is momentum or the
    // first moment, 1 the second.
    int slots() const { return options_.kind->slots; }
    std::vector<double> get(const ParamStore&, const Param&, int slot) const;
    void set(const ParamStore&, const Param&, int slot, const std::vector<double>& values);
    void set_step(int64_t step) { step_ = step; }
    size_t bytes() const { return slots_[0].bytes() + slots_[1].bytes(); }

private:
    par* at(void* block, int64_t element) const;
    const GradientScale* clip(const ParamStore&, double scale);

    const Kernels& kernels_;
    OptimizerOptions options_;
    int64_t step_ = 0;
    Buffer slots_[2], squares_, scratch_, clipped_;
    HostBuffer seen_;  // the host's copy of clipped_
};

}  // namespace fp
