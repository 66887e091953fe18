#include "engine/core/channel_sets.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "kernels/error.h"

namespace fp {
namespace {

// For each row, the first row of its set of channels.
std::vector<int> channel_leaders(const std::vector<Node>& rows) {
    std::vector<int> leader(rows.size());
    std::iota(leader.begin(), leader.end(), 0);
    auto find = [&](int row) {
        while (leader[row] != row) row = leader[row] = leader[leader[row]];
        return row;
    };
    for (int row = 0; row < int(rows.size()); ++row) {
        if (makes_channels(rows[row].op)) continue;
        for (const Var in : rows[row].inputs) {
            const int a = find(row), b = find(in.row);
            leader[std::max(a, b)] = std::min(a, b);
        }
    }
    for (int row = 0; row < int(rows.size()); ++row) leader[row] = find(row);
    return leader;
}

// `*` is any run of characters, `?` any one. Only the last star met can still be stretched, so this takes at
// most pattern x name steps.
bool matches(std::string_view pattern, std::string_view name) {
    size_t p = 0, n = 0, star = pattern.npos, begin = 0;  // the star's run is name[begin, n)
    while (n < name.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            begin = n;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
            ++p;
            ++n;
        } else if (star != pattern.npos) {
            p = star + 1;
            n = ++begin;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == pattern.npos;
}

}  // namespace

std::vector<ChannelSet> channel_sets(const std::vector<Node>& rows) {
    const std::vector<int> leader = channel_leaders(rows);
    std::map<int, size_t> place;  // leader -> index
    std::vector<ChannelSet> sets;
    auto set_at = [&](int row) -> ChannelSet& {
        const auto [at, is_new] = place.emplace(leader[row], sets.size());
        if (is_new) sets.emplace_back();
        return sets[at->second];
    };
    for (int row = 0; row < int(rows.size()); ++row) {
        const Node& node = rows[row];
        ChannelSet& own = set_at(row);
        if (makes_channels(node.op)) {
            own.channels = node.value.map.c;
            if (!node.layer.empty()) own.layers.push_back(node.layer);
        }
        for (const ParamUse& use : node.params) {
            set_at(row).rows.push_back(use.param->name);
            if (use.columns) set_at(node.inputs[0].row).columns.push_back(use.param->name);
        }
    }
    if (!rows.empty()) {
        set_at(0).prunable = false;
        set_at(int(rows.size()) - 1).prunable = false;
    }
    std::erase_if(sets, [](const ChannelSet& s) { return s.layers.empty(); });
    return sets;
}

const ChannelSet& set_of(const std::vector<ChannelSet>& sets, const std::string& layer) {
    for (const ChannelSet& set : sets)
        if (std::find(set.layers.begin(), set.layers.end(), layer) != set.layers.end()) return set;
    fail_with(Exit::usage, "layer ", layer, " is not in this network");
}

std::vector<std::string> match_layers(const std::vector<Node>& rows,
                                      const std::vector<ChannelSet>& sets,
                                      const std::string& pattern) {
    std::vector<std::string> all, out;
    std::string last;
    for (const Node& node : rows) {
        if (!makes_channels(node.op) || node.layer.empty() || !set_of(sets, node.layer).prunable) continue;
        all.push_back(node.layer);
        const bool is_conv = is<ConvShape>(node.op);
        if (is_conv) last = node.layer;
        if (pattern == "all" ? is_conv : pattern != "last" && matches(pattern, node.layer)) out.push_back(node.layer);
    }
    if (pattern == "last") out = {last};
    std::string known;
    for (const std::string& name : all) known += " " + name;
    FP_REQUIRE(!out.empty() && !out[0].empty(), Exit::usage, "layers `", pattern, "` names none of:", known);
    return out;
}

}  // namespace fp
