#include "tools/prune_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <span>

#include "engine/eval/predictions_file.h"
#include "engine/fairness/measure.h"
#include "engine/io/hash.h"
#include "engine/io/json.h"
#include "engine/measure/stopwatch.h"
#include "engine/report/model_card.h"
#include "engine/report/scan_html.h"
#include "engine/run/run_folder.h"
#include "engine/run/signals.h"
#include "engine/train/train_json.h"
#include "tools/prune_report.h"
#include "tools/scan.h"
#include "tools/scores_report.h"
#include "tools/sweep_report.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

// What is open for the whole command.
struct Opened {
    const Kernels& kernels;
    LoadedModel dense;
    ImageData data;

    Opened(const PruneSettings& s, const Options& o)
        : kernels(use_device(s.compute, o)), dense(load_model(s.checkpoint, kernels)) {
        const int size = dense.card.preprocessing.image_size;
        FP_REQUIRE(!s.data.image_size || *s.data.image_size == size, Exit::model, s.checkpoint,
                   ": was trained at ", size, " pixels, --image-size is ",
                   s.data.image_size.value_or(0));
        data = open_images(s.data, size, dense.card.classes, s.cache);
    }
};

void show_groups(const Opened& opened) {
    for (const ChannelSet& set : channel_sets(
             trace(*opened.dense.network, opened.dense.card.preprocessing.image_size).nodes))
        std::cout << describe(set) << "\n";
}

ordered_json json_in(const std::filesystem::path& file) {
    constexpr uint64_t kMost = uint64_t(1) << 30;
    return parse_json(read_file(file, kMost), file.string(), Exit::data, {.bytes = kMost});
}

// The first round's scores and what they removed, for the report.
ordered_json first_scores(const Opened& opened,
                          const std::filesystem::path& folder,
                          const PruneOutcome& outcome) {
    ordered_json out = ordered_json::array();
    const std::filesystem::path file = folder / "scores.json";
    if (!std::filesystem::exists(file) || outcome.rounds.empty()) return out;
    const auto sets = channel_sets(
        trace(*opened.dense.network, opened.dense.card.preprocessing.image_size).nodes);
    const ordered_json document = json_in(file);
    const ordered_json& removed = outcome.rounds.at(0).at("removed");
    const auto removed_of = [&](const std::string& set) {
        return removed.contains(set) ? removed.at(set) : ordered_json::array();
    };
    for (const auto& layer : document.at("layers"))
        out.push_back(
            {{"layer", layer.at("layer")},
             {"attribute", layer.at("attribute")},
             {"values", layer.at("normalized")},
             {"removed", removed_of(set_of(sets, layer.at("layer").get<std::string>()).name())}});
    if (out.empty())
        for (const auto& [set, values] : document.at("sets").items())
            out.push_back({{"layer", set},
                           {"attribute", nullptr},
                           {"values", values},
                           {"removed", removed_of(set)}});
    return out;
}

// The time of one inference over the dense model's, measured in turns.
Ratio latency_of(const Opened& opened, const PruneOutcome& outcome, int batch_size) {
    if (outcome.best.network->spec == opened.dense.network->spec) return {1, 1, 1};
    const auto seconds = time_in_turns({outcome.best.network.get(), opened.dense.network.get()},
                                       {.batch_size = batch_size,
                                        .image_size = opened.dense.card.preprocessing.image_size,
                                        .seconds = 0.3,
                                        .min_rounds = 7});
    return ratio_of(seconds[0], seconds[1]);
}

class Command {
public:
    Command(const PruneSettings& s, const Options& o, const Opened& opened)
        : s_(s),
          o_(o),
          opened_(opened),
          folder_(s.out,
                  s.force    ? IfRunIsThere::overwrite
                  : s.resume ? IfRunIsThere::resume
                             : IfRunIsThere::refuse),
          context_{.options = o,
                   .kernels = opened.kernels,
                   .dense = opened.dense,
                   .data = opened.data,
                   .data_options = s.data,
                   .tune = s.tune,
                   .dense_hash = weights_hash(*opened.dense.network)} {
        folder_.write_settings(o.resolved(), environment(o.tool(), o.command_line()));
        if (s.scores_only || !s.scan.empty()) return;
        context_.dense_val = to_json(summarize(
            context_.predict_on(Split::val, *opened.dense.network), context_.attributes()));
    }

