#include "engine/prune/loop.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/fairness/grouping.h"
#include "engine/io/words.h"
#include "engine/measure/layer_costs.h"
#include "engine/parallel/agree.h"
#include "engine/prune/attribute_weights.h"
#include "engine/prune/check_cut.h"
#include "engine/prune/prune_json.h"
#include "engine/prune/score.h"
#include "engine/prune/tuning.h"
#include "engine/run/checkpoint_folder.h"
#include "engine/train/recalibrate.h"
#include "engine/train/selection.h"

namespace fp {
namespace {

class PruneRun {
public:
    PruneRun(const Baseline& dense, const PruneSettings& settings, RunFolder& folder, const PruneStart& start)
        : dense_(dense),
          p_(settings),
          folder_(folder),
          start_(start),
          observer_(in_step(start.observer, folder.ranks())),
          checkpoints_(folder, identity_of_run(dense, settings, folder, start.caller), start.observer.warn),
          resumed_(start.resume ? load() : std::nullopt),
          metrics_(folder, resumed_ ? parse_prune_state(resumed_->progress).rows : -1, settings.tune.tensorboard) {
        record_run(folder, start.caller, dense);
        if (resumed_) {
            model_ =
                checkpoint_of(resumed_->model, folder_.path(), {&dense.model.network->architecture}, dense.kernels());
            s_ = parse_prune_state(resumed_->progress);
            return;
        }
        model_ = {.network = copy_of(*dense.model.network), .card = dense.model.card};
        model_.card.thresholds = {};  // of other probabilities
        model_.card.seen = seen_images(dense.data.set, dense.model.card.seen);
        if (!dense.model.card.seen) model_.card.seen->earlier_unknown = true;
        s_.weights = weighted_attributes(p_.attributes);
    }

    std::optional<PruneResult> run() {
        say_placebo();
        if (resumed_ && !has_ended()) say(fmt::format("resuming in round {}", s_.round + 1));
        try {
            while (!has_ended()) {
                if (!s_.begun) {
                    remove_channels();
                    resumed_.reset();
                }
                tune();
                resumed_.reset();
                judge();
            }
        } catch (const Stopped&) {
            return std::nullopt;
        }
        folder_.ranks().wait_for_all();  // the first has saved the best
        if (s_.best_round < 0) say("no round kept enough balanced accuracy to be chosen; the last one is kept");
        return result();
    }

    bool has_ended() const { return s_.over || s_.round >= p_.iterations; }

    PruneResult result() {
        const std::optional<Checkpoint> best = checkpoints_.load_best();
        FP_CHECK(best, "the best round's model is not there");
        return {
            .best = checkpoint_of(best->model, folder_.path(), {&dense_.model.network->architecture}, dense_.kernels()),
            .rounds = s_.rounds,
            .best_round = s_.best_round};
    }

    void say_placebo() const {
        if (const auto placebo = placebo_note(p_))
            say(to_text(*placebo) + "; of the training images keep theirs: " +
                shares_kept(dense_.data.set, dense_.attributes, placebo->seed));
    }

    // The scores of this round, written to the folder.
    ChannelScores write_scores(const std::vector<Node>& nodes) {
        choose_trainable(*model_.network, "all");  // for criteria that use gradients
        const ScoreOptions options = score_options(p_, s_.weights, s_.round);
        ChannelScores scores = score(nodes, options);
        const std::string file = s_.round == 0 ? "scores.json" : fmt::format("scores-{}.json", s_.round + 1);
        if (!scores.note.empty()) say("scores: " + scores.note);
        folder_.write(file, scores_text(scores, options, weights_hash(*model_.network)));
        if (s_.round == 0 && start_.scored) start_.scored();
        return scores;
    }

    // The attributes' weights of the round that begins.
    void learn_weights() {
        if (p_.learn_weights > 0) s_.weights = learned_weights(s_.weights, predict_val(), p_.learn_weights);
    }

