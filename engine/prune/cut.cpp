#include "engine/prune/cut.h"

#include <algorithm>
#include <numeric>

#include "kernels/error.h"

namespace fp {
namespace {

std::vector<int> all_of(int count) {
    std::vector<int> out(count);
    std::iota(out.begin(), out.end(), 0);
    return out;
}

std::vector<int> without(int count, std::vector<int> removed, const std::string& set) {
    std::sort(removed.begin(), removed.end());
    FP_CHECK(std::adjacent_find(removed.begin(), removed.end()) == removed.end(), set, ": a channel is removed twice");
    FP_CHECK(removed.empty() || (removed.front() >= 0 && removed.back() < count), set, ": channel ",
             removed.empty() ? 0 : (removed.front() < 0 ? removed.front() : removed.back()), " of ", count);
    std::vector<int> out;
    for (int c = 0; c < count; ++c)
        if (!std::binary_search(removed.begin(), removed.end(), c)) out.push_back(c);
    return out;
}

struct CutSet {
    const ChannelSet& set;
    const std::vector<int>& removed;
};

// The sets that lose channels.
std::vector<CutSet> cut_sets(const std::vector<ChannelSet>& sets, const Removal& removal) {
    std::vector<CutSet> out;
    for (const ChannelSet& set : sets)
        if (const auto found = removal.find(set.name()); found != removal.end() && !found->second.empty())
            out.push_back({set, found->second});
    return out;
}

// The same, after a check that the removal is possible.
std::vector<CutSet> checked(const std::vector<ChannelSet>& sets, const Removal& removal) {
    for (const auto& [name, channels] : removal) {
        const auto set = std::ranges::find(sets, name, &ChannelSet::name);
        FP_CHECK(set != sets.end(), "removal: no set is called ", name);
        FP_REQUIRE(set->prunable, Exit::data, "removal: the channels of ", name, " cannot be removed");
        FP_REQUIRE(channels.size() < size_t(set->channels), Exit::data, "removal: nothing would be left of the ",
                   set->channels, " channels of ", name);
    }
    std::vector<CutSet> out = cut_sets(sets, removal);
    FP_REQUIRE(!out.empty(), Exit::data, "removal: there is nothing to remove");
    return out;
}

void zero_rows(Network& network, const Param& p, const std::vector<int>& rows) {
    std::vector<double> values = network.params.get(p);
    const int64_t row = p.count() / p.shape.k;
    for (const int c : rows) std::fill_n(values.begin() + c * row, row, 0.0);
    network.params.set(p, values.data());
}

}  // namespace

bool is_filter(const Param& p) { return p.kind == Param::Kind::filter || p.kind == Param::Kind::linear; }

std::map<std::string, Kept> kept_of(const Network& network,
                                    const std::vector<ChannelSet>& sets,
                                    const Removal& removal) {
    std::map<std::string, Kept> kept;
    for (const Param& p : network.params.all()) kept[p.name] = {all_of(p.shape.k), all_of(p.shape.c)};
    for (const auto& [set, removed] : cut_sets(sets, removal)) {
        const std::vector<int> left = without(set.channels, removed, set.name());
        for (const std::string& name : set.rows) kept.at(name).rows = left;
        for (const std::string& name : set.columns) kept.at(name).columns = left;
    }
    return kept;
}

ModelSpec narrowed(const ModelSpec& spec, const std::vector<ChannelSet>& sets, const Removal& removal) {
    ModelSpec out = spec;
    for (const auto& [set, removed] : checked(sets, removal))
        for (const std::string& layer : set.layers) out.widths[layer] = set.channels - int(removed.size());
    return out;
}

std::vector<double> gather(const Param& old, const Kept& kept, const std::vector<double>& values) {
    const Filter& f = old.shape;
    const int64_t window = int64_t(f.r) * f.s;
    std::vector<double> out;
    out.reserve(kept.rows.size() * kept.columns.size() * size_t(window));
    for (const int k : kept.rows)
        for (const int c : kept.columns) {
            const auto from = values.begin() + (int64_t(k) * f.c + c) * window;
            out.insert(out.end(), from, from + window);
        }
    return out;
}

std::unique_ptr<Network> cut(const Network& network, const std::vector<ChannelSet>& sets, const Removal& removal) {
    auto out =
        std::make_unique<Network>(network.architecture, narrowed(network.spec, sets, removal), network.kernels());
    const auto kept = kept_of(network, sets, removal);
    for (const Param& p : out->params.all()) {
        const Param* old = network.params.find(p.name);
        FP_CHECK(old, "cut: ", p.name, " is not in the network that is cut");
        const std::vector<double> values = gather(*old, kept.at(p.name), network.params.get(*old));
        FP_CHECK(int64_t(values.size()) == p.count(), "cut: ", p.name, " keeps ", values.size(), " values, wants ",
                 p.count());
        out->params.set(p, values.data());
    }
    return out;
}

void mask_filters(Network& network, const std::vector<ChannelSet>& sets, const Removal& removal) {
    for (const auto& [set, removed] : checked(sets, removal))
        for (const std::string& name : set.rows)
            if (const Param& p = *network.params.find(name); is_filter(p)) zero_rows(network, p, removed);
}

void silence(Network& network, const std::vector<ChannelSet>& sets, const Removal& removal) {
    for (const auto& [set, removed] : checked(sets, removal)) {
        const bool has_norm =
            std::ranges::any_of(set.rows, [](const std::string& name) { return name.ends_with("running_var"); });
        for (const std::string& name : set.rows) {
            const Param& p = *network.params.find(name);
            if (p.kind == Param::Kind::statistic || (has_norm && is_filter(p))) continue;
            zero_rows(network, p, removed);
        }
    }
}

KeptChannels compose(const KeptChannels& before, const std::vector<ChannelSet>& sets, const Removal& removal) {
    KeptChannels out = before;
    for (const auto& [set, removed] : cut_sets(sets, removal)) {
        const std::vector<int> left = without(set.channels, removed, set.name());
        for (const std::string& layer : set.layers) {
            const auto original = before.find(layer);
            std::vector<int> kept;
            for (const int c : left) kept.push_back(original == before.end() ? c : original->second.at(c));
            out[layer] = kept;
        }
    }
    return out;
}

}  // namespace fp
