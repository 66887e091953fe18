#include "engine/train/fit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/channel_sets.h"
#include "engine/core/trace.h"
#include "engine/data/counts.h"
#include "engine/data/dataset.h"
#include "engine/parallel/agree.h"
#include "engine/run/checkpoint.h"
#include "engine/run/signals.h"
#include "engine/train/selection.h"
#include "engine/train/training_split.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

// First words of the keys of random numbers: each use has its own.
enum Key : uint64_t { kSampling = 1, kAugment = 2, kDropout = 3 };  // 4: training_split.cpp

class Fitting {
public:
    Fitting(Trainer& trainer,
            const Preprocessing& preprocessing,
            const ImageData& data,
            const FitOptions& options,
            const FitHooks& hooks)
        : trainer_(trainer),
          preprocessing_(preprocessing),
          data_(data),
          o_(options),
          t_(options.settings),
          hooks_(hooks),
          comm_(ranks_of(options.trainer)),
          split_(training_split(data, options)),
          batch_size_(int(std::min<int64_t>(options.batch_size, int64_t(split_.train.size())))),
          loader_(data.source,
                  data.labels(),
                  {.batch_size = batch_size_,
                   .image_size = preprocessing.image_size,
                   .workers = t_.workers,
                   .processes = std::max(1, comm_.numbered().local_ranks),
                   .rank = comm_.rank(),
                   .ranks = comm_.ranks(),
                   .ready = data.ready,
                   .drop_last = true,
                   .skip_bad = t_.skip_bad,
                   .augment = options.augment,
                   .memory = &trainer.network().kernels().memory}) {
        check_selection(t_.select, o_.attributes, data);
    }

    bool run(const FitPosition& start) {
        const StopSignals::Unsaved unsaved;
        if (start.batch != 0 && start.ranks != comm_.ranks())
            fail_together(Exit::model, "the run stopped in epoch ", start.epoch + 1, " on a number of ranks of ",
                          start.ranks, ", now it is ", comm_.ranks(), "; only between two epochs can it change");
        check_same_weights("at the start");
        at_ = start;
        at_.ranks = comm_.ranks();
        while (at_.epoch < t_.epochs) {
            started_ = steady_seconds();
            waited_ = loader_.seconds_waiting();
            images_ = 0;
            if (!train_epoch()) return false;
            EpochResult result = trained();
            try {
                validate(result);
            } catch (const Stopped&) {
                save(false);
                return false;
            }
            note_best(result);
            if (hooks_.epoch) hooks_.epoch(result);
            at_.sums = {};
            at_.batch = 0;
            ++at_.epoch;
            save(result.best);
            if (comm_.any(asked_to_stop()) && at_.epoch < t_.epochs) return false;
        }
        return true;
    }

private:
    static const Comm& ranks_of(const TrainerOptions& o) {
        static const Comm alone;
        return o.ranks ? *o.ranks : alone;
    }

    // Of an error that all ranks find: shown once.
    template <class... Parts>
    [[noreturn]] static void fail_together(Exit exit, const Parts&... parts) {
        throw SharedError({.exit = exit, .text = text(parts...)});
    }

    bool asked_to_stop() const { return hooks_.stop && hooks_.stop(); }

    // On rank 0; all go on together.
    void save(bool best) {
        if (!hooks_.save) return;
        trainer_.check_update();
        agree(comm_, [&] {
            if (comm_.first()) hooks_.save(at_, best);
        });
    }

    void check_same_weights(const std::string& when) const {
        if (comm_.alone()) return;
        const std::vector<std::string> hashes = comm_.gather(weights_hash(trainer_.network()));
        for (size_t rank = 1; rank < hashes.size(); ++rank)
            if (hashes[rank] != hashes[0])
                fail_together(Exit::device, "rank ", rank, "'s weights ", when, " are not those of rank 0: all ranks ",
                              "need the same program, the same data and processors of one kind");
    }

