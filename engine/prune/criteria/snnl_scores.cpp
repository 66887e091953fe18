#include "engine/prune/criteria/snnl_scores.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>

#include "engine/data/placebo.h"
#include "engine/eval/snnl_chance.h"
#include "engine/fairness/intervals.h"
#include "engine/parallel/gather.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr size_t kSetsAtOnce = 16;  // label sets over one pass of distances

// Device memory of a block of samples, reused from block to block.
struct BlockMemory {
    Buffer labels, strata, scores, scratch;
};

// Scores [set][channel] of `count` samples from `begin`.
std::vector<double> score_block(const Kernels& k,
                                BlockMemory& at,
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
                .definition = o.definition,
                .of_channels = f.of_channels};
    s.x.n = int(count);
    std::vector<int32_t> labels;
    for (const LabelSet& set : sets)
        labels.insert(labels.end(), set.of.begin() + begin, set.of.begin() + begin + count);
    std::vector<double> out(sets.size() * size_t(f.map.c));
    const size_t label_bytes = labels.size() * sizeof(int32_t), stratum_bytes = size_t(count) * sizeof(int32_t),
                 score_bytes = out.size() * sizeof(double);
    at.labels.grow(k.memory, label_bytes);
    at.strata.grow(k.memory, stratum_bytes);
    at.scores.grow(k.memory, score_bytes);
    at.scratch.grow(k.memory, std::max<size_t>(k.snnl.scratch_bytes(s, false), 1));
    k.memory.copy_in(at.labels.data(), labels.data(), label_bytes, {});
    if (o.given_class) k.memory.copy_in(at.strata.data(), classes.data() + begin, stratum_bytes, {});
    const size_t one = size_t(f.map.stored() / f.map.n) * bytes_of(k.activation);
    const void* first = f.data.as<char>() + size_t(begin) * one;
    k.snnl.forward(s,
                   {.x = static_cast<const act*>(first),
                    .labels = at.labels.as<int32_t>(),
                    .strata = o.given_class ? at.strata.as<int32_t>() : nullptr,
                    .scores = at.scores.as<double>()},
                   at.scratch.data(), {});
    k.memory.copy_out(out.data(), at.scores.data(), score_bytes, {});
    return out;
}

// The mean over blocks, [set][channel].
std::vector<std::vector<double>> score_sets(const Kernels& k,
                                            const Features& f,
                                            int64_t block,
                                            const std::vector<LabelSet>& sets,
                                            const std::vector<int32_t>& classes,
                                            const SnnlOptions& o,
                                            const std::function<void()>& ask) {
    const int64_t blocks = f.map.n / block;
    const auto channels = size_t(f.map.c);
    BlockMemory memory;
    std::vector<std::vector<double>> out(sets.size(), std::vector<double>(channels, 0.0));
    if (channels == 0) return out;  // a rank without channels
    for (size_t first = 0; first < sets.size(); first += kSetsAtOnce) {
        const size_t last = std::min(sets.size(), first + kSetsAtOnce);
        const std::vector<LabelSet> some(sets.begin() + int64_t(first), sets.begin() + int64_t(last));
        for (int64_t b = 0; b < blocks; ++b) {
            if (ask) ask();
            const std::vector<double> scores = score_block(k, memory, f, b * block, block, some, classes, o);
            for (size_t s = first; s < last; ++s)
                for (size_t c = 0; c < channels; ++c) out[s][c] += scores[(s - first) * channels + c] / double(blocks);
        }
    }
    return out;
}

