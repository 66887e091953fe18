#include "tools/prune_run.h"

#include <fmt/format.h>

#include <cmath>
#include <iostream>
#include <limits>

#include "engine/prune/attribute_weights.h"
#include "engine/run/progress.h"
#include "engine/run/run_folder.h"
#include "engine/run/signals.h"
#include "engine/run/version.h"
#include "engine/train/recalibrate.h"
#include "engine/train/selection.h"
#include "engine/train/train_json.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

// The state of a run between two saves.
struct State {
    LoadedModel model;
    int round = 0;        // finished
    bool tuning = false;  // the next round's channels are out, its fine-tuning is not done
    bool over = false;    // a stop rule has ended the run
    FitPosition place;    // of the fine-tuning
    ordered_json rounds = ordered_json::array();
    ordered_json pending;                   // what is known of the round that is being tuned
    std::map<std::string, double> weights;  // of the attributes
    Removal masked;
    double best = -1e300;
    int best_round = -1;
    int64_t step = 0;  // of checkpoints: grows with every save

    ordered_json state() const {
        return {{"round", round},           {"tuning", tuning}, {"over", over},
                {"place", to_json(place)},  {"rounds", rounds}, {"pending", pending},
                {"weights", weights},       {"masked", masked}, {"best", best},
                {"best_round", best_round}, {"step", step}};
    }
    void from_json(const ordered_json& j) {
        round = j.at("round").get<int>();
        tuning = j.at("tuning").get<bool>();
        over = j.at("over").get<bool>();
        place = fit_position_from(j.at("place"));
        rounds = j.at("rounds");
        pending = j.at("pending");
        weights = j.at("weights").get<std::map<std::string, double>>();
        masked = j.at("masked").get<Removal>();
        best = j.at("best").get<double>();
        best_round = j.at("best_round").get<int>();
        step = j.at("step").get<int64_t>();
    }
};

struct Interrupted {};

class PruneRun {
public:
    PruneRun(const PruneContext& context, const PruneJob& job)
        : c_(context), job_(job), p_(job.pruning), folder_(job.folder) {}

    std::optional<PruneOutcome> run() {
        checkpoints_.emplace(folder_.path(), identity(), std::cerr);
        std::optional<Checkpoint> resumed = job_.resume ? checkpoints_->load() : std::nullopt;
        if (resumed) {
            s_.model = checkpoint_of(resumed->model, folder_.path(),
                                     {&c_.dense.network->architecture}, c_.kernels);
            s_.from_json(ordered_json::parse(resumed->progress));
        } else {
            s_.model.network = copy_of(*c_.dense.network);
            s_.model.card = c_.dense.card;
            s_.model.card.thresholds = ordered_json::object();  // of other probabilities
            s_.weights = weighted_attributes(c_.data_options.attributes);
        }
        metrics_.emplace(folder_.path(), resumed ? resumed->step : -1, c_.tune.tensorboard);
        if (resumed && !s_.over && s_.round < p_.iterations)
            say(fmt::format("resuming in round {}", s_.round + 1));
        try {
            for (; !s_.over && s_.round < p_.iterations; ++s_.round) {
                if (!s_.tuning) {
                    if (!remove_channels()) return std::nullopt;
                    resumed.reset();
                }
                tune(resumed ? &*resumed : nullptr);
                resumed.reset();
                judge();
            }
        } catch (const Interrupted&) {
            say("stopped and saved; --resume goes on from here");
            return std::nullopt;
        }
        if (s_.best_round < 0)
            say("no round kept enough balanced accuracy to be chosen; the last one is kept");
        const std::optional<Checkpoint> best = checkpoints_->load_best();
        FP_CHECK(best, "the best round's model is not there");
        return PruneOutcome{.best = checkpoint_of(best->model, folder_.path(),
                                                  {&c_.dense.network->architecture}, c_.kernels),
                            .rounds = s_.rounds,
                            .best_round = s_.best_round,
                            .objective = s_.best,
                            .metrics = metrics_->rows()};
    }

private:
    void say(const std::string& line) const { c_.say(job_.label + line); }

    Identity identity() const {
        Identity out{.settings = {{"the dense model", c_.dense_hash},
                                  {"pruning", to_json(p_, c_.data_options.attributes).dump()},
                                  {"--seed", std::to_string(job_.seed)},
                                  {"--device", std::string(c_.kernels.name)},
                                  {"tuning", to_json(c_.tune).dump()},
                                  {"--batch-size", std::to_string(c_.data_options.batch_size)}}};
        out.add(identity_of(c_.data.set, c_.attributes()));
        out.add(identity_of_threads());
        return out;
    }

