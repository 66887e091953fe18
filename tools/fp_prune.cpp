// fp_prune: finds the channels that carry a sensitive attribute, removes them, fine-tunes, and shows what
// that did.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <iostream>

#include "engine/hash.h"
#include "engine/progress.h"
#include "engine/run_folder.h"
#include "engine/signals.h"
#include "engine/state.h"
#include "engine/version.h"
#include "models/models.h"
#include "tools/load.h"
#include "tools/prune_report.h"
#include "tools/pruning.h"
#include "tools/training.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

struct Settings {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    TrainingOptions tune{.epochs = 2, .schedule = {.lr = 0.01}};
    PruningOptions pruning;
    std::string checkpoint, out, cache, scores;
    uint64_t seed = 1;
    bool resume = false, force = false, scores_only = false, verify = false, show_groups = false;
};

void declare(Options& o, Settings& s) {
    o.add("checkpoint FILE", s.checkpoint, "the trained model");
    o.require("checkpoint");
    o.add("out DIR", s.out, "run folder: models, scores, metrics, report");
    o.leave_out_of_config("out");
    o.add("resume", s.resume, "go on with the run in --out, or start where there is none");
    o.leave_out_of_config("resume");
    o.add("force", s.force, "start over in a folder that holds a run");
    o.leave_out_of_config("force");
    add_compute_options(o, s.compute);
    o.heading("Data");
    add_data_options(o, s.data);
    o.add("cache DIR", s.cache, "keep decoded images in a file there");
    add_pruning_options(o, s.pruning);
    o.add("scores-only", s.scores_only, "write scores.json and stop");
    o.add("scores FILE", s.scores, "start from such a file instead of scoring");
    o.add("verify", s.verify,
          "check that removing equals silencing, and print the largest difference");
    o.add("show-groups", s.show_groups, "print which channels are tied, and stop");
    o.add("seed N", s.seed, "of calibration samples, the random criterion and fine-tuning");
    add_training_options(o, s.tune, "finetune-");
}

// The state of a pruning run between two saves.
struct Run {
    LoadedModel model;
    int round = 0;        // finished
    bool tuning = false;  // the next round's channels are out, its fine-tuning is not done
    ordered_json place;   // of the fine-tuning
    ordered_json rounds = ordered_json::array();
    ordered_json pending;  // what is known of the round that is being tuned
    double best = -1e300;
    int best_round = -1;
    int64_t step = 0;  // of checkpoints: grows with every save

    ordered_json to_json() const {
        return {{"round", round},           {"tuning", tuning},   {"place", place},
                {"rounds", rounds},         {"pending", pending}, {"best", best},
                {"best_round", best_round}, {"step", step}};
    }
    void from_json(const ordered_json& j) {
        round = j.at("round").get<int>();
        tuning = j.at("tuning").get<bool>();
        place = j.at("place");
        rounds = j.at("rounds");
        pending = j.at("pending");
        best = j.at("best").get<double>();
        best_round = j.at("best_round").get<int>();
        step = j.at("step").get<int64_t>();
    }
};

struct Interrupted {};

class Pruner {
public:
    Pruner(const Settings& s, const Options& o)
        : s_(s), o_(o), k_(use_device(s.compute, o)), dense_(load_model(s.checkpoint, k_)) {
        const int size = dense_.card.preprocessing.image_size;
        FP_REQUIRE(!s.data.image_size || *s.data.image_size == size, Exit::model, s.checkpoint,
                   ": was trained at ", size, " pixels, --image-size is ",
                   s.data.image_size.value_or(0));
        data_ = open_images(s.data, size, dense_.card.classes, s.cache);
        dense_hash_ = weights_hash(*dense_.network);
    }