    Trace traced() const { return trace(*model_.network, dense_.image_size()); }

private:
    static Identity identity_of_run(const Baseline& dense,
                                    const PruneSettings& settings,
                                    const RunFolder& folder,
                                    const Caller& caller) {
        Identity out = identity_of(dense, settings, caller);
        out.add(identity_of_ranks(folder.ranks().ranks(), false));
        return out;
    }

    // On every rank, before any of them saves.
    std::optional<Checkpoint> load() {
        std::optional<Checkpoint> found;
        agree(folder_.ranks(), [&] { found = checkpoints_.load(); });
        return found;
    }

    void say(const std::string& line) const { observer_.tell(line); }

    std::string round_name() const { return fmt::format("round {}", s_.round + 1); }

    void save(const std::vector<TensorEntry>& state, bool best) {
        ++s_.step;
        checkpoints_.save({s_.step, to_file(*model_.network, model_.card), state, to_text(s_)}, best);
    }

    // From a file where one is given (in the first round), else from the network.
    ChannelScores score(const std::vector<Node>& nodes, const ScoreOptions& options) {
        const std::string shared = s_.round == 0 ? start_.shared_scores : "";
        std::string file = s_.round == 0 ? start_.scores : "";
        if (file.empty() && !shared.empty() && std::filesystem::exists(shared)) file = shared;
        if (!file.empty()) return scores_from(scores_in(file, dense_.hash), nodes, options);
        ScoreOptions shown = options;
        shown.predict.progress = observer_.steps({.what = round_name() + ": scoring"});
        shown.predict.ranks = &folder_.ranks();
        shown.progress = observer_.later({.what = round_name() + ": scoring layers", .unit = "layers", .brief = true});
        Session session(*model_.network);
        const ChannelScores scores = score_channels(session, model_.card.preprocessing, dense_.data, nodes, shown);
        if (!shared.empty()) write_file(shared, scores_text(scores, options, dense_.hash));
        return scores;
    }

    // Scores, chooses, cuts.
    void remove_channels() {
        learn_weights();
        Round round{.number = s_.round + 1, .attribute_weights = s_.weights};
        const Trace now = traced();
        const std::vector<ChannelSet> sets = channel_sets(now.nodes);
        if (p_.score.criterion->score) {
            const ChannelScores scores = write_scores(now.nodes);
            observer_.brief(round_name() + ": choosing channels");
            const Choice choice =
                choose(model_.network->spec, sets, scores.sets, p_.choose, cost_of(dense_, &folder_.ranks()),
                       p_.mask ? Ties{} : ties_of(dense_.kernels(), sets, scores.noise, &folder_.ranks()));
            round.removed = choice.removal;
            if (choice.kept + choice.removed > 0)
                say(
                    fmt::format("{}: to fill this device's blocks, {} more kept and {} more removed than the amount "
                                "asks for; their scores do not differ beyond noise (--round-to 1 turns this off)",
                                round_name(), counted(choice.kept, "channel"), choice.removed));
        }
        take_out(sets, round);
        recalibrate(round);
        model_.card.provenance = provenance(dense_, p_, start_.caller.tool, round.number);
        s_.begun = round;
        s_.position = {};
        save({}, false);
        // Several ranks stop together: here, and where fit() lets them.
        if (folder_.ranks().any(start_.observer.stopped())) throw Stopped{};
    }