    void save(const std::vector<TensorEntry>& state, bool best) {
        ++s_.step;
        checkpoints_->save(
            {s_.step, to_file(*s_.model.network, s_.model.card), state, s_.state().dump()}, best);
    }

    ScoreOptions scoring() const {
        ScoreOptions o =
            score_options(p_, c_.data_options.attributes, job_.seed + uint64_t(s_.round),
                          c_.data_options.batch_size, c_.tune.workers);
        o.attributes = s_.weights;
        std::erase_if(o.attributes, [](const auto& a) { return a.second == 0; });
        return o;
    }

    ChannelScores score(const std::vector<Node>& rows, const ScoreOptions& o) {
        const bool first = s_.round == 0;
        const std::string& shared = job_.shared_scores;
        const bool have_shared = first && !shared.empty() && std::filesystem::exists(shared);
        if (first && (!job_.scores.empty() || have_shared)) {
            const std::string& file = job_.scores.empty() ? shared : job_.scores;
            return scores_from(read_scores(read_file(file, uint64_t(1) << 30), file, c_.dense_hash),
                               rows, o);
        }
        ScoreOptions shown = o;
        std::optional<Progress> bar;
        shown.predict.progress = [&](int64_t done, int64_t all) {
            if (!bar)
                bar.emplace(progress_output(c_.options.quiet()),
                            fmt::format("{}round {}: scoring", job_.label, s_.round + 1), all);
            bar->update(done, std::nullopt, 0);
            if (done == all) bar.reset();
        };
        Session session(*s_.model.network);
        const ChannelScores scores =
            score_channels(session, s_.model.card.preprocessing, c_.data, rows, shown);
        if (first && !shared.empty())
            write_file(shared, scores_json(scores, o, c_.dense_hash).dump(1) + "\n");
        return scores;
    }

    // Scores, chooses, cuts. False where only scores were asked for.
    bool remove_channels() {
        Network& net = *s_.model.network;
        choose_trainable(net, "all");  // for criteria of gradients
        const int size = s_.model.card.preprocessing.image_size;
        if (p_.learn_weights > 0)
            s_.weights =
                learned_weights(s_.weights, c_.predict_on(Split::val, net), p_.learn_weights);
        s_.pending = {{"round", s_.round + 1}, {"attribute_weights", s_.weights}};
        Removal removal;
        std::vector<ChannelSet> sets;
        if (p_.criterion != kNoCriterion) {
            const Trace traced = trace(net, size);
            sets = channel_sets(traced.nodes);
            const ScoreOptions o = scoring();
            const ChannelScores scores = score(traced.nodes, o);
            const std::string file =
                s_.round == 0 ? "scores.json" : fmt::format("scores-{}.json", s_.round + 1);
            if (!scores.note.empty()) say("scores: " + scores.note);
            write_file(folder_ / file, scores_json(scores, o, weights_hash(net)).dump(1) + "\n");
            if (job_.scores_only) return false;
            removal = choose(net.spec, sets, scores.sets, choose_options(p_),
                             cost_of(c_.dense, c_.kernels, c_.data_options.batch_size));
        }
        take_out(sets, removal);
        recalibrate();
        s_.model.card.provenance = {
            {"parent", c_.dense_hash},
            {"tool", version_line(c_.options.tool())},
            {"pruning", to_json(p_, c_.data_options.attributes)},
            {"seed", job_.seed},
            {"round", s_.round + 1},
            {"data", {{"name", c_.data.set.name}, {"split", split_hash(c_.data.set)}}}};
        s_.tuning = true;
        s_.place = {};
        save({}, false);
        if (StopSignals::requested()) throw Interrupted{};
        return true;
    }

    void recalibrate() {
        if (p_.recalibrate == 0) return;
        Network& net = *s_.model.network;
        std::vector<int64_t> samples = members(c_.data.set, Split::train), drawn;
        const std::vector<int> labels(samples.size(), 0);  // a plain shuffle does not look at them
        for (const int64_t at : epoch_order(Sampling::shuffled, labels, {}, job_.seed, s_.round))
            drawn.push_back(samples[size_t(at)]);
        const size_t wanted = size_t(p_.recalibrate) * size_t(c_.data_options.batch_size);
        drawn.resize(std::min(drawn.size(), wanted));
        const int64_t batches = recalibrate_norms(net, s_.model.card.preprocessing, c_.data, drawn,
                                                  {.batch_size = c_.data_options.batch_size,
                                                   .workers = c_.tune.workers,
                                                   .skip_bad = c_.tune.skip_bad});
        s_.pending["recalibrated"] =
            to_json(summarize(c_.predict_on(Split::val, net), c_.attributes()));
        const auto accuracy = [&](const char* when) {
            return s_.pending[when]["balanced_accuracy"].get<double>();
        };
        say(fmt::format(
            "batch norm's statistics of {} batches: validation balanced accuracy {:.3f} -> {:.3f}",
            batches, accuracy("cut"), accuracy("recalibrated")));
    }