    int run() {
        FP_REQUIRE(!s_.out.empty(), Exit::usage, "--out is missing");
        FP_REQUIRE(!(s_.resume && s_.force), Exit::usage,
                   "--resume and --force exclude each other");
        const StopSignals signals;
        folder_.emplace(s_.out, s_.force    ? IfRunIsThere::overwrite
                                : s_.resume ? IfRunIsThere::resume
                                            : IfRunIsThere::refuse);
        folder_->write_settings(o_.resolved(), environment(o_.tool(), o_.command_line()));
        checkpoints_.emplace(folder_->path(), identity(), std::cerr);
        std::optional<Checkpoint> resumed = s_.resume ? checkpoints_->load() : std::nullopt;
        Run run;
        if (resumed) {
            run.model = checkpoint_of(resumed->model, s_.out, models::build, k_);
            run.from_json(resumed->progress);
            say(fmt::format("resuming in round {}", run.round + 1));
        } else {
            run.model = load_model(s_.checkpoint, k_);
        }
        metrics_.emplace(folder_->path(), resumed ? resumed->step : -1);
        dense_val_ = evaluate_on(Split::val, *dense_.network);
        try {
            for (; run.round < s_.pruning.iterations; ++run.round) {
                if (!run.tuning) {
                    if (!remove_channels(run)) return 0;  // scores only
                    resumed.reset();
                }
                tune(run, resumed ? &*resumed : nullptr);
                resumed.reset();
                if (!judge(run)) break;
            }
        } catch (const Interrupted&) {
            say("stopped and saved; --resume goes on from here");
            return StopSignals::exit_code();
        }
        finish(run);
        return 0;
    }

    void show_groups() const {
        for (const ChannelSet& set : channel_sets(
                 trace(models::build, dense_.network->spec, dense_.card.preprocessing.image_size)
                     .nodes))
            std::cout << describe(set) << "\n";
    }

private:
    void say(const std::string& line) const {
        if (!o_.quiet()) std::cerr << line << "\n";
    }

    ordered_json identity() const {
        return {{"dense", dense_hash_},
                {"data", data_.set.name},
                {"split", split_hash(data_.set)},
                {"pruning", to_json(s_.pruning, s_.data.attributes)},
                {"seed", s_.seed},
                {"device", std::string(k_.name)},
                {"tuning", to_json(s_.tune)},
                {"batch_size", s_.data.batch_size}};
    }

    std::vector<std::string> attributes() const { return plain_names(s_.data.attributes); }

    Predictions predict_on(Split split, const Network& net) const {
        Session session(net);
        return predict(session, dense_.card.preprocessing, data_, members(data_.set, split),
                       {.batch_size = s_.data.batch_size,
                        .workers = s_.tune.workers,
                        .skip_bad = s_.tune.skip_bad});
    }
    ordered_json evaluate_on(Split split, const Network& net) const {
        return brief_metrics(predict_on(split, net), attributes());
    }

    void save(Run& run, const std::vector<TensorEntry>& state, bool best) {
        ++run.step;
        checkpoints_->save(
            {run.step, to_file(*run.model.network, run.model.card), state, run.to_json()}, best);
    }

    ChannelScores score(const Run& run, const std::vector<Node>& rows) {
        const ScoreOptions options =
            score_options(s_.pruning, s_.data.attributes, s_.seed + uint64_t(run.round),
                          s_.data.batch_size, s_.tune.workers);
        if (!s_.scores.empty() && run.round == 0) {
            return scores_from(
                read_scores(read_file(s_.scores, uint64_t(1) << 30), s_.scores, dense_hash_), rows,
                options);
        }
        ScoreOptions shown = options;
        std::optional<Progress> bar;
        shown.predict.progress = [&](int64_t done, int64_t all) {
            if (!bar)
                bar.emplace(progress_output(o_.quiet()),
                            fmt::format("round {}: scoring", run.round + 1), all);
            bar->update(done, std::nullopt, 0);
            if (done == all) bar.reset();
        };
        Session session(*run.model.network);
        return score_channels(session, run.model.card.preprocessing, data_, rows, shown);
    }