    // The batches of the epoch from at_.batch on. False when `stop` ended it.
    bool train_epoch() {
        std::vector<int64_t> order =
            epoch_order(*t_.sampler, split_.labels, split_.groups, key_of(o_.seed, kSampling), uint64_t(at_.epoch));
        for (int64_t& position : order) position = split_.train[position];
        count_drawn(order);
        loader_.start(std::move(order), key_of(o_.seed, kAugment, uint64_t(at_.epoch)), at_.batch);
        batches_ = t_.limit_batches > 0 ? std::min(t_.limit_batches, loader_.batches()) : loader_.batches();
        if (o_.trainer.sync_norms) {  // a batch on every rank, or none
            batches_ -= batches_ % comm_.ranks();
            if (batches_ == 0)
                fail_together(Exit::usage, "--sync-bn: an epoch has too few batches to give each of ", comm_.ranks(),
                              " ranks one");
        }
        const int64_t first = at_.batch;
        show(first);
        bool stopping = false;
        for (int64_t step_began = first; at_.batch < batches_;) {
            const auto [ends_step, stop] = step();
            if (hooks_.batch) hooks_.batch();
            show(first);
            stopping = stopping || stop;
            if (at_.batch == batches_ || !ends_step) continue;
            if (comm_.alone()) stopping = asked_to_stop();
            const int64_t every = hooks_.save_every;
            if (stopping || (every > 0 && at_.batch / every != step_began / every)) save(false);
            if (stopping) return false;
            step_began = at_.batch;
        }
        trainer_.check_update();
        if (batches_ > 0 && at_.sums.samples == 0) {
            const std::optional<Skipped> skipped = skipped_of(data_);
            fail_together(Exit::data, data_.set.name, ": no image of the ", batches_, " batches of epoch ",
                          at_.epoch + 1, " can be read", skipped ? ", the first: " + skipped->first : "");
        }
        return true;
    }

    // Of the samples that make whole batches.
    void count_drawn(const std::vector<int64_t>& order) {
        const int64_t whole = int64_t(order.size()) / batch_size_,
                      batches = t_.limit_batches > 0 ? std::min<int64_t>(t_.limit_batches, whole) : whole;
        const bool grouped = !o_.attributes.empty();
        const Grouping grouping = grouped ? group_by(data_.set, o_.attributes[0]) : Grouping{};
        drawn_groups_ = grouped ? group_columns(grouping) : std::vector<std::string>{"all"};
        drawn_.assign(data_.set.classes.size(), std::vector<int64_t>(drawn_groups_.size()));
        for (int64_t i = 0; i < batches * batch_size_; ++i) {
            const int64_t sample = order[size_t(i)];
            const int group = grouped ? grouping.of[size_t(sample)] : 0;
            ++drawn_[size_t(data_.set.samples[size_t(sample)].label)]
                    [group < 0 ? drawn_groups_.size() - 1 : size_t(group)];
        }
    }

    double rate_of(int64_t batch) const {
        return learning_rate(t_.schedule, at_.epoch + double(batch) / double(batches_), t_.epochs, at_.plateau);
    }

    // One batch of each rank: whether it ends in an update of the weights, and whether a rank was asked to stop.
    struct Stepped {
        bool ends_step, stop;
    };
    Stepped step() {
        const int64_t mine = at_.batch + comm_.rank(), per_step = int64_t(o_.trainer.accumulate) * comm_.ranks();
        at_.batch = std::min(at_.batch + comm_.ranks(), batches_);
        const bool ends_step = at_.batch % per_step == 0 || at_.batch == batches_;
        Batch batch;
        RankTurn turn = mine < batches_ ? next(batch) : RankTurn{};
        turn.stop = !comm_.alone() && asked_to_stop();
        const RankRound round = trainer_.round(turn, rate_of(at_.batch - 1),
                                               key_of(kDropout, uint64_t(at_.epoch), uint64_t(mine)), ends_step);
        for (const Sums& sums : round.sums) {
            at_.sums.add(sums);
            images_ += sums.samples;
        }
        return {ends_step, round.stop};
    }

    // This rank's next batch, if one of its images can be read; norms over all ranks need it in any case.
    RankTurn next(Batch& batch) {
        try {
            loader_.next(batch);
        } catch (...) {
            return {.failed = std::current_exception()};
        }
        const bool readable = std::ranges::max(batch.labels) >= 0;
        return {.batch = readable || o_.trainer.sync_norms ? &batch : nullptr};
    }

    std::string epoch_name() const { return fmt::format("epoch {}/{}", at_.epoch + 1, t_.epochs); }

    // The progress of an epoch that began at batch `first`.
    void show(int64_t first) const {
        if (!hooks_.progress) return;
        ProgressState out{.what = epoch_name(),
                          .done = at_.batch * batch_size_,
                          .total = batches_ * batch_size_,
                          .first = first * batch_size_,
                          .waiting_seconds = loader_.seconds_waiting() - waited_};
        if (at_.sums.samples > 0) {
            out.loss = at_.sums.loss / samples();
            out.accuracy = double(at_.sums.correct) / samples();
        }
        hooks_.progress(out);
    }

    // Of a part of the validation; throws Stopped where `interrupt` asks for it. Of several ranks none may leave the
    // others alone in it.
    Steps validating(const std::string& what, const std::string& unit) const {
        const auto stop = comm_.alone() ? hooks_.interrupt : std::function<bool()>();
        return Observer{.progress = hooks_.progress, .stop = stop}.brief(epoch_name() + " " + what, unit);
    }