    // Cuts (or masks, or for a control does neither), and notes what that did.
    void take_out(const std::vector<ChannelSet>& sets, const Removal& removal) {
        Network& net = *s_.model.network;
        const int size = s_.model.card.preprocessing.image_size;
        const Totals before = totals(layer_costs(net, size));
        if (p_.mask && !removal.empty()) {
            mask_filters(net, sets, removal);
            for (const auto& [set, channels] : removal)
                s_.masked[set].insert(s_.masked[set].end(), channels.begin(), channels.end());
        } else if (!removal.empty()) {
            auto small = cut(net, sets, removal);
            small->batches_seen = net.batches_seen;
            if (job_.verify) verify(net, *small, sets, removal);
            s_.model.card.kept = compose(s_.model.card.kept, sets, removal);
            s_.model.network = std::move(small);
        }
        const Totals after = totals(layer_costs(*s_.model.network, size));
        int64_t count = 0;
        for (const auto& [name, channels] : removal) count += int64_t(channels.size());
        say(
            fmt::format("round {}: {} channels of {} sets {}; {:.2f} -> {:.2f} M parameters, "
                        "{:.1f} -> {:.1f} MMAC",
                        s_.round + 1, count, removal.size(), p_.mask ? "masked" : "removed",
                        double(before.parameters) * 1e-6, double(after.parameters) * 1e-6,
                        before.macs * 1e-6, after.macs * 1e-6));
        if (!p_.mask) tell_what_stays_as_slow(sets, removal);
        s_.pending["removed"] = removal;
        s_.pending["channels"] = count;
        s_.pending["parameters"] = after.parameters;
        s_.pending["macs"] = after.macs;
        s_.pending["cut"] =
            to_json(summarize(c_.predict_on(Split::val, *s_.model.network), c_.attributes()));
    }

    // A device computes channels in blocks: a set that fills as many as before is smaller and no faster.
    void tell_what_stays_as_slow(const std::vector<ChannelSet>& sets,
                                 const Removal& removal) const {
        const auto stored = [&](int channels) {
            return Map{.c = channels, .block = c_.kernels.block(channels)}.stored_c();
        };
        int as_slow = 0;
        for (const ChannelSet& set : sets) {
            const auto gone = removal.find(set.name());
            if (gone != removal.end())
                as_slow += stored(set.channels - int(gone->second.size())) == stored(set.channels);
        }
        if (as_slow > 0)
            say(
                fmt::format("{} of these {} sets fill as many blocks of {} channels as before and "
                            "are no faster on this device: --round-to {} would keep what is free",
                            as_slow, removal.size(), stored(1), stored(1)));
    }

    void verify(const Network& old,
                const Network& small,
                const std::vector<ChannelSet>& sets,
                const Removal& removal) const {
        const double difference = difference_from_silenced(old, small, sets, removal, c_.data,
                                                           s_.model.card.preprocessing);
        say(fmt::format("removing equals silencing within {:.1e} of the largest logit",
                        difference));
        FP_CHECK(difference < 1e-3, "verify: the cut network differs from the silenced one by ",
                 difference);
    }

    void tune(const Checkpoint* resumed) {
        Network& net = *s_.model.network;
        choose_trainable(net, p_.finetune);
        const FitOptions options = fit_options(c_.tune, c_.data_options,
                                               job_.seed * 1000 + uint64_t(s_.round), c_.data.set);
        if (options.epochs == 0) return;
        Trainer trainer(net, s_.model.card.preprocessing, options.trainer);
        if (resumed && !resumed->state.empty()) trainer.load(resumed->state);
        const std::vector<ChannelSet> sets =
            s_.masked.empty()
                ? std::vector<ChannelSet>{}
                : channel_sets(trace(net, s_.model.card.preprocessing.image_size).nodes);
        std::optional<Progress> bar;
        int bar_epoch = -1;
        FitHooks hooks;
        hooks.progress = [&](const FitHooks::Progress& p) {
            if (!s_.masked.empty()) mask_filters(net, sets, s_.masked);  // after each step
            if (bar_epoch != p.epoch) {
                bar.reset();
                bar.emplace(progress_output(c_.options.quiet()),
                            fmt::format("{}round {} epoch {}/{}", job_.label, s_.round + 1,
                                        p.epoch + 1, p.epochs),
                            p.batches * options.batch_size);
                bar_epoch = p.epoch;
            }
            bar->update(p.batch * options.batch_size, p.loss, p.waiting_seconds);
        };
        hooks.epoch = [&](const EpochResult& r) {
            bar.reset();
            say(epoch_line(r, options.epochs));
            ordered_json row = epoch_row(r);
            row["round"] = s_.round + 1;
            row["step"] = s_.step + 1;  // of the save that follows
            metrics_->append(row, epoch_times(r));
        };
        hooks.save = [&](const FitPosition& place, bool) {
            s_.place = place;
            std::optional<Trainer::Averaged> averaged;
            const std::vector<TensorEntry> state = trainer.save();
            if (trainer.has_average()) averaged.emplace(trainer);
            save(state, false);
        };
        hooks.stop = hooks.interrupt = StopSignals::requested;
        if (!fit(trainer, s_.model.card.preprocessing, c_.data, options, s_.place, hooks))
            throw Interrupted{};
        if (trainer.has_average()) adopt_average(trainer);
    }

