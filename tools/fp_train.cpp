// fp_train: trains a classifier on a data set and leaves a run folder with its checkpoints.
#include <fmt/format.h>

#include <chrono>
#include <iostream>

#include "engine/run/checkpoint_folder.h"
#include "engine/run/progress.h"
#include "engine/run/run_folder.h"
#include "engine/run/signals.h"
#include "engine/run/version.h"
#include "engine/train/train_json.h"
#include "models/models.h"
#include "tools/load.h"
#include "tools/training.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

struct Settings {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    TrainingOptions training;
    std::string model = "resnet18", stem = "imagenet", weights, out, cache, normalize = "none";
    double width = 1, max_minutes = 0;
    uint64_t seed = 1;
    int64_t save_every = 0;
    bool resume = false, force = false;
};

void declare(Options& o, Settings& s) {
    o.add("out DIR", s.out, "run folder: checkpoints, metrics, settings");
    o.require("out");
    o.leave_out_of_config("out");
    o.add("resume", s.resume, "go on with the run in --out, or start where there is none");
    o.leave_out_of_config("resume");
    o.add("force", s.force, "start over in a folder that holds a run");
    o.leave_out_of_config("force");
    add_compute_options(o, s.compute);
    o.heading("Data");
    add_data_options(o, s.data);
    o.add("cache DIR", s.cache, "keep decoded images in a file there");
    o.add("normalize NAME", s.normalize, "none, imagenet or m,m,m/s,s,s");
    o.heading("Model");
    o.add("model NAME", s.model, models::names());
    o.add("stem NAME", s.stem, "imagenet, or small: a 3x3 convolution without pooling");
    o.add("width X", s.width, "every layer's channels times this", {.low = 0.01, .high = 16});
    o.add("weights FILE", s.weights, "start from torchvision's or timm's weights (safetensors)");
    o.add("seed N", s.seed, "of initial weights, order, augmentation and dropout");
    o.add("save-every N", s.save_every, "save after so many batches too; 0 is after epochs",
          {.low = 0});
    o.add("max-time MINUTES", s.max_minutes, "save and stop after so long; 0 is never", {.low = 0});
    add_training_options(o, s.training, "");
    for (const char* name : {"cache", "save-every", "max-time"}) o.keeps_bits(name);
}

// A size that fits what the data is: synth's own, else 128.
int image_size(const Settings& s) {
    if (s.data.image_size) return *s.data.image_size;
    if (s.data.data.starts_with("synth:")) return parse_synth(s.data.data.substr(6)).size;
    return 128;
}

// What must be the same for a run to be resumed.
Identity identity(const Settings& s, const Options& o, const ImageData& data, const Kernels& k) {
    Identity out{.settings = o.identity()};
    out.settings.push_back({"--image-size", std::to_string(image_size(s))});
    out.settings.push_back({"--device", std::string(k.name)});
    out.add(identity_of(data.set, plain_names(s.data.attributes)));
    out.add(identity_of_threads());
    return out;
}

void import_into(Network& net, const std::string& file, const Options& o) {
    const ImportReport report = import_weights(net, read_safetensors(file), file);
    if (o.quiet()) return;
    std::cerr << fmt::format("{}: {} tensors loaded", file, report.loaded);
    if (report.head_replaced) std::cerr << "; the head has another size and starts anew";
    if (!report.unexpected.empty())
        std::cerr << fmt::format("; {} not used, {} first", report.unexpected.size(),
                                 report.unexpected[0]);
    std::cerr << "\n";
    for (const std::string& note : report.notes) std::cerr << "  " << note << "\n";
}

