#include "engine/prune/choose.h"

#include <algorithm>
#include <cmath>

#include "engine/io/columns.h"
#include "kernels/error.h"
#include "kernels/layout.h"

namespace fp {
namespace {

// In an amount's text, by kind.
constexpr std::string_view kPrefixes[]{"", "", "macs:", "params:", "latency:"};

struct Candidate {
    double score;
    const ChannelSet* set;
    int channel;
};

// What every set keeps: its minimum, or the least multiple of round_to that is as much.
int least_kept(const ChooseOptions& o) { return int(round_up(std::max(1, o.min_channels), o.round_to.value_or(1))); }

// Every channel that may be removed, in order of removal.
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
    const int least = least_kept(o);
    std::map<const ChannelSet*, int> gone;
    for (const Candidate& c : all)
        if (gone[c.set]++ < c.set->channels - least) out.push_back(c);
    return out;
}

// How many channels each set loses.
using Counts = std::map<const ChannelSet*, int>;

Counts first_of(const std::vector<Candidate>& queue, size_t count) {
    Counts out;
    for (size_t i = 0; i < count; ++i) ++out[queue[i].set];
    return out;
}

void round_to_multiples(Counts& counts, int of) {
    for (auto& [set, removed] : counts) {
        const int left = set->channels - removed;
        removed = std::max(0, set->channels - (left + of / 2) / of * of);
    }
}

// Rounds among ties: towards more channels too, where `keep` says so.
void round_among_ties(Counts& counts, const SetScores& scores, const ChooseOptions& o, const Ties& ties, bool keep) {
    for (auto& [set, removed] : counts) {
        const auto fills = [&](int left) { return ties.filled[size_t(left)] == left; };
        const int channels = set->channels, left = channels - removed;
        FP_CHECK(channels < int(ties.filled.size()), "choose: ", set->name(), " has ", channels, " channels");
        if (removed == 0 || fills(left)) continue;
        std::vector<double> sorted = scores.at(set->name());
        std::ranges::sort(sorted);
        const auto found = ties.noise.find(set->name());
        const double noise = found == ties.noise.end() ? 0 : found->second;
        const auto tied = [&](int a, int b) { return sorted[size_t(b)] - sorted[size_t(a)] <= noise; };
        int more = left + 1, fewer = left - 1;  // channels left
        while (more < channels && !fills(more)) ++more;
        while (fewer > 0 && !fills(fewer)) --fewer;
        // What may come back: never all that goes, since the set was to be cut.
        const bool can_keep = keep && more < channels && tied(channels - more, removed);
        const bool can_remove = fewer >= least_kept(o) && tied(removed - 1, channels - fewer - 1);
        if (can_keep && (!can_remove || more - left <= left - fewer))
            removed = channels - more;
        else if (can_remove)
            removed = channels - fewer;
    }
}

// The channels of the queue that go, where each set loses so many.
Removal take(const std::vector<Candidate>& queue, Counts counts) {
    Removal out;
    for (const Candidate& c : queue)
        if (counts[c.set]-- > 0) out[c.set->name()].push_back(c.channel);
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

Choice choose(const ModelSpec& spec,
              const std::vector<ChannelSet>& sets,
              const SetScores& scores,
              const ChooseOptions& o,
              const Cost& cost,
              const Ties& ties) {
    FP_CHECK(o.round_to.value_or(1) >= 1, "choose: round_to is ", *o.round_to);
    const std::vector<Candidate> queue = queue_of(sets, scores, o);
    int64_t channels = 0;
    for (const ChannelSet& set : sets)
        if (scores.count(set.name())) channels += set.channels;
    FP_REQUIRE(!queue.empty(), Exit::data, "amount ", to_string(o.amount), ": none of the ", channels,
               " channels may go: every set is at its minimum");
    const auto rounded = [&](size_t n) {
        Counts counts = first_of(queue, n);
        if (o.round_to) round_to_multiples(counts, *o.round_to);
        return counts;
    };
    const auto share = [&](const Counts& counts) {
        const Removal r = take(queue, counts);
        return r.empty() ? 1.0 : cost(o.amount.kind, narrowed(spec, sets, r));
    };
    const bool by_number = o.amount.kind == Amount::Kind::channels || o.amount.kind == Amount::Kind::share;
    size_t count = 0;
    if (by_number) {
        const double wanted =
            o.amount.kind == Amount::Kind::channels ? o.amount.value : std::round(o.amount.value * double(channels));
        FP_REQUIRE(wanted >= 1, Exit::data, "amount ", to_string(o.amount), " of ", channels, " channels is none");
        FP_REQUIRE(wanted <= double(queue.size()), Exit::data, "amount ", to_string(o.amount), ": ", int64_t(wanted),
                   " channels were asked for, 1 to ", queue.size(), " of ", channels, " can go");
        count = size_t(wanted);
    } else {
        // The cost falls with every channel that goes: find the fewest that are enough.
        const double least = share(rounded(queue.size()));
        FP_REQUIRE(least <= o.amount.value, Exit::data, "amount ", to_string(o.amount),
                   " cannot be reached: ", 100 * least, "% is left when all ", queue.size(),
                   " channels that may go are gone");
        size_t low = 0, high = queue.size();
        while (high - low > 1) {
            const size_t middle = (low + high) / 2;
            (share(rounded(middle)) <= o.amount.value ? high : low) = middle;
        }
        count = high;
    }
    const Counts exact = rounded(count);
    Counts counts = exact;
    if (!o.round_to && !ties.filled.empty() && o.amount.kind != Amount::Kind::channels) {
        round_among_ties(counts, scores, o, ties, true);
        if (!by_number && share(counts) > o.amount.value) round_among_ties(counts = exact, scores, o, ties, false);
    }
    Choice out{.removal = take(queue, counts)};
    FP_REQUIRE(!out.removal.empty(), Exit::data, "amount ", to_string(o.amount), ": rounding to multiples of ",
               o.round_to.value_or(1), " leaves nothing to remove");
    for (const auto& [set, removed] : exact) {
        out.kept += std::max(0, removed - counts.at(set));
        out.removed += std::max(0, counts.at(set) - removed);
    }
    return out;
}

}  // namespace fp