    // Scores, chooses, cuts. False where only scores were asked for.
    bool remove_channels(Run& run) {
        Network& net = *run.model.network;
        choose_trainable(net, "all", models::head(net.spec));  // for criteria of gradients
        const int size = run.model.card.preprocessing.image_size;
        const Trace traced = trace(models::build, net.spec, size);
        const std::vector<ChannelSet> sets = channel_sets(traced.nodes);
        const ChannelScores scores = score(run, traced.nodes);
        const ScoreOptions options = score_options(s_.pruning, s_.data.attributes, s_.seed,
                                                   s_.data.batch_size, s_.tune.workers);
        const std::string file =
            run.round == 0 ? "scores.json" : fmt::format("scores-{}.json", run.round + 1);
        if (!scores.note.empty()) say("scores: " + scores.note);
        write_file(*folder_ / file, scores_json(scores, options, weights_hash(net)).dump(1) + "\n");
        if (s_.scores_only) {
            say("scores: " + (*folder_ / file).string());
            return false;
        }
        const Removal removal = choose(net.spec, sets, scores.sets, choose_options(s_.pruning),
                                       cost_of(dense_, k_, s_.data.batch_size));
        auto small = cut(net, sets, removal, models::build);
        if (s_.verify) {
            const double difference = difference_from_silenced(net, *small, sets, removal, data_,
                                                               run.model.card.preprocessing);
            say(fmt::format("removing equals silencing within {:.1e} of the largest logit",
                            difference));
            FP_CHECK(difference < 1e-3, "verify: the cut network differs from the silenced one by ",
                     difference);
        }
        const Totals before = totals(layer_costs(models::build, net.spec, size)),
                     after = totals(layer_costs(models::build, small->spec, size));
        ordered_json removed = ordered_json::object();
        int64_t count = 0;
        for (const auto& [name, channels] : removal) {
            removed[name] = channels;
            count += int64_t(channels.size());
        }
        say(
            fmt::format("round {}: {} channels of {} sets removed; {:.2f} -> {:.2f} M parameters, "
                        "{:.1f} -> {:.1f} MMAC",
                        run.round + 1, count, removal.size(), double(before.parameters) * 1e-6,
                        double(after.parameters) * 1e-6, before.macs * 1e-6, after.macs * 1e-6));
        run.pending = {{"round", run.round + 1}, {"removed", removed},
                       {"channels", count},      {"parameters", after.parameters},
                       {"macs", after.macs},     {"cut", evaluate_on(Split::val, *small)}};
        run.model.card.kept = compose(run.model.card.kept, sets, removal);
        run.model.card.provenance = {
            {"parent", dense_hash_},
            {"tool", version_line(o_.tool())},
            {"pruning", to_json(s_.pruning, s_.data.attributes)},
            {"seed", s_.seed},
            {"round", run.round + 1},
            {"data", {{"name", data_.set.name}, {"split", split_hash(data_.set)}}}};
        run.model.network = std::move(small);
        run.tuning = true;
        run.place = start_of_run();
        save(run, {}, false);
        if (StopSignals::requested()) throw Interrupted{};
        return true;
    }

    void tune(Run& run, const Checkpoint* resumed) {
        Network& net = *run.model.network;
        choose_trainable(net, s_.pruning.finetune, models::head(net.spec));
        FitOptions options =
            fit_options(s_.tune, s_.data, s_.seed * 1000 + uint64_t(run.round), data_.set);
        if (options.epochs == 0) return;
        Trainer trainer(net, run.model.card.preprocessing, options.trainer);
        if (resumed && !resumed->state.empty()) trainer.load(resumed->state);
        std::optional<Progress> bar;
        int bar_epoch = -1;
        FitHooks hooks;
        hooks.progress = [&](const FitHooks::Progress& p) {
            if (bar_epoch != p.epoch) {
                bar.reset();
                bar.emplace(
                    progress_output(o_.quiet()),
                    fmt::format("round {} epoch {}/{}", run.round + 1, p.epoch + 1, p.epochs),
                    p.batches * options.batch_size);
                bar_epoch = p.epoch;
            }
            bar->update(p.batch * options.batch_size, p.loss, p.waiting_seconds);
        };
        hooks.epoch = [&](const EpochResult& r) {
            bar.reset();
            say(epoch_line(r, options.epochs));
            ordered_json row = r.metrics;
            const ordered_json seconds = row.at("seconds");
            row.erase("seconds");
            row["round"] = run.round + 1;
            row["step"] = run.step + 1;  // of the save that follows
            metrics_->append(row, seconds);
        };
        hooks.save = [&](const ordered_json& place, bool) {
            run.place = place;
            std::optional<Trainer::Averaged> averaged;
            const std::vector<TensorEntry> state = trainer.save();
            if (trainer.has_average()) averaged.emplace(trainer);
            save(run, state, false);
        };
        hooks.stop = StopSignals::requested;
        if (!fit(trainer, run.model.card.preprocessing, data_, options, run.place, hooks))
            throw Interrupted{};
    }

