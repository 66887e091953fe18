#include "engine/train/train.h"

#include <fmt/format.h>

#include <chrono>

#include "engine/data/split.h"
#include "engine/parallel/agree.h"
#include "engine/run/checkpoint_folder.h"
#include "engine/run/import_weights.h"
#include "engine/train/train_json.h"

namespace fp {
namespace {

const Comm& ranks_of(const FitOptions& o) {
    static const Comm alone;
    return o.trainer.ranks ? *o.trainer.ranks : alone;
}

Identity identity_of(const Network& net,
                     const Preprocessing& preprocessing,
                     const ImageData& data,
                     const FitOptions& options,
                     const TrainRun& run) {
    const Caller& caller = run.caller;
    Identity out{.settings = caller.settings.empty() ? settings_by_name(options) : caller.settings};
    out.settings.push_back({"--image-size", std::to_string(preprocessing.image_size)});
    out.settings.push_back({"--device", std::string(net.kernels().name)});
    out.add(identity_of(data.set, options.attributes));
    out.add(identity_of_threads());
    out.add(identity_of_ranks(ranks_of(options).ranks(), run.any_ranks));
    return out;
}

// What was imported, where it was.
std::optional<ImportReport> initialize(Network& net, const ModelCard& card, uint64_t seed, const TrainRun& run) {
    net.initialize(seed);
    if (run.weights.empty()) return std::nullopt;
    const WeightsFile weights = read_weights(run.weights);
    ImportReport report = import_weights(net, weights, run.weights, run.weights_prefix);
    add_meaning(report, weights, card.classes, card.preprocessing);
    for (const std::string& line : lines_of(report)) run.observer.tell(line);
    return report;
}

std::optional<SeenImages> seen_after(const Dataset& set, const FitOptions& options, const TrainRun& run) {
    if (options.settings.epochs == 0) return set.seen;
    SeenImages out = seen_images(set, set.seen);
    out.first_weights_unknown |= !set.seen && !run.weights.empty();
    return out;
}

class Training {
public:
    Training(Network& net,
             const Preprocessing& preprocessing,
             const ImageData& data,
             const FitOptions& options,
             const TrainRun& run,
             const std::optional<ImportReport>& imported)
        : net_(net),
          card_{.preprocessing = preprocessing,
                .classes = data.set.classes,
                .provenance = provenance_of(run.caller.tool, data.set, options.settings),
                .seen = seen_after(data.set, options, run)},
          data_(data),
          o_(options),
          run_(run),
          imported_(imported),
          folder_(run.folder, run.if_run_is_there, run.caller.reads, ranks_of(options)),
          checkpoints_(folder_, identity_of(net, preprocessing, data, options, run), run.observer.warn) {}

    TrainResult run() {
        load();
        record_settings(folder_, run_.caller, net_.kernels());
        if (folder_.writes()) write_drawn_split(folder_.path(), data_.set);
        if (imported_) folder_.write("weights.json", json_of(*imported_));
        if (const auto placebo = placebo_note(o_.settings))
            run_.observer.tell(to_text(*placebo) + "; of the training images keep theirs: " +
                               shares_kept(data_.set, o_.attributes, placebo->seed));
        Metrics metrics(folder_, step_, o_.settings.tensorboard);
        Trainer trainer(net_, card_.preprocessing, o_.trainer);
        if (step_ >= 0) trainer.load(state_);
        TrainResult out{.best = folder_ / "best.safetensors", .document = {}};
        if (o_.settings.epochs == 0) {
            save(trainer, {}, true);
            run_.observer.tell(out.best.string() + ": a checkpoint of the initial weights");
        } else {
            out.finished = fit(trainer, card_.preprocessing, data_, o_, position_, hooks(trainer, metrics));
            folder_.write_with("bad_images.csv", [&](const auto& file) { write_bad_images(file, data_); });
        }
        out.document = train_document(run_.folder.string(), metrics, data_, imported_);
        return out;
    }

private:
    // Loads the weights and the position to start from.
    void load() {
        if (run_.if_run_is_there != IfRunIsThere::resume) return;  // train() has initialized
        const std::optional<Checkpoint> found = load_checkpoint();
        if (!found) {
            imported_ = initialize(net_, card_, o_.seed, run_);
            return;
        }
        load_values(net_, found->model, run_.folder.string());
        step_ = found->step;
        state_ = found->state;
        position_ = parse_fit_position(found->progress);
        recall_bad_images(folder_ / "bad_images.csv", data_);
        run_.observer.tell(fmt::format("resuming after step {}", step_));
        if (const int now = ranks_of(o_).ranks(); position_.ranks != now)
            run_.observer.caution(
                fmt::format("from now on a step has the batches of {} ranks, until now it had those of {}: it is "
                            "another training from here on, with as many updates per epoch as {} ranks make",
                            now, position_.ranks, now));
    }

    // On every rank, before any of them saves.
    std::optional<Checkpoint> load_checkpoint() {
        std::optional<Checkpoint> found;
        agree(folder_.ranks(), [&] { found = checkpoints_.load(); });
        return found;
    }

    void save(Trainer& trainer, const FitPosition& position, bool best) {
        const std::vector<TensorEntry> state = trainer.save();  // the raw weights among it
        const Trainer::Averaged averaged(trainer);
        checkpoints_.save({trainer.optimizer().step(), to_file(net_, card_), state, to_text(position)}, best);
    }

    FitHooks hooks(Trainer& trainer, Metrics& metrics) {
        using Clock = std::chrono::steady_clock;
        const std::chrono::duration<double, std::ratio<60>> limit(run_.max_minutes);
        const Observer& observer = run_.observer;
        return {.progress = observer.progress,
                .epoch =
                    [&](const EpochResult& r) {
                        observer.tell(epoch_line(r, o_.settings.epochs));
                        append_to(metrics, r, trainer.optimizer().step());
                    },
                .save = [&](const FitPosition& p, bool best) { save(trainer, p, best); },
                .stop =
                    [&, limit, start = Clock::now()] {
                        return observer.stopped() || (run_.max_minutes > 0 && Clock::now() - start > limit);
                    },
                .interrupt = observer.stop,
                .save_every = run_.save_every};
    }

    Network& net_;
    const ModelCard card_;
    const ImageData& data_;
    const FitOptions& o_;
    const TrainRun& run_;
    std::optional<ImportReport> imported_;
    RunFolder folder_;
    CheckpointFolder checkpoints_;
    int64_t step_ = -1;  // of the checkpoint that was resumed; -1: none was
    std::vector<TensorEntry> state_;
    FitPosition position_;
};

}  // namespace

TrainResult train(Network& net,
                  const Preprocessing& preprocessing,
                  const ImageData& data,
                  const FitOptions& options,
                  const TrainRun& run) {
    // Errors are found before an existing run is overwritten.
    std::optional<ImportReport> imported;
    agree(ranks_of(options), [&] {
        FP_REQUIRE(!options.settings.placebo || placebo_note(options.settings), Exit::usage,
                   "--placebo: nothing in this training reads groups (--sampler, --sample-weights, --group-dro, "
                   "--snnl-weight)");
        if (options.settings.epochs > 0) check_fit(net, preprocessing.image_size, data, options);
        if (run.if_run_is_there != IfRunIsThere::resume)
            imported =
                initialize(net, {.preprocessing = preprocessing, .classes = data.set.classes}, options.seed, run);
    });
    return Training(net, preprocessing, data, options, run, imported).run();
}

}  // namespace fp
