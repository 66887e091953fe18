#include "engine/prune/snnl_scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Scores [set][channel] of `count` samples from `begin`.
std::vector<double> score_block(const Kernels& k,
                                const Features& f,
                                int64_t begin,
                                int64_t count,
                                const std::vector<LabelSet>& sets,
                                const std::vector<int32_t>& classes,
                                const SnnlOptions& o) {
    SnnlShape s{.x = f.map,
                .sets = int(sets.size()),
                .temperature = o.temperature,
                .distance = o.distance,
                .definition = o.definition};
    s.x.n = int(count);
    std::vector<int32_t> labels;
    for (const LabelSet& set : sets)
        labels.insert(labels.end(), set.of.begin() + begin, set.of.begin() + begin + count);
    const Buffer device_labels(k.memory, labels.size() * sizeof(int32_t));
    const Buffer strata(k.memory, size_t(count) * sizeof(int32_t));
    const Buffer scores(k.memory, sets.size() * size_t(f.map.c) * sizeof(double));
    const Buffer scratch(k.memory, std::max<size_t>(k.snnl.scratch_bytes(s), 1));
    k.memory.copy_in(device_labels.data(), labels.data(), device_labels.bytes(), {});
    if (o.given_class) k.memory.copy_in(strata.data(), classes.data() + begin, strata.bytes(), {});
    const size_t one = size_t(f.map.stored() / f.map.n) * bytes_of(k.activation);
    k.snnl.forward(s, static_cast<char*>(f.data.data()) + size_t(begin) * one,
                   static_cast<int32_t*>(device_labels.data()),
                   o.given_class ? static_cast<int32_t*>(strata.data()) : nullptr,
                   static_cast<double*>(scores.data()), scratch.data(), {});
    std::vector<double> out(sets.size() * size_t(f.map.c));
    k.memory.copy_out(out.data(), scores.data(), scores.bytes(), {});
    return out;
}

std::vector<int32_t> slice(const std::vector<int32_t>& v, int64_t begin, int64_t count) {
    return {v.begin() + begin, v.begin() + begin + count};
}

std::string why_not_estimable(const std::vector<int32_t>& labels) {
    std::map<int32_t, int64_t> sizes;
    for (const int32_t l : labels)
        if (l >= 0) ++sizes[l];
    if (sizes.empty()) return "every sample's group is unknown";
    if (sizes.size() == 1) return text("one group only (n=", sizes.begin()->second, ")");
    return "no group has two samples";
}

}  // namespace

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
    return anchors > 0 ? sum / anchors : kNaN;
}

std::vector<LayerScores> score_layer(const Kernels& k,
                                     Features& f,
                                     const std::vector<LabelSet>& sets,
                                     const std::vector<int32_t>& classes,
                                     const SnnlOptions& o,
                                     Tap tap) {
    for (const LabelSet& set : sets)
        FP_CHECK(int(set.of.size()) == f.map.n, "scores: ", set.of.size(), " labels for ", f.map.n,
                 " samples");
    if (o.centred) centre(k, f);
    const int64_t block = o.block > 0 ? std::min<int64_t>(o.block, f.map.n) : f.map.n;
    const int64_t blocks = f.map.n / block;

    std::vector<LayerScores> out(sets.size());
    for (size_t s = 0; s < sets.size(); ++s) {
        LayerScores& r = out[s];
        r.layer = f.layer;
        r.tap = name(tap);
        r.attribute = sets[s].name;
        r.definition = o.definition == SnnlShape::Definition::exact ? "exact" : "as-released";
        r.distance = o.distance == SnnlShape::Distance::cosine ? "cosine" : "euclidean";
        r.temperature = o.temperature;
        r.samples =
            std::count_if(sets[s].of.begin(), sets[s].of.end(), [](int32_t l) { return l >= 0; });
        r.blocks = blocks;
        r.score.assign(f.map.c, 0.0);
    }
    for (int64_t b = 0; b < blocks; ++b) {
        const std::vector<double> scores = score_block(k, f, b * block, block, sets, classes, o);
        for (size_t s = 0; s < sets.size(); ++s) {
            for (int c = 0; c < f.map.c; ++c)
                out[s].score[c] += scores[s * f.map.c + c] / double(blocks);
            const auto strata =
                o.given_class ? slice(classes, b * block, block) : std::vector<int32_t>{};
            out[s].chance += chance(slice(sets[s].of, b * block, block), strata) / double(blocks);
        }
    }
    for (size_t s = 0; s < sets.size(); ++s) {
        LayerScores& r = out[s];
        // A single group has chance 0: nothing to tell, not "most sensitive".
        if (!(r.chance > 0)) {
            r.reason = why_not_estimable(sets[s].of);
            r.score.assign(f.map.c, kNaN);
        }
        for (const double v : r.score)
            r.normalized.push_back(r.reason.empty() ? v / r.chance : kNaN);
    }
    return out;
}

}  // namespace fp