    // One run in the folder itself.
    int run_one() {
        const PruningOptions pruning = with_criterion(s_.pruning, s_.pruning.criterion);
        const std::optional<PruneOutcome> outcome =
            prune(context_, {.folder = folder_,
                             .pruning = pruning,
                             .seed = s_.seed,
                             .scores = s_.scores,
                             .resume = s_.resume,
                             .verify = s_.verify,
                             .scores_only = s_.scores_only});
        if (!outcome && StopSignals::requested()) return StopSignals::exit_code();
        if (!outcome) {
            print_scores();
            return 0;
        }
        PruneReport report = report_of(*outcome, pruning, folder_.path());
        if (read_test()) {
            report.test_dense = context_.predict_on(Split::test, *opened_.dense.network);
            report.test_pruned = context_.predict_on(Split::test, *outcome->best.network);
            write_predictions(folder_ / "predictions.csv", *report.test_pruned);
        }
        publish(report, folder_ / "best.safetensors");
        return 0;
    }

    // What each set of tied channels costs alone.
    int run_scan() {
        const std::vector<Amount> shares = parse_shares(s_.scan);
        const PruningOptions pruning = with_criterion(s_.pruning, s_.pruning.criterion);
        const std::filesystem::path scores = folder_ / "scores.json", file = folder_ / "scan.json";
        if (!s_.resume || !std::filesystem::exists(scores)) {
            prune(context_, {.folder = folder_,
                             .pruning = pruning,
                             .seed = s_.seed,
                             .scores = s_.scores,
                             .scores_only = true});
            std::filesystem::remove(file);
        }
        const ordered_json identity{{"scores", sha256_of_file(scores)},
                                    {"shares", s_.scan},
                                    {"split", split_hash(opened_.data.set)},
                                    {"pruning", to_json(pruning, s_.data.attributes)}};
        ordered_json finished = ordered_json::array();
        if (std::filesystem::exists(file)) {
            const ordered_json earlier = json_in(file);
            FP_REQUIRE(earlier.is_object() && earlier.contains("sets") &&
                           earlier.value("identity", ordered_json()) == identity,
                       Exit::data, file.string(),
                       ": is of other scores, shares or images; --force starts over");
            finished = earlier.at("sets");
        }
        const auto save = [&](const ordered_json& sets) {
            write_file(file, ordered_json{{"identity", identity}, {"sets", sets}}.dump(1) + "\n");
        };
        ordered_json report =
            scan(context_, pruning, scores_in(scores).sets, shares, finished, save);
        if (report.is_null()) {
            context_.say("stopped and saved; --resume goes on from here");
            return StopSignals::exit_code();
        }
        report["title"] = "fairprune: what each layer bears, " + opened_.dense.network->spec.arch +
                          " on " + opened_.data.set.name;
        report["command"] = o_.command_line();
        report["environment"] = environment(o_.tool(), o_.command_line());
        report["identity"] = identity;
        write_file(file, report.dump(1) + "\n");
        write_file(folder_ / "scan.csv", scan_csv(report));
        write_file(folder_ / "report.html", scan_html(report));
        std::cout << (o_.json()
                          ? report.dump(2) + "\n"
                          : scan_text(report) + fmt::format("\nreport        {}\n",
                                                            (folder_ / "report.html").string()));
        return 0;
    }

