#include "engine/prune/criteria/criteria.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "kernels/name_key.h"
#include "kernels/random.h"

namespace fp {
namespace {

bool is_filter(const Param& p) {
    return p.kind == Param::Kind::filter || p.kind == Param::Kind::linear;
}

std::vector<double> row_norms(const Network& net, const Param& p, bool squared) {
    const std::vector<double> w = net.params.get(p);
    const int64_t row = p.count() / p.shape.k;
    std::vector<double> out(p.shape.k, 0.0);
    for (int k = 0; k < p.shape.k; ++k) {
        for (int64_t i = 0; i < row; ++i) {
            const double v = w[size_t(k * row + i)];
            out[k] += squared ? v * v : std::abs(v);
        }
        if (squared) out[k] = std::sqrt(out[k]);
    }
    return out;
}

// sum_j |W_c - W_j|_2
std::vector<double> distances_to_others(const Network& net, const Param& p) {
    const std::vector<double> w = net.params.get(p);
    const int64_t row = p.count() / p.shape.k;
    std::vector<double> out(p.shape.k, 0.0);
#pragma omp parallel for schedule(dynamic)
    for (int a = 0; a < p.shape.k; ++a)
        for (int b = 0; b < p.shape.k; ++b) {
            double sum = 0;
            for (int64_t i = 0; i < row; ++i) {
                const double d = w[size_t(a * row + i)] - w[size_t(b * row + i)];
                sum += d * d;
            }
            out[a] += std::sqrt(sum);
        }
    return out;
}

}  // namespace

const std::vector<std::string>& criterion_names() {
    static const std::vector<std::string> names{
        "snnl", "random", "l1", "l2", "bn", "fpgm", "taylor", "fairprune", "fairgrape", "skewness"};
    return names;
}

bool needs_groups(const std::string& criterion) {
    return criterion == "snnl" || criterion == "fairprune" || criterion == "fairgrape";
}

bool is_weight_criterion(const std::string& c) {
    return c == "random" || c == "l1" || c == "l2" || c == "bn" || c == "fpgm";
}

SetScores weight_values(const std::string& criterion,
                        const Network& net,
                        const std::vector<ChannelSet>& sets,
                        uint64_t seed) {
    FP_CHECK(is_weight_criterion(criterion), "criterion ", criterion, " is not one of weights");
    SetScores out;
    for (const ChannelSet& set : sets) {
        if (!set.prunable) continue;
        std::vector<double>& value = out[set.name()];
        value.assign(set.channels, 0.0);
        if (criterion == "random") {
            for (int c = 0; c < set.channels; ++c)
                value[c] = uniform_double(key_of(seed, key_of_name(set.name())), uint64_t(c));
            continue;
        }
        bool found = false;
        for (const std::string& name : set.rows) {
            const Param& p = *net.params.find(name);
            const bool is_gamma = p.kind == Param::Kind::vector && name.ends_with(".weight");
            if (criterion == "bn" ? !is_gamma : !is_filter(p)) continue;
            const std::vector<double> own = criterion == "fpgm"
                                                ? distances_to_others(net, p)
                                                : row_norms(net, p, criterion == "l2");
            for (int c = 0; c < set.channels; ++c) value[c] += own[c];
            found = true;
        }
        // A set that is not asked for may lack norms; what is asked for must not.
        if (!found) out.erase(set.name());
    }
    return out;
}

SetScores over_mean(SetScores values) {
    for (auto& [name, v] : values) {
        double mean = 0;
        for (const double x : v) mean += std::abs(x) / double(v.size());
        for (double& x : v) x /= mean > 0 ? mean : 1;
    }
    return values;
}

SetScores snnl_set_scores(const std::vector<ChannelSet>& sets,
                          const std::vector<LayerScores>& scores,
                          const std::map<std::string, double>& attribute_weights,
                          const std::string& class_name,
                          double lambda) {
    double weights = 0;
    for (const auto& [attribute, weight] : attribute_weights) weights += weight;
    FP_REQUIRE(weights > 0, Exit::usage, "scores: the attributes' weights sum to ", weights);
    SetScores out;
    for (const ChannelSet& set : sets) {
        if (!set.prunable) continue;
        std::vector<double> value(set.channels, 0.0);
        int layers = 0;
        for (const std::string& layer : set.layers) {
            bool seen = false;
            for (const LayerScores& r : scores) {
                if (r.layer != layer) continue;
                double share = 0;
                if (const auto w = attribute_weights.find(r.attribute);
                    w != attribute_weights.end()) {
                    share = w->second / weights;
                    seen = true;
                } else if (r.attribute == class_name) {
                    share = -lambda;
                } else {
                    continue;
                }
                if (share == 0) continue;
                FP_REQUIRE(r.reason.empty(), Exit::data, "scores of ", layer, " by ", r.attribute,
                           ": not estimable: ", r.reason);
                FP_REQUIRE(int(r.normalized.size()) == set.channels, Exit::data, "scores of ",
                           layer, ": ", r.normalized.size(), " channels, the model has ",
                           set.channels);
                for (int c = 0; c < set.channels; ++c)
                    value[c] += share * r.normalized[c] + (r.attribute == class_name ? lambda : 0);
            }
            layers += seen;
        }
        if (layers == 0) continue;
        for (double& v : value) v /= layers;
        out[set.name()] = value;
    }
    return out;
}

}  // namespace fp
