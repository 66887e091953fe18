#include "engine/prune/pareto.h"

#include <array>
#include <cmath>
#include <limits>

namespace fp {
namespace {

// All as "less is better".
std::array<double, 3> costs(const ParetoFigures& f) {
    std::array<double, 3> out{-f.accuracy, f.gap, f.latency};
    for (double& v : out)
        if (std::isnan(v)) v = std::numeric_limits<double>::infinity();
    return out;
}

}  // namespace

std::vector<bool> dominated(const std::vector<ParetoFigures>& all) {
    std::vector<bool> out;
    for (const ParetoFigures& own : all) {
        const auto a = costs(own);
        bool beaten = false;
        for (const ParetoFigures& other : all) {
            const auto b = costs(other);
            bool no_worse = true, better = false;
            for (size_t i = 0; i < a.size(); ++i) {
                no_worse = no_worse && b[i] <= a[i];
                better = better || b[i] < a[i];
            }
            beaten = beaten || (no_worse && better);
        }
        out.push_back(beaten);
    }
    return out;
}

}  // namespace fp
