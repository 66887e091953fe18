#include "engine/prune/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "engine/eval/predictions_file.h"
#include "engine/io/hash.h"
#include "engine/parallel/agree.h"
#include "engine/parallel/farm.h"
#include "engine/prune/prune_json.h"
#include "engine/run/signals.h"
#include "engine/train/selection.h"

namespace fp {
namespace {

constexpr double kAnyDrop = 1;  // of balanced accuracy

// One run of a point.
struct PointRun {
    const SweepPoint* point;
    uint64_t seed;
    std::string name;
};

struct Sweep {
    const Baseline& dense;
    const SweepSettings& settings;
    const RunFolder& folder;
    const SweepStart& start;
    const std::vector<SweepPoint> points = sweep_points(settings);
    bool recorded = false;

    std::vector<PointRun> runs() const {
        std::vector<PointRun> out;
        for (const SweepPoint& point : points)
            for (int i = 0; i < settings.seeds; ++i) {
                const uint64_t seed = settings.base.seed + uint64_t(i);
                out.push_back(
                    {&point, seed, settings.seeds > 1 ? fmt::format("{}, seed {}", point.name, seed) : point.name});
            }
        return out;
    }

    // Where several runs share scores, the others wait for the first.
    std::vector<FarmTask> tasks(const std::vector<PointRun>& all) const {
        std::map<std::filesystem::path, int> first;
        std::vector<FarmTask> out(all.size());
        for (size_t i = 0; i < all.size(); ++i) {
            if (!all[i].point->settings.score.criterion->score) continue;
            const auto [at, is_first] = first.emplace(scores_file(*all[i].point, all[i].seed), int(i));
            if (!is_first) out[i].after = at->second;
        }
        return out;
    }

    bool make_runs() {
        agree(folder.ranks(), [&] {
            for (const SweepPoint& point : points)  // before any of them runs
                check(point.settings, dense);
        });
        record(false);
        if (folder.writes()) {
            if (start.force) std::filesystem::remove_all(folder / "scores");
            std::filesystem::create_directories(folder / "scores");
        }
        const std::vector<PointRun> all = runs();
        Parts parts(start.observer, int64_t(all.size()));
        size_t done = 0;
        std::optional<StopSignals::Unsaved> until_all_have_saved;
        if (!folder.ranks().alone()) until_all_have_saved.emplace();
        return farm_out(folder.ranks(), {.tasks = tasks(all),
                                         .work = [&](int task, Farmhand& hand) -> std::optional<std::string> {
                                             const PointRun& run = all[size_t(task)];
                                             const Observer to = heeding(parts.part(run.name, task), hand);
                                             const bool whole = make_run(run, to, hand);
                                             record(true);
                                             return whole ? std::optional<std::string>("") : std::nullopt;
                                         },
                                         .finished =
                                             [&](int task, int rank, const std::string&) {
                                                 ++done;
                                                 record(true);
                                                 tell_done(done, all, task, rank);
                                             },
                                         .stop = start.observer.stop});
    }

    // What other ranks have done, among the lines of this one's own run.
    void tell_done(size_t done, const std::vector<PointRun>& all, int task, int rank) const {
        if (folder.ranks().alone()) return;
        start.observer.tell(fmt::format("{} of {} done: {} (rank {})", done, all.size(), all[size_t(task)].name, rank));
    }

    // Stops with the others, and passes on what they have done.
    Observer heeding(Observer to, Farmhand& hand) const {
        if (folder.ranks().alone()) return to;
        to.stop = [&hand] { return hand.stopped(); };
        to.progress = [&hand, shown = to.progress](const ProgressState& p) {
            hand.hear();
            if (shown) shown(p);
        };
        return to;
    }

    // False where it was stopped.
    bool make_run(const PointRun& run, const Observer& observer, Farmhand& hand) const {
        RunFolder own(folder / run_path(*run.point, run.seed),
                      start.force ? IfRunIsThere::overwrite : IfRunIsThere::resume);
        PruneStart own_start{.caller = caller_of(*run.point, run.seed), .resume = !start.force, .observer = observer};
        if (run.point->settings.score.criterion->score) {
            own_start.shared_scores = scores_file(*run.point, run.seed).string();
            own_start.scored = [&hand] { hand.release(); };
        }
        try {
            return prune(dense, of_seed(run), own, own_start).has_value();
        } catch (const Stopped&) {  // before the run has begun
            return false;
        }
    }

    static PruneSettings of_seed(const PointRun& run) {
        PruneSettings out = run.point->settings;
        out.seed = run.seed;
        return out;
    }

