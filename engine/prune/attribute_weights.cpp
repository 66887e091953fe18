#include "engine/prune/attribute_weights.h"

#include <algorithm>
#include <cmath>

namespace fp {

double loss_disparity(const Predictions& p, const std::string& attribute) {
    const Grouping g = group_by(attribute_columns(p), attribute);
    std::vector<double> sum(g.groups.size(), 0.0), count(g.groups.size(), 0.0);
    for (int64_t i = 0; i < p.size(); ++i) {
        if (g.of[size_t(i)] < 0) continue;
        sum[g.of[size_t(i)]] -= std::log(std::max(p.row(i)[p.label[i]], 1e-12));
        count[g.of[size_t(i)]] += 1;
    }
    std::vector<double> loss;
    for (size_t k = 0; k < sum.size(); ++k)
        if (count[k] > 0) loss.push_back(sum[k] / count[k]);
    if (loss.size() < 2) return 0;
    double mean = 0, variance = 0;
    for (const double l : loss) mean += l / double(loss.size());
    for (const double l : loss) variance += (l - mean) * (l - mean) / double(loss.size());
    return mean > 0 ? variance / (mean * mean) : 0;
}

std::map<std::string, double> learned_weights(const std::map<std::string, double>& weights,
                                              const Predictions& validation,
                                              double eta) {
    std::map<std::string, double> out;
    double before = 0, after = 0;
    for (const auto& [attribute, w] : weights) {
        out[attribute] = w * std::exp(eta * loss_disparity(validation, attribute));
        before += w;
        after += out[attribute];
    }
    for (auto& [attribute, w] : out) w *= before / after;
    return out;
}

}  // namespace fp