// Of `count` permuted scores per channel, from permuted[first] on.
NullScores null_of(const std::vector<double>& score,
                   const std::vector<std::vector<double>>& permuted,
                   size_t first,
                   int count) {
    NullScores out{.permutations = count, .mean = {}, .sd = {}, .z = {}, .p = {}};
    for (size_t c = 0; c < score.size(); ++c) {
        double sum = 0, squares = 0;
        int as_low = 0;
        for (size_t r = first; r < first + size_t(count); ++r) {
            sum += permuted[r][c];
            as_low += permuted[r][c] <= score[c];
        }
        const double mean = sum / count;
        for (size_t r = first; r < first + size_t(count); ++r)
            squares += (permuted[r][c] - mean) * (permuted[r][c] - mean);
        const double sd = count > 1 ? std::sqrt(squares / (count - 1)) : kNotEstimable;
        out.mean.push_back(mean);
        out.sd.push_back(sd);
        out.z.push_back(sd > 0 ? (score[c] - mean) / sd : kNotEstimable);
        out.p.push_back((1.0 + as_low) / (1.0 + count));
    }
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

bool know_the_same(const std::vector<LabelSet>& sets) {
    const auto alike = [&](const LabelSet& set) {
        return std::ranges::equal(set.of, sets[0].of, [](int32_t a, int32_t b) { return (a < 0) == (b < 0); });
    };
    return std::ranges::all_of(sets, alike);
}

// Every array with a number per channel.
template <class Visit>
void for_channel_arrays(LayerScores& r, const Visit& visit) {
    visit(r.score);
    visit(r.normalized);
    if (r.halves)
        for (auto& half : *r.halves) visit(half);
    if (!r.null) return;
    for (auto* array : {&r.null->mean, &r.null->sd, &r.null->z, &r.null->p}) visit(*array);
}

std::vector<LayerScores> with_seconds(std::vector<LayerScores> scores, std::chrono::steady_clock::time_point start) {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
    for (LayerScores& r : scores) r.seconds = passed.count();
    return scores;
}

}  // namespace

const char* name(SnnlShape::Definition d) { return d == SnnlShape::Definition::exact ? "exact" : "as-released"; }
const char* name(SnnlShape::Distance d) { return d == SnnlShape::Distance::cosine ? "cosine" : "euclidean"; }

LabelSet permuted(const LabelSet& set, const std::vector<int32_t>& strata, uint64_t seed, int index) {
    LabelSet out = set;
    out.of = permuted_labels(set.of, strata, set.unit, key_of(seed, 0x9e12, uint64_t(index)));
    return out;
}

LabelSet half_of(const LabelSet& set, const std::vector<int32_t>& strata, int half) {
    LabelSet out = set;
    std::map<std::pair<int32_t, int32_t>, int> seen;  // lesions of a stratum and group
    std::map<int32_t, int> half_of_unit;
    for (size_t i = 0; i < set.of.size(); ++i) {
        if (set.of[i] < 0) continue;
        const int32_t unit = set.unit.empty() ? int32_t(i) : set.unit[i];
        const auto [found, is_new] = half_of_unit.emplace(unit, 0);
        if (is_new) found->second = seen[{strata[i], set.of[i]}]++ % 2;
        if (found->second != half) out.of[i] = -1;
    }
    return out;
}

bool chance_is_low(const SnnlOptions& o, const Map& map) {
    return o.definition == SnnlShape::Definition::exact && (o.temperature < 0.5 || map.pixels() < 49);
}

