#include "engine/prune/scan.h"

#include <algorithm>

#include "engine/fairness/primary_gap.h"
#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "engine/measure/layer_costs.h"
#include "engine/parallel/agree.h"
#include "engine/parallel/farm.h"
#include "engine/prune/check_cut.h"
#include "engine/prune/cut.h"
#include "engine/prune/prune_json.h"
#include "engine/run/signals.h"

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
                     const Ties& ties,
                     const Observer& observer) {
    const Network& net = *dense.model.network;
    ScanPoint out{.share = to_string(options.amount)};
    Removal removal;
    try {
        removal = choose(net.spec, {set}, scores, options, {}, ties).removal;
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

// The sets that the scores are of, in the order of the network.
std::vector<ChannelSet> scored_sets(const Baseline& dense, const SetScores& scores) {
    std::vector<ChannelSet> out = channel_sets(trace(*dense.model.network, dense.image_size()).nodes);
    std::erase_if(out, [&](const ChannelSet& set) { return !scores.contains(set.name()); });
    return out;
}

// All shares of one set.
ScannedSet scan_set(const Baseline& dense,
                    const ScanSettings& settings,
                    const ScoresFile& scores,
                    const Predictions& before,
                    const ChannelSet& set,
                    const Ties& ties,
                    const std::function<Observer(const std::string&)>& part) {
    ChooseOptions options = settings.pruning.choose;
    ScannedSet out{.set = set.name(), .channels = set.channels};
    for (const Amount& share : parse_shares(settings.shares)) {
        options.amount = share;
        out.points.push_back(scan_point(dense, before, set, {{set.name(), scores.sets.at(set.name())}}, options, ties,
                                        part(set.name() + " " + to_string(share))));
    }
    return out;
}

// Adds the sets that are not finished; `save` is called after each. False where it was stopped.
bool scan_sets(const Baseline& dense,
               const ScanSettings& settings,
               const ScoresFile& scores,
               const Predictions& before,
               std::vector<ScannedSet>& sets,
               const std::function<void()>& save,
               const Comm& ranks,
               const Observer& observer) {
    const std::vector<ChannelSet> all = scored_sets(dense, scores.sets);
    std::vector<ChannelSet> left = all;
    std::erase_if(left, [&](const ChannelSet& set) {
        return std::ranges::find(sets, set.name(), &ScannedSet::set) != sets.end();
    });
    const size_t shares = parse_shares(settings.shares).size();
    const Parts parts(observer, int64_t(left.size() * shares));
    const Ties ties = settings.pruning.mask ? Ties{} : ties_of(dense.kernels(), all, scores.noise, &ranks);
    const auto work = [&](int task, Farmhand& hand) -> std::optional<std::string> {
        int64_t number = task * int64_t(shares);
        const auto part = [&](const std::string& name) {
            Observer out = parts.part(name, number++);
            if (!ranks.alone()) out.stop = [&hand] { return hand.stopped(); };
            return out;
        };
        try {
            return to_text(scan_set(dense, settings, scores, before, left[size_t(task)], ties, part));
        } catch (const Stopped&) {
            return std::nullopt;
        }
    };
    const auto finished = [&](int, int, const std::string& result) {
        sets.push_back(parse_scanned_set(result));
        save();
    };
    std::optional<StopSignals::Unsaved> until_all_have_saved;
    if (!ranks.alone()) until_all_have_saved.emplace();
    const bool whole = farm_out(
        ranks,
        {.tasks = std::vector<FarmTask>(left.size()), .work = work, .finished = finished, .stop = observer.stop});
    const auto place = [&](const ScannedSet& set) { return std::ranges::find(all, set.set, &ChannelSet::name); };
    std::ranges::stable_sort(sets, {}, place);
    return whole;
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
    const bool anew = from_first(folder.ranks(),
                                 [&] { return !start.resume || !std::filesystem::exists(scores) ? "1" : "0"; }) == "1";
    if (anew) {
        if (folder.writes()) std::filesystem::remove(file);
        PruneStart scoring = start;
        scoring.resume = false;
        if (!score_only(dense, settings.pruning, folder, scoring)) return std::nullopt;
        folder.ranks().wait_for_all();  // the first has written them
    }
    Scan out;
    std::vector<ScannedSet> sets;
    agree(folder.ranks(), [&] {
        out.identity = scan_identity(dense, settings, folder, start.caller);
        if (std::filesystem::exists(file)) sets = read_scan(file, out.identity, start.observer);
    });
    if (!anew) record_run(folder, start.caller, dense);
    const Predictions before = dense.predict_on(Split::val, *dense.model.network, {}, &folder.ranks());
    const auto save = [&] {
        if (folder.writes()) write_scan(file, out.identity, sets);
    };
    const ScoresFile scored = scores_in(scores, dense.hash);
    if (!scan_sets(dense, settings, scored, before, sets, save, folder.ranks(), start.observer)) return std::nullopt;
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