    // The averaged weights become the model's own.
    void adopt_average(Trainer& trainer) {
        std::unique_ptr<Network> averaged;
        {
            const Trainer::Averaged now(trainer);
            averaged = copy_of(*s_.model.network);
        }
        for (const Param& p : averaged->params.all())
            s_.model.network->params.set(*s_.model.network->params.find(p.name),
                                         averaged->params.get(p).data());
    }

    // Keeps or gives up.
    void judge() {
        const std::vector<std::string> attributes = c_.attributes();
        const Predictions val = c_.predict_on(Split::val, *s_.model.network);
        ordered_json round = s_.pending;
        round["val"] = to_json(summarize(val, attributes));
        const double dense_accuracy = c_.dense_val.at("balanced_accuracy"),
                     accuracy = round["val"].at("balanced_accuracy");
        const std::string objective = objective_of(p_, attributes);
        const double value = selection_value(val, objective, attributes);
        const bool within = accuracy >= dense_accuracy - p_.max_drop,
                   enough =
                       accuracy >= least_accuracy(dense_accuracy, int(c_.dense.card.classes.size()),
                                                  p_.max_drop);
        round["objective"] = {
            {"by", objective},
            {"value", std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr)}};
        round["within_max_drop"] = within;
        round["enough_accuracy"] = enough;
        const bool better = enough && std::isfinite(value) && value > s_.best;
        if (better) {
            s_.best = value;
            s_.best_round = s_.round + 1;
        }
        s_.rounds.push_back(round);
        say(fmt::format("round {}: validation balanced accuracy {:.4f} (dense {:.4f}), {} {:.4f}{}",
                        s_.round + 1, accuracy, dense_accuracy, objective, value,
                        better    ? " *"
                        : !within ? ", more than --max-drop below dense"
                        : !enough ? ", not half as far above chance as dense"
                                  : ""));
        s_.tuning = false;
        s_.pending = nullptr;
        s_.over = !within ||
                  (p_.patience > 0 && s_.round + 1 - std::max(s_.best_round, 0) >= p_.patience);
        const int finished = s_.round;
        ++s_.round;
        save({}, better || s_.best_round < 0);
        s_.round = finished;
    }

    const PruneContext& c_;
    const PruneJob& job_;
    const PruningOptions& p_;
    RunFolder& folder_;
    std::optional<CheckpointFolder> checkpoints_;
    std::optional<Metrics> metrics_;
    State s_;
};

}  // namespace

std::vector<std::string> PruneContext::attributes() const {
    return plain_names(data_options.attributes);
}

Predictions PruneContext::predict_on(Split split, const Network& net) const {
    Session session(net);
    return predict(session, dense.card.preprocessing, data, members(data.set, split),
                   {.batch_size = data_options.batch_size,
                    .workers = tune.workers,
                    .skip_bad = tune.skip_bad});
}

void PruneContext::say(const std::string& line) const {
    if (!options.quiet()) std::cerr << line << "\n";
}

double least_accuracy(double dense_accuracy, int classes, double max_drop) {
    const double chance = 1.0 / classes;
    if (!(dense_accuracy > chance)) return std::numeric_limits<double>::infinity();
    return std::max(dense_accuracy - max_drop, (chance + dense_accuracy) / 2);
}

std::string objective_of(const PruningOptions& p, const std::vector<std::string>& attributes) {
    if (!p.objective.empty()) return p.objective;
    return attributes.empty() ? "balanced_accuracy" : "rms:" + attributes[0];
}

std::optional<PruneOutcome> prune(const PruneContext& context, const PruneJob& job) {
    return PruneRun(context, job).run();
}

}  // namespace fp