    SweepResult judge() const {
        SweepResult out{.rule = {},
                        .objective = objective_of(settings.base),
                        .attributes = dense.attributes,
                        .tunings = settings.seeds,
                        .dense_val = dense.val()};
        for (const SweepPoint& point : points) out.points.push_back({.point = point, .runs = {}});
        for (const PointRun& run : runs()) {
            const std::filesystem::path path = run_path(*run.point, run.seed);
            out.points[size_t(run.point - points.data())].runs.push_back(
                {.seed = run.seed,
                 .folder = path,
                 .result = pruned(dense, of_seed(run), folder / path, caller_of(*run.point, run.seed))});
        }
        Parts timed(start.observer, int64_t(points.size()));
        for (SweptPoint& p : out.points)
            p.latency = dense.latency(*p.runs[0].result.best.network, 0.3, 7,
                                      timed.next(p.point.name).brief("measuring latency", ""));
        std::vector<SweepFigures> figures;
        for (const SweptPoint& p : out.points) figures.push_back(validation_figures(p));
        out.selected = select_point(figures, dense.least_accuracy(settings.base.max_drop));
        out.rule = selection_rule(out.objective, settings.base.max_drop, settings.seeds);
        out.dense_objective = selection_value(dense.predict_on(Split::val, *dense.model.network), out.objective,
                                              dense.attributes, "--objective");
        out.least_accuracy = dense.least_accuracy(kAnyDrop);
        read_test(out);
        summarize_points(out);
        out.rankings = rank_table(rankings());
        return out;
    }

    // A run is known by its own point: a search may be resumed with more criteria, amounts and seeds.
    Caller caller_of(const SweepPoint& point, uint64_t seed) const {
        Caller out = start.caller;
        out.ranks = {};  // one does it
        if (out.settings.empty()) return out;
        std::erase_if(out.settings, [](const Setting& s) {
            return s.name == "--sweep" || s.name == "--controls" || s.name == "--seeds" || s.name == "--criterion" ||
                   s.name == "--amount" || s.name == "--seed";
        });
        out.settings.push_back({"--criterion", point.criterion});
        out.settings.push_back({"--amount", to_string(point.settings.choose.amount)});
        out.settings.push_back({"--seed", std::to_string(seed)});
        return out;
    }

    // The record of a resumed search is replaced only once one of its runs has been resumed.
    void record(bool resumed) {
        if (recorded || !folder.writes() || (std::filesystem::exists(folder / "config.toml") && !resumed)) return;
        record_run(folder, start.caller, dense);
        recorded = true;
    }

    // Points that differ only in the amount share the first round's scores.
    std::filesystem::path scores_file(const SweepPoint& point, uint64_t seed) const {
        const std::string key = scores_key(point.settings);
        return folder.path() / "scores" /
               fmt::format("{}-seed{}-{}.json", std::string(point.settings.score.criterion), seed,
                           xxh3(std::as_bytes(std::span(key))).substr(0, 8));
    }

    // The first seed's order of each criterion.
    std::vector<Ranking> rankings() const {
        std::vector<Ranking> out;
        std::set<std::filesystem::path> seen;
        for (const SweepPoint& point : points) {
            if (!point.settings.score.criterion->score) continue;
            const std::filesystem::path file = scores_file(point, settings.base.seed);
            if (seen.insert(file).second)
                out.push_back({.name = point.criterion, .scores = scores_in(file, dense.hash).sets});
        }
        return out;
    }

    // The dense model and every run on the test split, where there is one.
    void read_test(SweepResult& out) const {
        if (members(dense.data.set, Split::test).empty()) return;
        std::vector<std::string> models;
        for (const SweptPoint& p : out.points)
            for (const SweepRun& run : p.runs) models.push_back(weights_hash(*run.result.best.network));
        out.test_reads = dense.record_test_read(models, folder.path(), start.caller);
        out.dense_test = dense.predict_on(Split::test, *dense.model.network);
        out.dense_figures = test_figures(*out.dense_test, dense.attributes);
        Parts parts(start.observer, int64_t(out.points.size()) * settings.seeds);
        for (SweptPoint& p : out.points)
            for (SweepRun& run : p.runs) {
                const Observer part = parts.next(p.point.name);
                run.test = dense.predict_on(Split::test, *run.result.best.network, part.brief("predicting test"));
                run.figures = test_figures(*run.test, dense.attributes, part.brief("test figures", "resamples"));
                write_predictions(folder.path() / run.folder / "predictions.csv", *run.test);
            }
    }
};

}  // namespace

const SweptPoint& SweepResult::shown() const {
    if (selected >= 0) return points[size_t(selected)];
    return *std::find_if(points.begin(), points.end(), [](const SweptPoint& p) { return !p.point.control; });
}

void require_kept(const SweepSettings& settings,
                  const std::filesystem::path& folder,
                  const std::vector<std::string>& reads) {
    for (const SweepPoint& point : sweep_points(settings))
        for (int i = 0; i < settings.seeds; ++i)
            holds_run(folder / run_path(point, settings.base.seed + uint64_t(i)), IfRunIsThere::overwrite, reads);
}

bool run_points(const Baseline& dense, const SweepSettings& settings, RunFolder& folder, const SweepStart& start) {
    return Sweep{dense, settings, folder, start}.make_runs();
}

SweepResult judge_points(const Baseline& dense,
                         const SweepSettings& settings,
                         const RunFolder& folder,
                         const SweepStart& start) {
    return Sweep{dense, settings, folder, start}.judge();
}

std::optional<SweepResult> sweep(const Baseline& dense,
                                 const SweepSettings& settings,
                                 RunFolder& folder,
                                 const SweepStart& start) {
    if (!run_points(dense, settings, folder, start)) return std::nullopt;
    return judge_points(dense, settings, folder, start);
}

}  // namespace fp
