#include "engine/prune/choose.h"

#include <algorithm>
#include <cmath>

#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

// In an amount's text, by kind.
constexpr std::string_view kPrefixes[]{"", "", "macs:", "params:", "latency:"};

struct Candidate {
    double score;
    const ChannelSet* set;
    int channel;
};

// Every channel that may be removed, in order of removal: a set stops at its minimum, a multiple of round_to.
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
    const int least = (std::max(1, o.min_channels) + o.round_to - 1) / o.round_to * o.round_to;
    std::map<const ChannelSet*, int> gone;
    for (const Candidate& c : all)
        if (gone[c.set]++ < c.set->channels - least) out.push_back(c);
    return out;
}

// The first `count` of the queue; then each set's number is rounded.
Removal take(const std::vector<Candidate>& queue, size_t count, const ChooseOptions& o) {
    std::map<const ChannelSet*, int> wanted;
    for (size_t i = 0; i < count; ++i) ++wanted[queue[i].set];
    for (auto& [set, removed] : wanted) {
        const int left = set->channels - removed;
        removed = std::max(0, set->channels - (left + o.round_to / 2) / o.round_to * o.round_to);
    }
    Removal out;
    for (const Candidate& c : queue)
        if (wanted[c.set]-- > 0) out[c.set->name()].push_back(c.channel);
    for (auto& [name, channels] : out) std::sort(channels.begin(), channels.end());
    return out;
}

}  // namespace

Amount Amount::parse(const std::string& text) {
    std::string_view rest = text;
    Amount out;
    for (const Kind kind : {Kind::macs, Kind::params, Kind::latency})
        if (const std::string_view prefix = kPrefixes[int(kind)]; rest.starts_with(prefix)) {
            out.kind = kind;
            rest.remove_prefix(prefix.size());
        }
    const bool percent = rest.ends_with('%');
    if (percent) rest.remove_suffix(1);
    out.value = parse_number(rest).value_or(0);
    FP_REQUIRE(out.value > 0, Exit::usage, "amount `", text,
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
    return text(kPrefixes[int(a.kind)], a.value * 100, "%");
}

Removal choose(const ModelSpec& spec,
               const std::vector<ChannelSet>& sets,
               const SetScores& scores,
               const ChooseOptions& o,
               const Cost& cost) {
    FP_CHECK(o.round_to >= 1, "choose: round_to is ", o.round_to);
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