    // Cuts, or masks, or for a control does neither, and records the effect.
    void take_out(const std::vector<ChannelSet>& sets, Round& round) {
        Network& net = *model_.network;
        const Removal& removal = round.removed;
        const Totals before = totals(layer_costs(net, dense_.image_size()));
        if (p_.mask && !removal.empty()) {
            mask_filters(net, sets, removal);
            for (const auto& [set, channels] : removal)
                s_.masked[set].insert(s_.masked[set].end(), channels.begin(), channels.end());
        } else if (!removal.empty()) {
            observer_.brief(round_name() + ": cutting");
            auto small = cut(net, sets, removal);
            small->batches_seen = net.batches_seen;
            if (p_.verify) {
                const double difference = difference_from_silenced(net, *small, sets, removal, dense_,
                                                                   observer_.brief(round_name() + ": verifying"));
                say(fmt::format("removing equals silencing within {:.1e} of the largest logit", difference));
                FP_CHECK(difference < 1e-3, "verify: the cut network differs from the silenced one by ", difference);
            }
            model_.card.kept = compose(model_.card.kept, sets, removal);
            model_.network = std::move(small);
        }
        const Totals after = totals(layer_costs(*model_.network, dense_.image_size()));
        for (const auto& [name, channels] : removal) round.channels += int64_t(channels.size());
        round.parameters = after.parameters;
        round.macs = after.macs;
        say(fmt::format("{}: {} of {} {}", round_name(), counted(round.channels, "channel"),
                        counted(int64_t(removal.size()), "set"), p_.mask ? "masked" : "removed"));
        say(fmt::format("  {:.2f} -> {:.2f} M parameters, {:.1f} -> {:.1f} MMAC", double(before.parameters) * 1e-6,
                        double(after.parameters) * 1e-6, before.macs * 1e-6, after.macs * 1e-6));
        if (const std::string slow = slow_sets_text(dense_.kernels(), sets, removal); !p_.mask && !slow.empty())
            say(slow);
        const std::string padding = padding_text(
            dense_.kernels(), padding_share(dense_.kernels(), layer_costs(*dense_.model.network, dense_.image_size()),
                                            layer_costs(*model_.network, dense_.image_size())));
        if (!p_.mask && !padding.empty()) say(padding);
        round.cut = validate();
    }

    Predictions predict_val() const {
        return dense_.predict_on(Split::val, *model_.network, observer_.brief(round_name() + ": validation"),
                                 &folder_.ranks());
    }

    Summary validate() const { return summarize(predict_val(), dense_.attributes); }

    void recalibrate(Round& round) {
        if (p_.recalibrate == 0) return;
        PredictOptions options = dense_.predict_options;
        options.progress = observer_.brief(round_name() + ": recalibrating batch norm");
        options.ranks = &folder_.ranks();
        const int64_t batches = recalibrate_norms(*model_.network, model_.card.preprocessing, dense_.data,
                                                  recalibration_samples(dense_.data.set, p_, s_.round), options);
        round.recalibrated = validate();
        say(fmt::format("batch norm's statistics of {} batches: validation balanced accuracy {:.3f} -> {:.3f}", batches,
                        round.cut.metric("balanced_accuracy"), round.recalibrated->metric("balanced_accuracy")));
    }

    void tune() {
        Network& net = *model_.network;
        choose_trainable(net, p_.finetune);
        FitOptions options =
            fit_options(p_.tune, p_.attributes, p_.batch_size, p_.seed * 1000 + uint64_t(s_.round), dense_.data.set);
        if (p_.tune.epochs == 0) return;
        options.trainer.ranks = &folder_.ranks();
        options.trainer.fixed_features = p_.fixed_features;
        options.trainer.l1 = p_.l1;
        const bool begins = !resumed_ || resumed_->state.empty();
        if (p_.fresh_head && begins) renew_head(net, options.seed);
        Trainer trainer(net, model_.card.preprocessing, options.trainer);
        if (!begins) trainer.load(resumed_->state);
        const std::vector<ChannelSet> sets = channel_sets(traced().nodes);
        FitHooks hooks;
        const Observer observer = labelled(observer_, round_name() + " ");
        hooks.progress = observer.progress;
        if (!s_.masked.empty()) hooks.batch = [&] { mask_filters(net, sets, s_.masked); };
        hooks.epoch = [&](const EpochResult& r) {
            say(epoch_line(r, p_.tune.epochs));
            append_to(metrics_, r, ++s_.rows, s_.round + 1);
        };
        hooks.save = [&](const FitPosition& position, bool) {
            s_.position = position;
            const std::vector<TensorEntry> state = trainer.save();
            const Trainer::Averaged averaged(trainer);
            save(state, false);
        };
        hooks.stop = hooks.interrupt = [&] { return start_.observer.stopped(); };
        if (!fit(trainer, model_.card.preprocessing, dense_.data, options, s_.position, hooks)) throw Stopped{};
        trainer.adopt_average();
        if (!s_.masked.empty()) mask_filters(net, sets, s_.masked);  // the average is of weights before their mask
    }

