// A figure with its interval. What cannot be estimated is NaN beside a reason: never 0, never left out.
#pragma once

#include <limits>
#include <string>
#include <utility>

#include "engine/fairness/intervals.h"

namespace fp {

constexpr double kNotEstimable = std::numeric_limits<double>::quiet_NaN();

struct Measure {
    std::string key = {}, formula = {};
    double value = kNotEstimable, low = kNotEstimable, high = kNotEstimable;
    std::string reason = {};  // why the value, or low and high, are not estimable

    void set(Interval i) {
        low = i.low;
        high = i.high;
        reason = std::move(i.reason);
    }
};

}  // namespace fp