    // Every point and seed in a folder of its own, then the choice, then the test split.
    int run_sweep() {
        const std::vector<SweepPoint> points = sweep_points(s_.pruning, s_.sweep);
        for (const SweepPoint& point :
             points)  // the last one's mistake is not found out hours later
            if (point.pruning.criterion != kNoCriterion)
                check_scoring(score_options(point.pruning, s_.data.attributes, s_.seed,
                                            s_.data.batch_size, s_.tune.workers));
        std::vector<SweepResult> results;
        for (const SweepPoint& point : points) {
            results.push_back({.point = point, .runs = {}});
            for (int i = 0; i < s_.sweep.seeds; ++i) {
                const uint64_t seed = s_.seed + uint64_t(i);
                std::optional<PruneOutcome> outcome = run_point(point, seed);
                if (!outcome) return StopSignals::exit_code();
                results.back().runs.push_back({.seed = seed, .outcome = std::move(*outcome)});
            }
        }
        for (SweepResult& r : results)
            r.latency = latency_of(opened_, r.runs[0].outcome, s_.data.batch_size);
        const std::string objective = objective_of(s_.pruning, context_.attributes());
        const int selected = chosen(results);
        // Where no run kept enough accuracy, the report is of the first that is no control.
        const size_t shown =
            selected >= 0 ? size_t(selected)
                          : size_t(std::find_if(results.begin(), results.end(),
                                                [](const auto& r) { return !r.point.control; }) -
                                   results.begin());
        const SweepResult& best = results[shown];
        const std::filesystem::path best_folder =
            folder_.path() / run_path(best.point, best.runs[0].seed);
        PruneReport report = report_of(best.runs[0].outcome, best.point.pruning, best_folder);
        if (read_test()) {
            report.test_dense = context_.predict_on(Split::test, *opened_.dense.network);
            for (SweepResult& r : results)
                for (SweepRun& run : r.runs) {
                    run.test = context_.predict_on(Split::test, *run.outcome.best.network);
                    write_predictions(
                        folder_.path() / run_path(r.point, run.seed) / "predictions.csv",
                        *run.test);
                }
            report.test_pruned = best.runs[0].test;
        }
        report.sweep = sweep_json(results, context_, report.test_dense, objective,
                                  s_.pruning.max_drop, selected, rankings(points));
        write_file(folder_ / "pareto.csv", sweep_csv(report.sweep));
        publish(report, best_folder / "best.safetensors");
        return 0;
    }

private:
    std::optional<PruneOutcome> run_point(const SweepPoint& point, uint64_t seed) {
        const std::filesystem::path folder = folder_.path() / run_path(point, seed);
        std::filesystem::create_directories(folder_ / "scores");
        RunFolder own(folder, s_.force ? IfRunIsThere::overwrite : IfRunIsThere::resume);
        own.write_settings(o_.resolved(), environment(o_.tool(), o_.command_line()));
        PruneJob job{.folder = own,
                     .pruning = point.pruning,
                     .seed = seed,
                     .label = fmt::format("{}, seed {}: ", point.name, seed),
                     .resume = !s_.force,
                     .verify = s_.verify};
        if (point.pruning.criterion != kNoCriterion) {
            job.shared_scores = scores_file(point, seed).string();
            if (s_.force && fresh_.insert(job.shared_scores).second)
                std::filesystem::remove(job.shared_scores);
        }
        return prune(context_, job);
    }

    // Amounts share the first round's scores; other settings of one criterion do not.
    std::filesystem::path scores_file(const SweepPoint& point, uint64_t seed) const {
        ordered_json settings = to_json(point.pruning, s_.data.attributes);
        settings.erase("amount");
        settings.erase("removal");
        const std::string text = settings.dump();
        return folder_.path() / "scores" /
               fmt::format("{}-seed{}-{}.json", point.pruning.criterion, seed,
                           xxh3(std::as_bytes(std::span(text))).substr(0, 8));
    }

    // The first seed's order of each criterion.
    std::vector<Ranking> rankings(const std::vector<SweepPoint>& points) const {
        std::vector<Ranking> out;
        std::set<std::filesystem::path> seen;
        for (const SweepPoint& point : points) {
            const std::filesystem::path file = scores_file(point, s_.seed);
            if (point.pruning.criterion != kNoCriterion && seen.insert(file).second)
                out.push_back({.name = point.criterion, .scores = scores_in(file).sets});
        }
        return out;
    }