int run(Settings s, const Options& o) {
    FP_REQUIRE(!(s.resume && s.force), Exit::usage, "--resume and --force exclude each other");
    const Kernels& k = use_device(s.compute, o);
    const StopSignals signals;
    const int size = image_size(s);
    const ImageData data = open_images(s.data, size, {}, s.cache);
    for (const std::string& note : data.set.notes)
        if (!o.quiet()) std::cerr << "data: " << note << "\n";

    ModelCard card{.preprocessing = {.image_size = size}, .classes = data.set.classes};
    set_normalization(card.preprocessing, s.normalize);
    card.provenance = {{"tool", version_line(o.tool())},
                       {"data", {{"name", data.set.name}, {"split", split_hash(data.set)}}}};
    auto net = models::build({.arch = s.model,
                              .classes = int(data.set.classes.size()),
                              .stem = s.stem,
                              .width = s.width},
                             k);
    const FitOptions options = fit_options(s.training, s.data, s.seed, data.set);

    RunFolder folder(s.out, s.force    ? IfRunIsThere::overwrite
                            : s.resume ? IfRunIsThere::resume
                                       : IfRunIsThere::refuse);
    CheckpointFolder checkpoints(folder.path(), identity(s, o, data, k), std::cerr);
    const std::optional<Checkpoint> resumed = s.resume ? checkpoints.load() : std::nullopt;
    folder.write_settings(o.resolved(), environment(o.tool(), o.command_line()));

    if (resumed) {
        LoadedModel loaded = checkpoint_of(resumed->model, s.out, {&net->architecture}, k);
        net = std::move(loaded.network);
        if (!o.quiet()) std::cerr << fmt::format("resuming after step {}\n", resumed->step);
    } else {
        net->initialize(s.seed);
        if (!s.weights.empty()) import_into(*net, s.weights, o);
    }
    Metrics metrics(folder.path(), resumed ? resumed->step : -1, s.training.tensorboard);
    Trainer trainer(*net, card.preprocessing, options.trainer);
    if (resumed) trainer.load(resumed->state);

    auto save = [&](const FitPosition& place, bool best) {
        const std::vector<TensorEntry> state = trainer.save();  // the raw weights among it
        std::optional<Trainer::Averaged> averaged;
        if (trainer.has_average()) averaged.emplace(trainer);
        checkpoints.save({trainer.optimizer().step(), to_file(*net, card), state, to_json(place)},
                         best);
    };
    if (s.training.epochs == 0) {  // a conversion
        save({}, true);
        if (!o.quiet())
            std::cerr << fmt::format("{}: a checkpoint of the initial weights\n",
                                     (folder / "best.safetensors").string());
        return 0;
    }

    std::optional<Progress> bar;
    int bar_epoch = -1;
    FitHooks hooks;
    hooks.progress = [&](const FitHooks::Progress& p) {
        if (bar_epoch != p.epoch) {
            bar.reset();
            bar.emplace(progress_output(o.quiet()),
                        fmt::format("epoch {}/{}", p.epoch + 1, p.epochs),
                        p.batches * options.batch_size);
            bar_epoch = p.epoch;
        }
        bar->update(p.batch * options.batch_size, p.loss, p.waiting_seconds);
    };
    hooks.epoch = [&](const EpochResult& r) {
        bar.reset();
        if (!o.quiet()) std::cerr << epoch_line(r, options.epochs) << "\n";
        ordered_json row = epoch_row(r);
        row["step"] = trainer.optimizer().step();
        metrics.append(row, epoch_times(r));
    };
    hooks.save = save;
    const auto start = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::ratio<60>> limit(s.max_minutes);
    hooks.stop = [&] {
        return StopSignals::requested() ||
               (s.max_minutes > 0 && std::chrono::steady_clock::now() - start > limit);
    };
    hooks.interrupt = StopSignals::requested;
    hooks.save_every = s.save_every;
    const bool finished =
        fit(trainer, card.preprocessing, data, options,
            resumed ? parse_fit_position(resumed->progress) : FitPosition{}, hooks);
    bar.reset();
    if (!finished) {
        if (!o.quiet()) std::cerr << "stopped and saved; --resume goes on from here\n";
        return StopSignals::exit_code();  // 0 where the time was up
    }
    if (o.json())
        std::cout << ordered_json{{"out", s.out}, {"epochs", metrics.rows()}}.dump(2) << "\n";
    else if (!o.quiet())
        std::cerr << "best model: " << (folder / "best.safetensors").string() << "\n";
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::Settings s;
    return fp::run_tool(
        argc, argv, "Trains a classifier and leaves a run folder with its checkpoints.",
        [&](fp::Options& o) { fp::declare(o, s); },
        [&](const fp::Options& o) { return fp::run(s, o); });
}
