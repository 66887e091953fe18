#include "engine/train/train.h"

#include <fmt/format.h>

#include <chrono>
#include <sstream>

#include "engine/io/files.h"
#include "engine/run/checkpoint_folder.h"
#include "engine/train/train_json.h"

namespace fp {
namespace {

Identity identity_of(const Network& net,
                     const Preprocessing& preprocessing,
                     const ImageData& data,
                     const FitOptions& options,
                     const TrainRun& run) {
    Identity out{.settings = run.settings};
    out.settings.push_back({"--image-size", std::to_string(preprocessing.image_size)});
    out.settings.push_back({"--device", std::string(net.kernels().name)});
    out.add(identity_of(data.set, options.attributes));
    out.add(identity_of_threads());
    return out;
}

void say_imported(const ImportReport& report, const TrainRun& run) {
    if (!run.observer.say) return;
    std::string line = fmt::format("{}: {} tensors loaded", run.weights, report.loaded);
    if (report.head_replaced) line += "; the head has another size and starts anew";
    if (!report.unexpected.empty())
        line += fmt::format("; {} not used, {} first", report.unexpected.size(), report.unexpected[0]);
    run.observer.say(line);
    for (const std::string& note : report.notes) run.observer.say("  " + note);
}

void initialize(Network& net, const FitOptions& options, const TrainRun& run) {
    net.initialize(options.seed);
    if (run.weights.empty()) return;
    say_imported(import_weights(net, read_safetensors(run.weights), run.weights), run);
}

class Training {
public:
    Training(Network& net,
             const Preprocessing& preprocessing,
             const ImageData& data,
             const FitOptions& options,
             const TrainRun& run)
        : net_(net),
          card_{.preprocessing = preprocessing,
                .classes = data.set.classes,
                .provenance = provenance_of(run.tool, data.set)},
          data_(data),
          o_(options),
          run_(run),
          identity_(identity_of(net, preprocessing, data, options, run)),
          folder_(run.folder, run.if_run_is_there),
          checkpoints_(folder_.path(), identity_, log_) {}

    TrainResult run() {
        load();
        record_settings(folder_, {.tool = run_.tool, .command_line = run_.command_line, .config = run_.config});
        Metrics metrics(folder_.path(), step_, run_.tensorboard);
        Trainer trainer(net_, card_.preprocessing, o_.trainer);
        if (resumed_) trainer.load(state_);
        TrainResult out{.finished = true, .best = folder_ / "best.safetensors", .document = {}};
        if (o_.epochs == 0) {
            save(trainer, {}, true);
            say(out.best.string() + ": a checkpoint of the initial weights");
            out.document = train_document(run_.folder.string(), metrics, data_);
            return out;
        }
        out.finished = fit(trainer, card_.preprocessing, data_, o_, position_, hooks(trainer, metrics));
        write_bad_images(folder_ / "bad_images.csv", data_);
        out.document = train_document(run_.folder.string(), metrics, data_);
        return out;
    }

private:
    void say(const std::string& line) const {
        if (run_.observer.say) run_.observer.say(line);
    }

    // The weights to start from, and where the run is.
    void load() {
        if (run_.if_run_is_there != IfRunIsThere::resume) return;  // train() has initialized
        const std::optional<Checkpoint> found = checkpoints_.load();
        if (!log_.str().empty() && run_.observer.warn) run_.observer.warn(log_.str().substr(0, log_.str().size() - 1));
        if (!found) {
            initialize(net_, o_, run_);
            return;
        }
        load_values(net_, found->model, run_.folder.string());
        resumed_ = true;
        step_ = found->step;
        state_ = found->state;
        position_ = parse_fit_position(found->progress);
        say(fmt::format("resuming after step {}", step_));
    }

    void save(Trainer& trainer, const FitPosition& position, bool best) {
        const std::vector<TensorEntry> state = trainer.save();  // the raw weights among it
        std::optional<Trainer::Averaged> averaged;
        if (trainer.has_average()) averaged.emplace(trainer);
        checkpoints_.save({trainer.optimizer().step(), to_file(net_, card_), state, to_text(position)}, best);
    }

    FitHooks hooks(Trainer& trainer, Metrics& metrics) {
        using Clock = std::chrono::steady_clock;
        const std::chrono::duration<double, std::ratio<60>> limit(run_.max_minutes);
        const auto asked = [this] { return run_.observer.stop && run_.observer.stop(); };
        return {.progress = run_.observer.progress,
                .epoch =
                    [&, this](const EpochResult& r) {
                        if (run_.observer.epoch) run_.observer.epoch(r);
                        append_to(metrics, r, trainer.optimizer().step());
                    },
                .save = [&, this](const FitPosition& p, bool best) { save(trainer, p, best); },
                .stop =
                    [this, asked, limit, start = Clock::now()] {
                        return asked() || (run_.max_minutes > 0 && Clock::now() - start > limit);
                    },
                .interrupt = asked,
                .save_every = run_.save_every};
    }

    Network& net_;
    const ModelCard card_;
    const ImageData& data_;
    const FitOptions& o_;
    const TrainRun& run_;
    const Identity identity_;
    RunFolder folder_;
    std::ostringstream log_;  // of checkpoints_
    CheckpointFolder checkpoints_;
    bool resumed_ = false;
    int64_t step_ = -1;  // of the checkpoint that was resumed
    std::vector<TensorEntry> state_;
    FitPosition position_;
};

}  // namespace

TrainResult train(Network& net,
                  const Preprocessing& preprocessing,
                  const ImageData& data,
                  const FitOptions& options,
                  const TrainRun& run) {
    // What is wrong is found before a run that is there is overwritten.
    if (options.epochs > 0) check_fit(data, options);
    if (run.if_run_is_there != IfRunIsThere::resume) initialize(net, options, run);
    return Training(net, preprocessing, data, options, run).run();
}

}  // namespace fp