    // Keeps or gives up; false ends the run.
    bool judge(Run& run) {
        const Predictions val = predict_on(Split::val, *run.model.network);
        ordered_json round = run.pending;
        round["val"] = brief_metrics(val, attributes());
        const double dense_accuracy = dense_val_.at("balanced_accuracy"),
                     accuracy = round["val"].at("balanced_accuracy");
        const std::string objective =
            s_.pruning.objective.empty()
                ? (attributes().empty() ? "balanced_accuracy" : "eodd_mean:" + attributes()[0])
                : s_.pruning.objective;
        const double value = selection_value(val, objective, attributes());
        const bool within = accuracy >= dense_accuracy - s_.pruning.max_drop;
        round["objective"] = {
            {"by", objective},
            {"value", std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr)}};
        round["within_max_drop"] = within;
        const bool better = within && std::isfinite(value) && value > run.best;
        if (better) {
            run.best = value;
            run.best_round = run.round + 1;
        }
        run.rounds.push_back(round);
        say(fmt::format("round {}: validation balanced accuracy {:.4f} (dense {:.4f}), {} {:.4f}{}",
                        run.round + 1, accuracy, dense_accuracy, objective, value,
                        within ? (better ? " *" : "") : ", more than --max-drop below dense"));
        run.tuning = false;
        run.pending = nullptr;
        const int finished = run.round;
        ++run.round;
        save(run, {}, better || run.best_round < 0);
        run.round = finished;
        if (!within) return false;
        return run.round + 1 - std::max(run.best_round, 0) < s_.pruning.patience ||
               s_.pruning.patience == 0;
    }

    void finish(const Run& run) {
        if (run.best_round < 0)
            say("no round stayed within --max-drop of the dense model; the last one is kept");
        const std::optional<Checkpoint> best = checkpoints_->load_best();
        FP_CHECK(best, "the best round's model is not there");
        const LoadedModel pruned = checkpoint_of(best->model, s_.out, models::build, k_);
        PruneReport report{.dense = dense_,
                           .pruned = pruned,
                           .rounds = run.rounds,
                           .best_round = run.best_round,
                           .attributes = attributes(),
                           .metrics = metrics_->rows()};
        if (!members(data_.set, Split::test).empty()) {
            record_test_read(folder_->path(), o_.command_line());
            report.test_dense = predict_on(Split::test, *dense_.network);
            report.test_pruned = predict_on(Split::test, *pruned.network);
            write_predictions(*folder_ / "predictions.csv", *report.test_pruned);
            write_predictions(*folder_ / "predictions-dense.csv", *report.test_dense);
        }
        report.command = o_.command_line();
        report.environment = environment(o_.tool(), o_.command_line());
        if (run.rounds.size() > 0) report.scores = first_scores(run);
        report.settings = to_json(s_.pruning, s_.data.attributes);
        report.data = data_.set.name;
        const ordered_json document = report_json(report, s_.data.batch_size);
        write_file(*folder_ / "report.json", document.dump(1) + "\n");
        write_report_html(*folder_ / "report.html", document);
        if (o_.json())
            std::cout << document.dump(2) << "\n";
        else
            std::cout << report_text(document)
                      << fmt::format("\npruned model  {}\nreport        {}\n",
                                     (*folder_ / "best.safetensors").string(),
                                     (*folder_ / "report.html").string());
    }

    // The first round's scores and what they removed, for the report.
    ordered_json first_scores(const Run& run) const {
        ordered_json out = ordered_json::array();
        const std::filesystem::path file = *folder_ / "scores.json";
        if (!std::filesystem::exists(file)) return out;
        const auto sets = channel_sets(
            trace(models::build, dense_.network->spec, dense_.card.preprocessing.image_size).nodes);
        const auto document = ordered_json::parse(read_file(file, uint64_t(1) << 30));
        for (const auto& layer : document.at("layers")) {
            const auto& removed = run.rounds.at(0).at("removed");
            const std::string set = set_of(sets, layer.at("layer").get<std::string>()).name();
            out.push_back({{"layer", layer.at("layer")},
                           {"attribute", layer.at("attribute")},
                           {"normalized", layer.at("normalized")},
                           {"removed", removed.value(set, ordered_json::array())}});
        }
        return out;
    }

    const Settings& s_;
    const Options& o_;
    const Kernels& k_;
    LoadedModel dense_;
    ImageData data_;
    std::string dense_hash_;
    ordered_json dense_val_;
    std::optional<RunFolder> folder_;
    std::optional<CheckpointFolder> checkpoints_;
    std::optional<Metrics> metrics_;
};

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::Settings s;
    return fp::run_tool(
        argc, argv,
        "Removes the channels that carry a sensitive attribute, fine-tunes, and reports.",
        [&](fp::Options& o) { fp::declare(o, s); },
        [&](const fp::Options& o) {
            fp::Pruner pruner(s, o);
            if (!s.show_groups) return pruner.run();
            pruner.show_groups();
            return 0;
        });
}
