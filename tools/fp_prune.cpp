// fp_prune: finds the channels that carry a sensitive attribute, removes them, fine-tunes, and reports the effect; with
// --seeds, --sweep and --controls, compared with other criteria, amounts and controls.
#include <fmt/format.h>

#include <iostream>

#include "engine/core/trace.h"
#include "engine/data/sources/sources.h"
#include "engine/data/split.h"
#include "engine/fairness/grouping.h"
#include "engine/parallel/agree.h"
#include "engine/prune/check_cut.h"
#include "engine/prune/prune_json.h"
#include "engine/report/prune_report.h"
#include "engine/report/scores_report.h"
#include "engine/run/signals.h"
#include "tools/inputs.h"
#include "tools/prune_options.h"

namespace fp {
namespace {

// The arguments of every kind of run.
struct Run {
    const PruneFlags& flags;
    const Baseline& dense;
    const PruneSettings& settings;
    RunFolder& folder;
    const PruneStart start;
    const Options& options;

    bool json() const { return options.json(); }
};

int finish(const Run& run, const PruneReport& report, const std::filesystem::path& model) {
    run.start.observer.brief("writing the report");
    const std::string document = publish(report, run.folder, run.start.caller);
    std::cout << (run.json() ? document
                             : to_text(report) + fmt::format("\npruned model  {}\nreport        {}\n", model.string(),
                                                             (run.folder / "report.html").string()));
    return 0;
}

int run_one(const Run& run) {
    const auto result = prune(run.dense, run.settings, run.folder, run.start);
    if (!result) throw Stopped{};
    return on_first(run.options, [&] {
        PruneReport report = prune_report(run.dense, *result, run.settings, run.folder.path());
        report.mistakes_per_group = run.flags.gallery;
        report.margin = run.flags.margin;
        read_test(report, run.folder, run.start.caller);
        return finish(run, report, run.folder / "best.safetensors");
    });
}

int run_sweep(const Run& run) {
    const SweepSettings& search = run.flags.search;
    const SweepStart start{.caller = run.start.caller, .force = run.flags.force, .observer = run.start.observer};
    if (!run_points(run.dense, search, run.folder, start)) throw Stopped{};
    return on_first(run.options, [&] {
        const SweepResult found = judge_points(run.dense, search, run.folder, start);
        const SweptPoint& shown = found.shown();
        const std::filesystem::path folder = run.folder / shown.runs[0].folder;
        PruneReport report = prune_report(run.dense, shown.runs[0].result, shown.point.settings, folder);
        report.mistakes_per_group = run.flags.gallery;
        report.margin = run.flags.margin;
        add_sweep(report, found, run.folder);
        return finish(run, report, folder / "best.safetensors");
    });
}

int run_scan(const Run& run) {
    const auto found = scan(run.dense, {.pruning = run.settings, .shares = run.flags.scan}, run.folder, run.start);
    if (!found) throw Stopped{};
    return on_first(run.options, [&] {
        const std::string document = publish(*found, run.dense, run.folder, run.start.caller);
        const std::string page = run.folder / "report.html";
        std::cout << (run.json() ? document : to_text(found->result) + "\nreport        " + page + "\n");
        return 0;
    });
}

int run_scores(const Run& run) {
    if (!score_only(run.dense, run.settings, run.folder, run.start)) return StopSignals::exit_code();
    run.folder.ranks().wait_for_all();  // the first has written them
    const std::string file = run.folder / "scores.json", other = run.flags.compare_scores;
    const ScoresFile scores = scores_in(file, run.dense.hash);
    std::optional<ScoresComparison> compared;
    if (!other.empty())
        compared = {.file = other,
                    .layers = compare_ranks(scores, scores_in(other, run.dense.hash), run.settings.choose.amount)};
    const ScoresReport report{.file = file, .scores = scores, .compared = compared};
    std::cout << (run.json() ? json_text(report) : to_text(report));
    return 0;
}

int run_any(const Run& run) {
    const PruneFlags& f = run.flags;
    try {
        return !f.scan.empty() ? run_scan(run)
               : f.scores_only ? run_scores(run)
               : f.is_search() ? run_sweep(run)
                               : run_one(run);
    } catch (const Stopped&) {
        run.start.observer.tell("stopped and saved; --resume goes on from here");
        return StopSignals::exit_code();
    }
}

int run(PruneFlags f, const Options& o) {
    const IfRunIsThere if_run_is_there = f.if_run_is_there();
    const Kernels& kernels = use_device(f.compute, o);
    const LoadedModel dense = load_model(f.checkpoint, kernels);
    const int size = dense.card.preprocessing.image_size;
    const Observer observer = on_stderr(o.quiet());
    const Observer together = in_step(observer, o.ranks());
    ImageData data =
        open_images_of(dense, f.checkpoint, f.data, f.cache, together.steps({.what = "decoding into the cache"}));
    if (f.train_on_val) train_on_half_of_validation(data.set, f.search.base.seed);
    if (f.show_groups) {
        for (const ChannelSet& set : channel_sets(trace(*dense.network, size).nodes))
            std::cout << describe(set) << "\n";
        return 0;
    }
    check(f);
    say_notes(data.set, o);
    check_attributes(attribute_columns(data.set, members(data.set, Split::train)), plain_names(f.data.attributes), o);
    PruneSettings& base = f.search.base;
    base.attributes = f.data.attributes;
    base.batch_size = f.data.batch_size;
    if (!base.tune.skip_bad && !f.scores_only && f.scan.empty())
        require_images(data, {Split::train, Split::val, Split::test});
    const std::vector<SweepPoint> points = sweep_points(f.search);
    const PruneSettings settings = f.is_search() ? base : points[0].settings;
    const Baseline baseline(dense, data, settings, f.is_search() ? observer : together);
    for (const SweepPoint& point : points) check(point.settings, baseline);
    // Faults in these files are found before an existing run is overwritten.
    if (!f.scores.empty() && !f.resume) {
        const ScoresFile scores = scores_in(f.scores, baseline.hash);
        if (settings.score.criterion->score)
            check_settings(scores, score_options(settings, weighted_attributes(settings.attributes)));
    }
    if (!f.compare_scores.empty()) scores_in(f.compare_scores, baseline.hash);
    o.ready(&kernels);
    const Caller caller =
        caller_of(o, f, {parse_data_spec(f.data.data).head, f.checkpoint, f.scores, f.compare_scores});
    if (f.is_search() && f.force) agree(o.ranks(), [&] { require_kept(f.search, f.out, caller.reads); });
    if (f.dry_run) {
        std::vector<PruneSettings> runs;
        for (const SweepPoint& point : points) runs.insert(runs.end(), size_t(f.search.seeds), point.settings);
        if (!f.is_search()) runs = {settings};
        return on_first(o, [&] {
            return print(dry_run(baseline, runs, f.out, if_run_is_there,
                                 {.caller = caller, .scores = f.scores, .observer = observer}),
                         o);
        });
    }
    RunFolder folder(f.out, if_run_is_there, caller.reads, o.ranks());
    if (f.resume) recall_bad_images(folder / "bad_images.csv", data);
    const Run run{.flags = f,
                  .dense = baseline,
                  .settings = settings,
                  .folder = folder,
                  .start = {.caller = caller, .resume = f.resume, .scores = f.scores, .observer = observer},
                  .options = o};
    const int code = run_any(run);
    say_skipped(data, o);
    folder.write_with("bad_images.csv", [&](const auto& file) { write_bad_images(file, data); });
    return code;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::PruneFlags flags;
    return fp::run_tool(
        argc, argv, "Removes the channels that carry a sensitive attribute, fine-tunes, and reports.",
        [&](fp::Options& o) { fp::declare(o, flags); }, [&](const fp::Options& o) { return fp::run(flags, o); });
}
