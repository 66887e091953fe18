#include "engine/prune/choose.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "kernels/error.h"

namespace fp {
namespace {

struct Candidate {
    double score;
    const ChannelSet* set;
    int channel;
};

// Every channel that may go, in the order in which it would: a set stops at its minimum.
std::vector<Candidate> queue_of(const std::vector<ChannelSet>& sets, const SetScores& scores, const ChooseOptions& o) {
    std::vector<Candidate> all, out;
    for (const ChannelSet& set : sets) {
        const auto found = scores.find(set.name());
        if (!set.prunable || found == scores.end()) continue;
        for (int c = 0; c < set.channels; ++c) {
            FP_REQUIRE(!std::isnan(found->second[c]), Exit::data, "choose: channel ", c, " of ", set.name(),
                       " has no score");
            all.push_back({found->second[c], &set, c});
        }
    }
    std::ranges::stable_sort(all, {}, &Candidate::score);
    std::map<const ChannelSet*, int> gone;
    for (const Candidate& c : all)
        if (gone[c.set]++ < c.set->channels - std::max({1, o.min_channels, o.round_to})) out.push_back(c);
    return out;
}

// The first `count` of the queue; then each set's number is rounded.
Removal take(const std::vector<Candidate>& queue, size_t count, const ChooseOptions& o) {
    std::map<std::string, int> wanted;
    std::map<std::string, const ChannelSet*> sets;
    for (size_t i = 0; i < count; ++i) {
        ++wanted[queue[i].set->name()];
        sets[queue[i].set->name()] = queue[i].set;
    }
    if (o.round_to > 1)
        for (auto& [name, removed] : wanted) {
            const int channels = sets[name]->channels, left = channels - removed;
            const int rounded = std::max(1, (left + o.round_to / 2) / o.round_to) * o.round_to;
            removed = std::max(0, channels - rounded);
        }
    Removal out;
    for (const Candidate& c : queue) {
        const auto left = wanted.find(c.set->name());
        if (left == wanted.end() || left->second == 0) continue;
        out[c.set->name()].push_back(c.channel);
        --left->second;
    }
    for (auto& [name, channels] : out) std::sort(channels.begin(), channels.end());
    return out;
}

}  // namespace

Amount Amount::parse(const std::string& text) {
    std::string rest = text;
    Amount out;
    for (const auto& [prefix, kind] :
         {std::pair{"macs:", Kind::macs}, {"params:", Kind::params}, {"latency:", Kind::latency}})
        if (rest.starts_with(prefix)) {
            out.kind = kind;
            rest = rest.substr(std::string(prefix).size());
        }
    const bool percent = rest.ends_with("%");
    if (percent) rest.pop_back();
    char* end = nullptr;
    out.value = std::strtod(rest.c_str(), &end);
    FP_REQUIRE(!rest.empty() && *end == 0 && std::isfinite(out.value) && out.value > 0, Exit::usage, "amount `", text,
               "` is neither a count, 10%, macs:60%, params:60% nor latency:60%");
    if (percent) {
        FP_REQUIRE(out.value < 100, Exit::usage, "amount `", text, "` is not below 100%");
        out.value /= 100;
        if (out.kind == Kind::channels) out.kind = Kind::share;
    } else {
        FP_REQUIRE(out.kind == Kind::channels && out.value == std::floor(out.value), Exit::usage, "amount `", text,
                   "` is no whole number of channels");
    }
    return out;
}

std::string to_string(const Amount& a) {
    if (a.kind == Amount::Kind::channels) return text(a.value);
    constexpr const char* kPrefix[]{"", "", "macs:", "params:", "latency:"};  // by kind
    return text(kPrefix[int(a.kind)], a.value * 100, "%");
}

Removal choose(const ModelSpec& spec,
               const std::vector<ChannelSet>& sets,
               const SetScores& scores,
               const ChooseOptions& o,
               const Cost& cost) {
    const std::vector<Candidate> queue = queue_of(sets, scores, o);
    int64_t channels = 0;
    for (const ChannelSet& set : sets)
        if (scores.count(set.name())) channels += set.channels;
    FP_REQUIRE(!queue.empty(), Exit::data, "amount ", to_string(o.amount), ": none of the ", channels,
               " channels may go: every set is at its minimum");
    size_t count = 0;
    if (o.amount.kind == Amount::Kind::channels || o.amount.kind == Amount::Kind::share) {
        const double wanted =
            o.amount.kind == Amount::Kind::channels ? o.amount.value : std::round(o.amount.value * double(channels));
        FP_REQUIRE(wanted >= 1, Exit::data, "amount ", to_string(o.amount), " of ", channels, " channels is none");
        FP_REQUIRE(wanted <= double(queue.size()), Exit::data, "amount ", to_string(o.amount), ": ", int64_t(wanted),
                   " channels were asked for, 1 to ", queue.size(), " of ", channels, " can go");
        count = size_t(wanted);
    } else {
        // The cost falls with every channel that goes: find the fewest that are enough.
        auto share = [&](size_t n) {
            const Removal r = take(queue, n, o);
            return r.empty() ? 1.0 : cost(o.amount.kind, narrowed(spec, sets, r));
        };
        const double least = share(queue.size());
        FP_REQUIRE(least <= o.amount.value, Exit::data, "amount ", to_string(o.amount),
                   " cannot be reached: ", 100 * least, "% is left when all ", queue.size(),
                   " channels that may go are gone");
        size_t low = 0, high = queue.size();
        while (high - low > 1) {
            const size_t middle = (low + high) / 2;
            (share(middle) <= o.amount.value ? high : low) = middle;
        }
        count = high;
    }
    const Removal out = take(queue, count, o);
    FP_REQUIRE(!out.empty(), Exit::data, "amount ", to_string(o.amount), ": rounding to multiples of ", o.round_to,
               " leaves nothing to remove");
    return out;
}

}  // namespace fp
