#include "engine/eval/snnl_chance.h"

#include <cmath>
#include <limits>
#include <map>

namespace fp {

double chance(const std::vector<int32_t>& labels, const std::vector<int32_t>& strata) {
    std::map<int32_t, std::map<int32_t, double>> sizes;  // stratum -> group -> n
    for (size_t i = 0; i < labels.size(); ++i)
        if (labels[i] >= 0) ++sizes[strata.empty() ? 0 : strata[i]][labels[i]];
    double anchors = 0, sum = 0;
    for (const auto& [stratum, groups] : sizes) {
        double n = 0;
        for (const auto& [group, size] : groups) n += size;
        for (const auto& [group, size] : groups) {
            if (size < 2) continue;
            anchors += size;
            sum -= size * std::log((size - 1) / (n - 1));
        }
    }
    return anchors > 0 ? sum / anchors : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace fp