    int chosen(const std::vector<SweepResult>& results) const {
        std::vector<SweepFigures> figures;
        for (const SweepResult& r : results) {
            figures.push_back({.control = r.point.control});
            for (const SweepRun& run : r.runs) {
                const auto& rounds = run.outcome.rounds;
                const ordered_json& round =
                    rounds.at(run.outcome.best_round > 0 ? size_t(run.outcome.best_round - 1)
                                                         : rounds.size() - 1);
                const ordered_json& objective = round.at("objective").at("value");
                figures.back().accuracy.push_back(
                    round.at("val").at("balanced_accuracy").get<double>());
                figures.back().objective.push_back(objective.is_null() ? kNotEstimable
                                                                       : objective.get<double>());
            }
        }
        return select_point(
            figures, least_accuracy(context_.dense_val.at("balanced_accuracy").get<double>(),
                                    int(opened_.dense.card.classes.size()), s_.pruning.max_drop));
    }

    ScoresFile scores_in(const std::string& file) const {
        return read_scores(read_file(file, uint64_t(1) << 30), file, context_.dense_hash);
    }

    void print_scores() const {
        const std::string file = (folder_.path() / "scores.json").string();
        const ScoresFile scores = scores_in(file);
        std::optional<ScoresComparison> other;
        if (!s_.compare_scores.empty())
            other = {.file = s_.compare_scores,
                     .layers = compare_ranks(scores, scores_in(s_.compare_scores),
                                             parse_amount(s_.pruning.amount))};
        const ordered_json report = scores_report(scores, file, other);
        std::cout << (o_.json() ? report.dump(2) + "\n" : scores_text(report));
    }

    // Notes the read, where there is anything to read.
    bool read_test() const {
        if (members(opened_.data.set, Split::test).empty()) return false;
        record_test_read(folder_.path(), o_.command_line());
        return true;
    }

    PruneReport report_of(const PruneOutcome& outcome,
                          const PruningOptions& pruning,
                          const std::filesystem::path& folder) const {
        return {.dense = opened_.dense,
                .pruned = outcome.best,
                .rounds = outcome.rounds,
                .best_round = outcome.best_round,
                .attributes = context_.attributes(),
                .metrics = outcome.metrics,
                .command = o_.command_line(),
                .data = opened_.data.set.name,
                .settings = to_json(pruning, s_.data.attributes),
                .tuning = to_json(s_.tune),
                .environment = environment(o_.tool(), o_.command_line()),
                .scores = first_scores(opened_, folder, outcome)};
    }

    void publish(const PruneReport& report, const std::filesystem::path& model) const {
        if (report.test_dense)
            write_predictions(folder_ / "predictions-dense.csv", *report.test_dense);
        const ordered_json document = report_json(report, s_.data.batch_size);
        write_file(folder_ / "report.json", document.dump(1) + "\n");
        write_report_html(folder_ / "report.html", document);
        write_file(folder_ / "model-card.md", model_card(document));
        if (o_.json())
            std::cout << document.dump(2) << "\n";
        else
            std::cout << report_text(document)
                      << fmt::format("\npruned model  {}\nreport        {}\n", model.string(),
                                     (folder_ / "report.html").string());
    }

    const PruneSettings& s_;
    const Options& o_;
    const Opened& opened_;
    RunFolder folder_;
    PruneContext context_;
    std::set<std::string> fresh_;  // score files of this command
};

}  // namespace

int run_prune(const PruneSettings& s, const Options& o) {
    const Opened opened(s, o);
    if (s.show_groups) {
        show_groups(opened);
        return 0;
    }
    FP_REQUIRE(!s.out.empty(), Exit::usage, "--out is missing");
    FP_REQUIRE(!(s.resume && s.force), Exit::usage, "--resume and --force exclude each other");
    FP_REQUIRE(!s.sweep.asked() || (s.scores.empty() && !s.scores_only), Exit::usage,
               "--scores and --scores-only are of a single run; a search keeps its own");
    FP_REQUIRE(s.compare_scores.empty() || s.scores_only, Exit::usage,
               "--compare-scores is of --scores-only");
    FP_REQUIRE(
        s.scan.empty() ||
            !(s.sweep.asked() || s.scores_only || s.pruning.mask || s.pruning.recalibrate > 0),
        Exit::usage, "--scan goes with neither a search, --scores-only, --recalibrate nor masks");
    const StopSignals signals;
    Command command(s, o, opened);
    if (!s.scan.empty()) return command.run_scan();
    return s.sweep.asked() ? command.run_sweep() : command.run_one();
}

}  // namespace fp
