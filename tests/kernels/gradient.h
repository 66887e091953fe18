// Whether backward is forward's gradient: central differences in double, every element of every input.
#pragma once

#include "tests/kernels/compare.h"

namespace fp::testing {

// forward(inputs) gives the output. backward(inputs, dy, before) gives what is in each input's gradient
// buffer after adding to `before`. Both run on reference_f64.
template <class Forward, class Backward>
void expect_gradient(const std::vector<Values>& inputs, const Forward& forward, const Backward& backward) {
    constexpr double kStep = 1e-6, kAbsolute = 1e-5, kRelative = 1e-3;
    const Values dy = random_values(int64_t(forward(inputs).size()), 101);
    std::vector<Values> before;
    for (const Values& input : inputs) before.push_back(random_values(int64_t(input.size()), 102 + before.size()));
    const std::vector<Values> after = backward(inputs, dy, before);
    ASSERT_EQ(after.size(), inputs.size());

    const auto loss = [&](const std::vector<Values>& at) {
        const Values y = forward(at);
        double sum = 0;
        for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
        return sum;
    };
    std::vector<Values> moved = inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
        ASSERT_EQ(after[i].size(), inputs[i].size()) << "input " << i;
        for (size_t e = 0; e < inputs[i].size(); ++e) {
            moved[i][e] = inputs[i][e] + kStep;
            const double above = loss(moved);
            moved[i][e] = inputs[i][e] - kStep;
            const double below = loss(moved);
            moved[i][e] = inputs[i][e];
            const double seen = (above - below) / (2 * kStep);
            const double said = after[i][e] - before[i][e];
            ASSERT_LE(std::abs(said - seen), kAbsolute + kRelative * std::abs(seen))
                << "input " << i << ", element " << e << ": " << said << " for " << seen;
        }
    }
}

}  // namespace fp::testing
