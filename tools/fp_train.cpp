// fp_train: trains a classifier on a data set and leaves a run folder with its checkpoints.
#include <fmt/format.h>

#include <iostream>

#include "engine/run/progress.h"
#include "engine/run/signals.h"
#include "engine/train/train.h"
#include "models/models.h"
#include "tools/inputs.h"
#include "tools/training.h"

namespace fp {
namespace {

struct TrainFlags {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    TrainingSettings training;
    std::string model = "resnet18", stem = "imagenet", weights, out, cache, normalize = "none";
    double width = 1, max_minutes = 0;
    uint64_t seed = 1;
    int64_t save_every = 0;
    bool resume = false, force = false;
};

void declare(Options& o, TrainFlags& f) {
    o.add("out DIR", f.out, "run folder: checkpoints, metrics, settings");
    o.require("out");
    o.add("resume", f.resume, "continue the run in --out; start one if there is none");
    o.add("force", f.force, "start over in a folder that already holds a run");
    for (const char* name : {"out", "resume", "force"}) o.leave_out_of_config(name);
    add_compute_options(o, f.compute);
    o.heading("Data");
    add_data_options(o, f.data);
    o.add("cache DIR", f.cache, "folder for a file of decoded images, which later runs use");
    o.add("normalize NAME", f.normalize, "none, imagenet or m,m,m/s,s,s");
    o.heading("Model");
    o.add("model NAME", f.model, "resnet18/34/50/101, vgg11/13/16/19 with or without _bn");
    o.add("stem NAME", f.stem, "imagenet, or small: a 3x3 convolution without pooling");
    o.add("width X", f.width, "factor on the channels of every layer", {.low = 0.01, .high = 16});
    o.add("weights FILE", f.weights, "start from torchvision's or timm's weights (safetensors)");
    o.add("seed N", f.seed, "seed of initial weights, sample order, augmentation and dropout");
    o.add("save-every N", f.save_every, "also save every N batches; 0: only after epochs", {.low = 0});
    o.add("max-time MINUTES", f.max_minutes, "save and stop after this time; 0: no limit", {.low = 0});
    add_training_options(o, f.training, "");
    for (const char* name : {"cache", "save-every", "max-time"}) o.keeps_bits(name);
}

// A size that fits what the data are: synth's own, else 128.
int image_size(const TrainFlags& f) {
    if (f.data.image_size) return *f.data.image_size;
    if (f.data.data.starts_with("synth:")) return parse_synth(f.data.data.substr(6)).size;
    return 128;
}

TrainObserver on_stderr(bool quiet, const FitOptions& options) {
    const auto line = std::make_shared<Progress>(stderr_output(quiet));
    return {.say = [line](const std::string& text) { line->say(text); },
            .warn = [line](const std::string& text) { line->warn(text); },
            .progress =
                [line, batch_size = options.batch_size](const FitHooks::Progress& p) {
                    line->update({.what = fmt::format("epoch {}/{}", p.epoch + 1, p.epochs),
                                  .done = p.batch * batch_size,
                                  .total = p.batches * batch_size,
                                  .loss = p.loss,
                                  .seconds = p.seconds,
                                  .waiting_seconds = p.waiting_seconds});
                },
            .epoch = [line, epochs = options.epochs](const EpochResult& r) { line->say(epoch_line(r, epochs)); },
            .stop = StopSignals::requested};
}

int run(const TrainFlags& f, const Options& o) {
    FP_REQUIRE(!(f.resume && f.force), Exit::usage, "--resume and --force exclude each other");
    const Kernels& k = use_device(f.compute, o);
    const StopSignals signals;
    Preprocessing preprocessing{.image_size = image_size(f)};
    set_normalization(preprocessing, f.normalize);
    const ImageData data =
        open_images(f.data.data, {.image_size = preprocessing.image_size, .dataset = f.data.dataset, .cache = f.cache});
    if (!f.training.skip_bad) require_images(data, {Split::train, Split::val});
    const FitOptions options = fit_options(f.training, f.data.attributes, f.data.batch_size, f.seed, data.set);
    const TrainObserver observer = on_stderr(o.quiet(), options);
    for (const std::string& note : data.set.notes) observer.say("data: " + note);
    const auto net =
        models::build({.arch = f.model, .classes = int(data.set.classes.size()), .stem = f.stem, .width = f.width}, k);
    const TrainResult result = train(*net, preprocessing, data, options,
                                     {.folder = f.out,
                                      .if_run_is_there = f.force    ? IfRunIsThere::overwrite
                                                         : f.resume ? IfRunIsThere::resume
                                                                    : IfRunIsThere::refuse,
                                      .weights = f.weights,
                                      .tensorboard = f.training.tensorboard,
                                      .save_every = f.save_every,
                                      .max_minutes = f.max_minutes,
                                      .tool = o.tool(),
                                      .command_line = o.command_line(),
                                      .config = o.resolved(),
                                      .settings = o.identity(),
                                      .observer = observer});
    say_skipped(data, o);
    if (!result.finished) {
        observer.say("stopped and saved; --resume goes on from here");
        return StopSignals::exit_code();  // 0 where the time was up
    }
    if (o.json())
        std::cout << result.document;
    else if (options.epochs > 0)
        observer.say("best model: " + result.best.string());
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::TrainFlags flags;
    return fp::run_tool(
        argc, argv, "Trains a classifier and leaves a run folder with its checkpoints.",
        [&](fp::Options& o) { fp::declare(o, flags); }, [&](const fp::Options& o) { return fp::run(flags, o); });
}
