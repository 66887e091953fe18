#include "engine/prune/scan.h"

#include <algorithm>

#include "engine/fairness/primary_gap.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/measure/layer_costs.h"
#include "engine/prune/cut.h"
#include "engine/prune/prune_json.h"

namespace fp {
namespace {

ScanFigure accuracy_of(const Comparison& c) {
    const auto found = std::ranges::find(c.metrics, "balanced_accuracy", &Difference::key);
    FP_CHECK(found != c.metrics.end(), "scan: the comparison has no balanced accuracy");
    return {.value = found->model, .change = found->value, .p = found->p};
}

// One share of one set.
ScanPoint scan_point(const Baseline& dense,
                     const Predictions& before,
                     const ChannelSet& set,
                     const SetScores& scores,
                     const ChooseOptions& options,
                     const Observer& observer) {
    const Network& net = *dense.model.network;
    ScanPoint out{.share = to_string(options.amount)};
    Removal removal;
    try {
        removal = choose(net.spec, {set}, scores, options, {});
    } catch (const Error& e) {
        if (e.exit != Exit::data) throw;
        out.reason = e.what();
        return out;
    }
    const auto small = cut(net, {set}, removal);
    const Totals left = totals(layer_costs(*small, dense.image_size()));
    const Predictions after = dense.predict_on(Split::val, *small, observer.brief("predicting"));
    const Comparison c =
        compare(after, before, dense.attributes, {.progress = observer.brief("comparing", "resamples")});
    out.removed = int64_t(removal.begin()->second.size());
    out.parameters = left.parameters;
    out.macs = left.macs;
    out.balanced_accuracy = accuracy_of(c);
    if (!c.attributes.empty() && c.attributes[0].no_gaps.empty()) out.gap = scan_figure(c.attributes[0].primary);
    return out;
}

Identity scan_identity(const Baseline& dense, const ScanSettings& s, const RunFolder& folder, const Caller& caller) {
    Identity out = identity_of(dense, s.pruning, caller);
    if (caller.settings.empty()) out.settings.push_back({"shares", s.shares});
    out.settings.push_back({"the gap", kPrimaryKey});
    out.settings.push_back({"the scores", xxh3(as_bytes(read_file(folder / "scores.json", uint64_t(1) << 30)))});
    return out;
}

// The sets that the scores are of, in the order of the network, and that are not finished.
std::vector<ChannelSet> sets_left(const Baseline& dense,
                                  const SetScores& scores,
                                  const std::vector<ScannedSet>& finished) {
    std::vector<ChannelSet> out;
    for (const ChannelSet& set : channel_sets(trace(*dense.model.network, dense.image_size()).nodes)) {
        const bool known = std::ranges::find(finished, set.name(), &ScannedSet::set) != finished.end();
        if (scores.contains(set.name()) && !known) out.push_back(set);
    }
    return out;
}

// `save` is called after each set.
void scan_sets(const Baseline& dense,
               const ScanSettings& settings,
               const SetScores& scores,
               const Predictions& before,
               std::vector<ScannedSet>& sets,
               const std::function<void()>& save,
               const Observer& observer) {
    const std::vector<Amount> shares = parse_shares(settings.shares);
    const std::vector<ChannelSet> left = sets_left(dense, scores, sets);
    Parts parts(observer, int64_t(left.size() * shares.size()));
    ChooseOptions options = settings.pruning.choose;
    for (const ChannelSet& set : left) {
        ScannedSet row{.set = set.name(), .channels = set.channels};
        for (const Amount& share : shares) {
            options.amount = share;
            row.points.push_back(scan_point(dense, before, set, {{set.name(), scores.at(set.name())}}, options,
                                            parts.next(set.name() + " " + to_string(share))));
        }
        sets.push_back(std::move(row));
        save();
    }
}

}  // namespace

std::vector<Amount> parse_shares(const std::string& text) {
    std::vector<Amount> out;
    for (const std::string& entry : split_list(text, ',', "--scan")) {
        out.push_back(entry);
        FP_REQUIRE(out.back().kind == Amount::Kind::share, Exit::usage, "--scan `", text,
                   "`: shares with commas, as 10%,25%,50%, not `", entry, "`");
    }
    FP_REQUIRE(out.size() <= 5, Exit::usage, "--scan `", text, "`: ", out.size(), " shares; up to 5 fit a table");
    return out;
}

ScanFigure scan_figure(const PrimaryDifference& d) {
    return {.value = root(d.model), .change = root(d.model) - root(d.other), .p = d.p};
}

void correct_for_many(std::vector<ScannedSet>& sets) {
    std::vector<ScanFigure*> accuracy, gap;
    for (ScannedSet& set : sets)
        for (ScanPoint& point : set.points) {
            if (point.balanced_accuracy) accuracy.push_back(&*point.balanced_accuracy);
            if (point.gap) gap.push_back(&*point.gap);
        }
    correct_by_holm(accuracy);
    correct_by_holm(gap);
}

std::optional<Scan> scan(const Baseline& dense,
                         const ScanSettings& settings,
                         RunFolder& folder,
                         const PruneStart& start) {
    std::vector<std::string> shares;
    for (const Amount& share : parse_shares(settings.shares)) shares.push_back(to_string(share));
    const std::filesystem::path scores = folder / "scores.json", file = folder / "scan.json";
    const bool anew = !start.resume || !std::filesystem::exists(scores);
    if (anew) {
        std::filesystem::remove(file);
        PruneStart scoring = start;
        scoring.resume = false;
        if (!score_only(dense, settings.pruning, folder, scoring)) return std::nullopt;
    }
    Scan out{.identity = scan_identity(dense, settings, folder, start.caller), .result = {}};
    std::vector<ScannedSet> sets;
    if (std::filesystem::exists(file)) sets = read_scan(file, out.identity, start.observer);
    if (!anew) record_run(folder, start.caller, dense);
    const Predictions before = dense.predict_on(Split::val, *dense.model.network);
    try {
        scan_sets(
            dense, settings, scores_in(scores, dense.hash).sets, before, sets,
            [&] { write_scan(file, out.identity, sets); }, start.observer);
    } catch (const Stopped&) {
        return std::nullopt;
    }
    correct_for_many(sets);
    const Report report = evaluate(before, dense.attributes, {.resamples = 0});
    const std::string attribute = dense.first_attribute();
    out.result = {.criterion = settings.pruning.score.criterion,
                  .attribute = attribute,
                  .dense_accuracy = report.metric("balanced_accuracy").value,
                  .dense_gap = {},
                  .shares = shares,
                  .sets = std::move(sets)};
    if (!attribute.empty()) out.result.dense_gap = root(primary_rms_squared(before, attribute, {}));
    return out;
}

}  // namespace fp
