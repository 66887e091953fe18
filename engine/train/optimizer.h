// One update of all trainable parameters from their gradients (kernels/ops/optimizer.h has the formulas), and
// what it remembers: momenta and the step number.
#pragma once

#include <string>

#include "engine/core/params.h"

namespace fp {

struct OptimizerOptions {
    std::string kind = "sgd";  // or adamw
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

    // Gradients are multiplied by `scale` first. Nothing waits for the device, so a graph can note it. Where the
    // clipped norm is not finite, weights and momenta stay as they are, and norm() tells.
    void apply(ParamStore&, double lr, double scale = 1);
    // The gradients' L2 norm after scaling, before clipping; 0 without clipping, and before the first step. Of the
    // last step, once the host has waited for it or for anything behind it.
    double norm() const { return seen_.as<GradientScale>()->norm; }

    int64_t step() const { return step_; }
    // Momenta by name, in file order, to be saved and cut with the weights: `slot` 0 is momentum or the
    // first moment, 1 the second.
    int slots() const { return options_.kind == "adamw" ? 2 : 1; }
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
    HostBuffer seen_;  // what the host knows of clipped_
};

}  // namespace fp
