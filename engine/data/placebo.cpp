#include "engine/data/placebo.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <numeric>
#include <utility>

#include "kernels/random.h"

namespace fp {

constexpr uint64_t kPlacebo = 0x91ac;  // the first word of the key

std::vector<int32_t> permuted_labels(const std::vector<int32_t>& labels,
                                     const std::vector<int32_t>& strata,
                                     const std::vector<int32_t>& units,
                                     uint64_t key) {
    std::map<std::pair<int32_t, int32_t>, std::vector<size_t>> members;  // (stratum, unit) -> known samples
    for (size_t i = 0; i < labels.size(); ++i)
        if (labels[i] >= 0)
            members[{strata.empty() ? 0 : strata[i], units.empty() ? int32_t(i) : units[i]}].push_back(i);
    std::map<std::pair<int32_t, size_t>, std::vector<const std::vector<size_t>*>> cells;
    for (const auto& [unit, samples] : members) cells[{unit.first, samples.size()}].push_back(&samples);
    std::vector<int32_t> out = labels;
    uint64_t draw = 0;
    for (const auto& [cell, alike] : cells) {
        std::vector<size_t> from(alike.size());
        std::iota(from.begin(), from.end(), size_t(0));
        for (size_t i = alike.size(); i > 1; --i) std::swap(from[i - 1], from[uniform_below(i, key, draw++)]);
        for (size_t u = 0; u < alike.size(); ++u)
            for (size_t j = 0; j < alike[u]->size(); ++j) out[(*alike[u])[j]] = labels[(*alike[from[u]])[j]];
    }
    return out;
}

Grouping groups_seen(const Dataset& set, const std::string& spec, const std::optional<uint64_t>& placebo) {
    Grouping out = group_by(set, spec);
    if (!placebo) return out;
    std::vector<int32_t> strata, units;
    std::map<std::string, int32_t> unit_index;
    for (const Sample& s : set.samples) {
        strata.push_back(int32_t(s.label) * 4 + int32_t(s.split));
        units.push_back(unit_index.emplace(s.unit, int32_t(unit_index.size())).first->second);
    }
    out.of = permuted_labels(out.of, strata, units, key_of(*placebo, kPlacebo));
    return out;
}

std::string to_text(const PlaceboNote& note) {
    return fmt::format(
        "placebo (seed {}): {} saw groups permuted among lesions within class; figures are by the true groups",
        note.seed, fmt::join(note.seen_by, ", "));
}

std::string shares_kept(const Dataset& set, const std::vector<std::string>& specs, uint64_t seed) {
    std::vector<std::string> out;
    for (const std::string& spec : specs) {
        const Grouping is = group_by(set, spec), seen = groups_seen(set, spec, seed);
        int64_t known = 0, kept = 0;
        for (const int64_t i : members(set, Split::train)) {
            known += is.of[size_t(i)] >= 0;
            kept += is.of[size_t(i)] >= 0 && is.of[size_t(i)] == seen.of[size_t(i)];
        }
        out.push_back(fmt::format("{} {:.0f} %", spec, known > 0 ? 100 * double(kept) / double(known) : 0));
    }
    return fmt::format("{}", fmt::join(out, ", "));
}

}  // namespace fp