    double samples() const { return double(std::max<int64_t>(at_.sums.samples, 1)); }

    EpochResult trained() const {
        const double seconds = steady_seconds() - started_;
        EpochResult out{.epoch = at_.epoch + 1,
                        .train = {.loss = at_.sums.loss / samples(),
                                  .accuracy = double(at_.sums.correct) / samples(),
                                  .samples = at_.sums.samples,
                                  .lr = batches_ > 0 ? rate_of(batches_ - 1) : 0,
                                  .drawn = drawn_,
                                  .drawn_groups = drawn_groups_},
                        .select = t_.select,
                        .seconds = {.train = seconds,
                                    .waiting = loader_.seconds_waiting() - waited_,
                                    .images_per_second = double(images_) / seconds}};
        if (o_.trainer.penalty) out.train.penalty = at_.sums.penalty / samples();
        if (o_.trainer.weights) out.train.weighted_loss = at_.sums.weighted / samples();
        if (const auto& dro = trainer_.group_dro()) {
            out.train.q = dro->q();
            out.train.q_groups = dro->names();
        }
        return out;
    }

    Predictions predict_validation() {
        Predictions out = predict({trainer_.session(),
                                   preprocessing_,
                                   data_,
                                   split_.val,
                                   {.batch_size = batch_size_,
                                    .workers = t_.workers,
                                    .skip_bad = t_.skip_bad,
                                    .progress = validating("validation", "images"),
                                    .ranks = o_.trainer.ranks}});
        FP_REQUIRE(out.size() > 0, Exit::data, data_.set.name, ": no image of the validation split can be read");
        return out;
    }

    void validate(EpochResult& result) {
        if (trainer_.has_average()) result.val_raw = summarize(predict_validation(), o_.attributes);
        {
            const Trainer::Averaged averaged(trainer_);
            const Predictions p = predict_validation();
            result.selected =
                selection_value(p, t_.select, o_.attributes, "--select", validating("selection", "resamples"));
            result.val = summarize(p, o_.attributes);
        }
        result.weights = weights_hash(trainer_.network());
        check_same_weights("after epoch " + std::to_string(result.epoch));
        result.seconds.val = steady_seconds() - started_ - result.seconds.train;
    }

    void note_best(EpochResult& result) {
        at_.plateau.see(result.selected, t_.schedule.patience);
        result.best = result.selected > at_.best || at_.best_epoch == 0;
        if (!result.best) return;
        if (std::isfinite(result.selected)) at_.best = result.selected;
        at_.best_epoch = result.epoch;
    }

    Trainer& trainer_;
    const Preprocessing& preprocessing_;
    const ImageData& data_;
    const FitOptions& o_;
    const TrainingSettings& t_;
    const FitHooks& hooks_;
    const Comm& comm_;
    const TrainingSplit split_;
    const int batch_size_;
    Loader loader_;
    FitPosition at_;
    int64_t batches_ = 0;                      // of the epoch
    std::vector<std::vector<int64_t>> drawn_;  // EpochResult::Train
    std::vector<std::string> drawn_groups_;
    // Since the epoch began, or the run was resumed in it.
    double started_ = 0, waited_ = 0;  // loader_.seconds_waiting() at its start
    int64_t images_ = 0;
};

}  // namespace

void check_fit(const Network& net, int image_size, const ImageData& data, const FitOptions& options) {
    training_split(data, options);
    check_selection(options.settings.select, options.attributes, data);
    if (!options.trainer.penalty) return;
    const Trace rows = trace(net, image_size);
    match_layers(rows.nodes, channel_sets(rows.nodes), options.settings.snnl.layers);
}

bool fit(Trainer& trainer,
         const Preprocessing& preprocessing,
         const ImageData& data,
         const FitOptions& options,
         const FitPosition& start,
         const FitHooks& hooks) {
    return Fitting(trainer, preprocessing, data, options, hooks).run(start);
}

std::string epoch_line(const EpochResult& r, int epochs) {
    const auto number = [](double v) { return std::isfinite(v) ? v : 0.0; };
    return fmt::format("epoch {:>3}/{}  loss {:.4f}  val: loss {:.4f} acc {:.4f} bal {:.4f} f1 {:.4f}{}", r.epoch,
                       epochs, number(r.train.loss), number(r.val.loss), number(r.val.metric("accuracy")),
                       number(r.val.metric("balanced_accuracy")), number(r.val.metric("macro_f1")), r.best ? " *" : "");
}

}  // namespace fp
