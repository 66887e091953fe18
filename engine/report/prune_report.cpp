#include "engine/report/prune_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/eval/predictions_file.h"
#include "engine/prune/prune_json.h"
#include "engine/report/evaluation.h"

namespace fp {
namespace {

std::vector<SpeedPair> speed_pairs(const Baseline& dense, const LoadedModel& pruned) {
    const int largest = dense.predict_options.batch_size;
    std::vector<SpeedPair> out;
    for (const int batch : {1, largest}) {
        const auto seconds =
            time_in_turns({dense.model.network.get(), pruned.network.get()},
                          {.batch_size = batch,
                           .image_size = dense.image_size(),
                           .seconds = 1.5,
                           .progress = dense.observer.brief(fmt::format("measuring speed, batch {}", batch), "")});
        out.push_back({.batch = batch,
                       .dense = summarize(seconds[0]),
                       .pruned = summarize(seconds[1]),
                       .speedup = ratio_of(seconds[0], seconds[1])});
        if (largest == 1) break;
    }
    return out;
}

// The first round's scores and what they removed.
std::vector<ScoreStrip> first_scores(const Baseline& dense,
                                     const PruneResult& result,
                                     const std::filesystem::path& folder) {
    std::vector<ScoreStrip> out;
    const std::filesystem::path file = folder / "scores.json";
    if (!std::filesystem::exists(file) || result.rounds.empty()) return out;
    const auto sets = channel_sets(trace(*dense.model.network, dense.image_size()).nodes);
    const ScoresFile scores = scores_in(file, dense.hash);
    const Removal& removed = result.rounds[0].removed;
    const auto removed_of = [&](const std::string& set) {
        const auto found = removed.find(set);
        return found == removed.end() ? std::vector<int>{} : found->second;
    };
    for (const LayerScores& layer : scores.layers)
        out.push_back({.layer = layer.layer,
                       .attribute = layer.attribute,
                       .values = layer.normalized,
                       .removed = removed_of(set_of(sets, layer.layer).name())});
    if (!out.empty()) return out;
    for (const auto& [set, values] : scores.sets)
        out.push_back({.layer = set, .attribute = {}, .values = values, .removed = removed_of(set)});
    return out;
}

// The other model, and its name in words.
struct Other {
    const Predictions& dense;
    const Predictions* tuned;  // of the dense model that was tuned alike; may be null
    std::string words;
};

TestResult test_result(const Other& other, const Predictions& pruned, const Baseline& of, double margin) {
    const auto resampling = [&](const char* what) {
        return EvaluateOptions{.margin = margin, .progress = of.observer.brief(what, "resamples")};
    };
    TestResult out{.dense = evaluate(other.dense, of.attributes, resampling("test: the dense model")),
                   .pruned = evaluate(pruned, of.attributes, resampling("test: the pruned model")),
                   .comparison = compare(pruned, other.tuned ? *other.tuned : other.dense, of.attributes,
                                         resampling("test: the comparison"))};
    if (other.tuned)
        out.tuned = evaluate(*other.tuned, of.attributes, resampling("test: the dense model, tuned alike"));
    out.comparison.other = other.words;
    return out;
}

void add_test(PruneReport& report, const Predictions& dense, const Predictions* tuned, const Predictions& pruned) {
    const char* words = tuned                              ? "the dense model, tuned alike"
                        : report.settings.tune.epochs == 0 ? "the dense model"
                                                           : "the dense model as it was, so that tuning is not "
                                                             "separated from removal (--controls)";
    report.test = test_result({dense, tuned, words}, pruned, report.dense, report.margin);
    report.verdict = verdict_of(*report.test);
    say_unknown_training(report.verdict, "the dense model", report.dense.model.card.seen);
    report.gallery = gallery_of(pruned, report.dense.data, report.dense.attributes, report.mistakes_per_group);
}

// The predictions of the first seed's control on the test split; null where there is none.
const Predictions* tuned_alike(const SweepResult& sweep) {
    for (const SweptPoint& p : sweep.points)
        if (p.point.name == kDenseControl && p.runs[0].test) return &*p.runs[0].test;
    return nullptr;
}

}  // namespace

PruneReport prune_report(const Baseline& dense,
                         const PruneResult& result,
                         const PruneSettings& settings,
                         const std::filesystem::path& folder) {
    const auto timing = [&](const char* what) {
        return ProfileOptions{.batch_size = dense.predict_options.batch_size,
                              .image_size = dense.image_size(),
                              .mode = Mode::eval,
                              .progress = dense.observer.brief(what, "")};
    };
    PruneReport out{.dense = dense,
                    .result = result,
                    .settings = settings,
                    .folder = folder,
                    .dense_totals = totals(layer_costs(*dense.model.network, dense.image_size())),
                    .pruned_totals = totals(layer_costs(*result.best.network, dense.image_size()))};
    // A layer's time is the fastest of several passes, so the roof is the fastest of those around them.
    RoofProbe probe(dense.kernels());
    const Roofline before = probe.measure();
    out.dense_layers = profile(*dense.model.network, timing("timing the dense layers"));
    const Roofline between = probe.measure();
    out.pruned_layers = profile(*result.best.network, timing("timing the pruned layers"));
    out.roof = faster_of(faster_of(before, between), probe.measure());
    out.speed = speed_pairs(dense, result.best);
    out.scores = first_scores(dense, result, folder);
    return out;
}

void read_test(PruneReport& report, const RunFolder& folder, const Caller& caller) {
    const Baseline& dense = report.dense;
    if (members(dense.data.set, Split::test).empty()) return;
    report.test_reads = dense.record_test_read({weights_hash(*report.result.best.network)}, folder.path(), caller);
    const Predictions before = dense.predict_on(Split::test, *dense.model.network),
                      after = dense.predict_on(Split::test, *report.result.best.network);
    write_predictions(folder / "predictions.csv", after);
    write_predictions(folder / "predictions-dense.csv", before);
    add_test(report, before, nullptr, after);
}

TestResult compare_on_test(const Baseline& dense, const LoadedModel& pruned, const Caller& caller) {
    const TestReads reads = dense.record_test_read({weights_hash(*pruned.network)}, {}, caller);
    const Predictions before = dense.predict_on(Split::test, *dense.model.network),
                      after = dense.predict_on(Split::test, *pruned.network);
    TestResult out =
        test_result({before, nullptr, "the dense model as it was"}, after, dense, EvaluateOptions().margin);
    out.reads = reads;
    return out;
}

void add_sweep(PruneReport& report, const SweepResult& sweep, const RunFolder& folder) {
    report.sweep = &sweep;
    if (!sweep.dense_test) return;
    report.test_reads = sweep.test_reads;
    write_predictions(folder / "predictions-dense.csv", *sweep.dense_test);
    const SweptPoint& shown = sweep.shown();
    add_test(report, *sweep.dense_test, tuned_alike(sweep), *shown.runs[0].test);
    report.verdict.summary =
        (sweep.selected >= 0 ? "Chosen: " : "None was chosen, as none kept enough balanced accuracy; shown: ") +
        shown.point.name + ". " + report.verdict.summary;
}

}  // namespace fp