    // Keeps the round or ends the run.
    void judge() {
        const Predictions val = predict_val();
        const std::string by = objective_of(p_);
        Round& round = *s_.begun;
        round.val = summarize(val, dense_.attributes);
        round.objective = {.by = by,
                           .value = selection_value(val, by, dense_.attributes, "--objective",
                                                    observer_.brief(round_name() + ": objective", "resamples"))};
        const double dense_accuracy = dense_.val(&folder_.ranks()).metric("balanced_accuracy"),
                     accuracy = round.val.metric("balanced_accuracy"), value = round.objective.value;
        round.within_max_drop = accuracy >= dense_accuracy - p_.max_drop;
        round.enough_accuracy = accuracy >= dense_.least_accuracy(p_.max_drop);
        const bool better = round.enough_accuracy && std::isfinite(value) && value > s_.best;
        if (better) {
            s_.best = value;
            s_.best_round = round.number;
        }
        say(fmt::format("round {}: validation balanced accuracy {:.4f} (dense {:.4f}){}", round.number, accuracy,
                        dense_accuracy, better ? " *" : ""));
        say(fmt::format("  {}{}", to_text(round.objective),
                        better                   ? ""
                        : !round.within_max_drop ? ", more than --max-drop below dense"
                        : !round.enough_accuracy ? ", not half as far above chance as dense"
                                                 : ""));
        s_.over =
            !round.within_max_drop || (p_.patience > 0 && round.number - std::max(s_.best_round, 0) >= p_.patience);
        s_.rounds.push_back(round);
        s_.begun.reset();
        ++s_.round;
        save({}, better || s_.best_round < 0);
    }

    const Baseline& dense_;
    const PruneSettings& p_;
    RunFolder& folder_;
    const PruneStart& start_;
    const Observer observer_;
    CheckpointFolder checkpoints_;
    std::optional<Checkpoint> resumed_;  // until its state has been loaded
    Metrics metrics_;
    LoadedModel model_;
    PruneState s_;
};

}  // namespace

std::string to_text(const Objective& o) {
    if (!o.by.starts_with("rms:") || std::isnan(o.value)) return fmt::format("{} {:.4f}", o.by, o.value);
    return o.value > 0 ? o.by + " smaller than noise: 0" : fmt::format("{} {:.4f}", o.by, std::sqrt(0 - o.value));
}

std::optional<PruneResult> prune(const Baseline& dense,
                                 const PruneSettings& settings,
                                 RunFolder& folder,
                                 const PruneStart& start) {
    return PruneRun(dense, settings, folder, start).run();
}

PruneResult pruned(const Baseline& dense,
                   const PruneSettings& settings,
                   const std::filesystem::path& folder,
                   const Caller& caller) {
    RunFolder ended = RunFolder::of_ended(folder);
    const PruneStart start{.caller = caller, .resume = true};
    PruneRun run(dense, settings, ended, start);
    FP_REQUIRE(run.has_ended(), Exit::model, shown(folder), ": this run has not ended");
    return run.result();
}

bool score_only(const Baseline& dense, const PruneSettings& settings, RunFolder& folder, const PruneStart& start) {
    PruneRun run(dense, settings, folder, start);
    try {
        run.say_placebo();
        run.learn_weights();
        run.write_scores(run.traced().nodes);
        return true;
    } catch (const Stopped&) {
        start.observer.tell("stopped before the scores were complete");
        return false;
    }
}

PruneResult prune(const LoadedModel& dense,
                  const ImageData& data,
                  const PruneSettings& settings,
                  const std::filesystem::path& folder) {
    const Baseline baseline(dense, data, settings);
    check(settings, baseline);
    RunFolder run(folder, IfRunIsThere::refuse);
    return std::move(*prune(baseline, settings, run));
}

}  // namespace fp
