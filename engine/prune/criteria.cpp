#include "engine/prune/criteria.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

uint64_t hash(const std::string& name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001b3u;
    return h;
}

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

}  // namespace

SetScores weight_scores(const std::string& criterion,
                        const Network& net,
                        const std::vector<ChannelSet>& sets,
                        uint64_t seed) {
    SetScores out;
    for (const ChannelSet& set : sets) {
        if (!set.prunable) continue;
        std::vector<double> value(set.channels, 0.0);
        auto add = [&](const std::vector<double>& v) {
            for (int c = 0; c < set.channels; ++c) value[c] += v[c];
        };
        if (criterion == "random") {
            for (int c = 0; c < set.channels; ++c)
                value[c] = uniform_double(key_of(seed, hash(set.name())), uint64_t(c));
            out[set.name()] = value;
            continue;
        }
        bool found = false;
        for (const std::string& name : set.rows) {
            const Param& p = *net.params.find(name);
            const bool is_gamma = p.kind == Param::Kind::vector && name.ends_with(".weight");
            if ((criterion == "l1" || criterion == "l2") && is_filter(p)) {
                add(row_norms(net, p, criterion == "l2"));
                found = true;
            } else if (criterion == "bn" && is_gamma) {
                add(row_norms(net, p, false));
                found = true;
            }
        }
        FP_REQUIRE(criterion == "l1" || criterion == "l2" || criterion == "bn", Exit::usage,
                   "criterion ", criterion, " is unknown: snnl, random, l1, l2 or bn");
        FP_REQUIRE(found, Exit::data, "criterion bn: ", set.name(), " has no batch norm");
        const double mean = std::accumulate(value.begin(), value.end(), 0.0) / set.channels;
        for (double& v : value) v /= mean > 0 ? mean : 1;
        out[set.name()] = value;
    }
    return out;
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
