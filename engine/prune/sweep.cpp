#include "engine/prune/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "engine/eval/predictions_file.h"
#include "engine/io/hash.h"
#include "engine/prune/prune_json.h"
#include "engine/train/selection.h"

namespace fp {
namespace {

constexpr double kAnyDrop = 1;  // of balanced accuracy

struct Sweep {
    const Baseline& dense;
    const SweepSettings& settings;
    RunFolder& folder;
    const SweepStart& start;
    bool recorded = false;

    std::optional<SweepResult> run() {
        const std::vector<SweepPoint> points = sweep_points(settings);
        for (const SweepPoint& point : points)  // before any of them runs
            check(point.settings, dense);
        SweepResult out{.rule = {},
                        .objective = objective_of(settings.base),
                        .attributes = dense.attributes,
                        .tunings = settings.seeds,
                        .dense_val = dense.val()};
        record(false);
        if (start.force) std::filesystem::remove_all(folder / "scores");
        std::filesystem::create_directories(folder / "scores");
        Parts parts(start.observer, int64_t(points.size()) * settings.seeds);
        for (const SweepPoint& point : points) {
            SweptPoint& swept = out.points.emplace_back(SweptPoint{.point = point, .runs = {}});
            for (int i = 0; i < settings.seeds; ++i) {
                const uint64_t seed = settings.base.seed + uint64_t(i);
                std::optional<PruneResult> result = run_point(
                    point, seed,
                    parts.next(settings.seeds > 1 ? fmt::format("{}, seed {}", point.name, seed) : point.name));
                record(true);
                if (!result) return std::nullopt;
                swept.runs.push_back({.seed = seed, .folder = run_path(point, seed), .result = std::move(*result)});
            }
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
        out.rankings = rank_table(rankings(points));
        return out;
    }

    std::optional<PruneResult> run_point(const SweepPoint& point, uint64_t seed, const Observer& observer) {
        RunFolder own(folder.path() / run_path(point, seed),
                      start.force ? IfRunIsThere::overwrite : IfRunIsThere::resume);
        PruneSettings of_seed = point.settings;
        of_seed.seed = seed;
        PruneStart own_start{.caller = caller_of(point, seed), .resume = !start.force, .observer = observer};
        if (of_seed.score.criterion->score) own_start.shared_scores = scores_file(point, seed).string();
        return prune(dense, of_seed, own, own_start);
    }

    // A run is known by its own point: a search may be resumed with more criteria, amounts and seeds.
    Caller caller_of(const SweepPoint& point, uint64_t seed) const {
        Caller out = start.caller;
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
        if (recorded || (std::filesystem::exists(folder / "config.toml") && !resumed)) return;
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
    std::vector<Ranking> rankings(const std::vector<SweepPoint>& points) const {
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

std::optional<SweepResult> sweep(const Baseline& dense,
                                 const SweepSettings& settings,
                                 RunFolder& folder,
                                 const SweepStart& start) {
    return Sweep{dense, settings, folder, start}.run();
}

}  // namespace fp