std::vector<LayerScores> score_layer(const Kernels& k,
                                     Features& f,
                                     const std::vector<LabelSet>& sets,
                                     const std::vector<int32_t>& classes,
                                     const SnnlOptions& o,
                                     Tap tap,
                                     const std::function<void()>& ask) {
    const auto start = std::chrono::steady_clock::now();
    for (const LabelSet& set : sets)
        FP_CHECK(int(set.of.size()) == f.map.n, "scores: ", set.of.size(), " labels for ", f.map.n, " samples");
    if (o.centred && !know_the_same(sets)) {  // each attribute about the mean of the samples that it knows
        std::vector<LayerScores> out;
        for (const LabelSet& set : sets) out.push_back(score_layer(k, f, {set}, classes, o, tap, ask).at(0));
        return with_seconds(std::move(out), start);
    }
    if (o.centred && !sets.empty()) centre(k, f, sets[0].of);
    const int64_t block = o.block > 0 ? std::min<int64_t>(o.block, f.map.n) : f.map.n;
    const int64_t blocks = f.map.n / block;

    // The labels themselves, then each attribute's permutations, all over the same distances. Labels are permuted
    // within a block (and class), since a block's chance is that of its own groups.
    std::vector<int32_t> strata;
    for (int i = 0; i < f.map.n; ++i)
        strata.push_back(int32_t(i / block) + (o.given_class ? int32_t(blocks + 1) * classes[i] : 0));
    std::vector<LabelSet> asked = sets;
    for (const LabelSet& set : sets)
        for (int r = 0; r < o.permutations; ++r) asked.push_back(permuted(set, strata, o.seed, r));
    const size_t first_half = asked.size();
    for (const LabelSet& set : sets)
        for (int half = 0; half < 2 && o.halves; ++half) asked.push_back(half_of(set, strata, half));
    const auto scores = score_sets(k, f, block, asked, classes, o, ask);

    const auto chance_of = [&](const LabelSet& set) {
        double sum = 0;
        for (int64_t b = 0; b < blocks; ++b)
            sum += chance(slice(set.of, b * block, block), slice(strata, b * block, block)) / double(blocks);
        return sum;
    };
    std::vector<LayerScores> out(sets.size());
    for (size_t s = 0; s < sets.size(); ++s) {
        LayerScores& r = out[s];
        r.layer = f.layer;
        r.tap = name(tap);
        r.attribute = sets[s].name;
        r.definition = name(o.definition);
        r.distance = name(o.distance);
        r.temperature = o.temperature;
        r.samples = std::count_if(sets[s].of.begin(), sets[s].of.end(), [](int32_t l) { return l >= 0; });
        r.blocks = blocks;
        r.score = scores[s];
        r.chance = chance_of(sets[s]);
        // With a single group chance is 0: the score is not estimable, and the channel not "most sensitive".
        if (!(r.chance > 0)) {
            r.reason = why_not_estimable(sets[s].of);
            r.score.assign(size_t(f.map.c), kNotEstimable);
        } else if (o.permutations > 0) {
            r.null = null_of(r.score, scores, sets.size() + s * size_t(o.permutations), o.permutations);
            if (chance_is_low(o, f.map)) r.normalized_by = "permutations";
        }
        const auto normalized = [&](const std::vector<double>& score) {  // NaN stays NaN
            std::vector<double> by_channel;
            for (size_t c = 0; c < score.size(); ++c)
                by_channel.push_back(score[c] / (r.normalized_by == "chance" ? r.chance : r.null->mean[c]));
            return by_channel;
        };
        r.normalized = normalized(r.score);
        if (!o.halves) continue;
        auto& halves = r.halves.emplace();
        for (size_t half = 0; half < 2; ++half) {
            const size_t at = first_half + 2 * s + half;
            // A half has other group sizes, and so its own chance; with one group alone it has none.
            const double own = chance_of(asked[at]) / r.chance;
            halves[half] = normalized(scores[at]);
            for (double& v : halves[half]) v = own > 0 ? v / own : kNotEstimable;
        }
    }
    return with_seconds(std::move(out), start);
}

std::map<std::string, double> noise_of(const SetScores& first, const SetScores& second) {
    constexpr double kNormal = 1.4826;  // of a normal distribution, its standard deviation over its median |x|
    std::map<std::string, double> out;
    for (const auto& [set, values] : first) {
        std::vector<double> apart;
        for (size_t c = 0; c < values.size(); ++c)
            if (const double d = std::abs(values[c] - second.at(set)[c]); std::isfinite(d)) apart.push_back(d / 2);
        if (apart.empty()) continue;
        const auto middle = apart.begin() + int64_t(apart.size() / 2);
        std::ranges::nth_element(apart, middle);
        out[set] = kNormal * *middle;
    }
    return out;
}

std::vector<LayerScores> of_all_channels(const Comm& ranks, std::vector<LayerScores> mine) {
    if (ranks.alone() || mine.empty()) return mine;
    std::vector<double> sent{mine[0].seconds};
    for (LayerScores& r : mine)
        for_channel_arrays(r, [&](std::vector<double>& array) {
            sent.insert(sent.end(), array.begin(), array.end());
            array.clear();
        });
    size_t arrays = 0;
    for (LayerScores& r : mine) for_channel_arrays(r, [&](auto&) { ++arrays; });
    double seconds = 0;
    for (const std::vector<double>& from : gather_each(ranks, sent)) {
        const size_t channels = (from.size() - 1) / arrays;
        auto at = from.begin() + 1;
        for (LayerScores& r : mine)
            for_channel_arrays(r, [&](std::vector<double>& array) {
                array.insert(array.end(), at, at + int64_t(channels));
                at += int64_t(channels);
            });
        seconds = std::max(seconds, from[0]);
    }
    for (LayerScores& r : mine) r.seconds = seconds;
    return mine;
}

}  // namespace fp
