// fp_train: trains a classifier on a data set and leaves a run folder with its checkpoints.
#include <iostream>

#include "engine/run/signals.h"
#include "engine/train/train.h"
#include "models/models.h"
#include "tools/inputs.h"
#include "tools/training.h"

namespace fp {
namespace {

struct TrainFlags : OutFlags {
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    TrainingSettings training;
    std::string model = "resnet18", stem = "imagenet", weights, cache, normalize = "none";
    double width = 1, max_minutes = 0;
    uint64_t seed = 1;
    int64_t save_every = 0;
};

void declare(Options& o, TrainFlags& f) {
    add_out_options(o, f, "run folder: checkpoints, metrics, settings");
    o.require("out");
    add_compute_options(o, f.compute);
    o.heading("Data");
    add_data_options(o, f.data);
    o.add("cache DIR", f.cache, "folder for a file of decoded images, which later runs use");
    o.add("normalize NAME", f.normalize, "none, imagenet or m,m,m/s,s,s");
    o.heading("Model");
    o.add("model NAME", f.model, models::names());
    o.add("stem NAME", f.stem, "imagenet, or small: a 3x3 convolution without pooling");
    o.add("width X", f.width, "factor on the channels of every layer", {.low = 0.01, .high = 16});
    o.add("weights FILE", f.weights,
          "start from torchvision's or timm's weights: safetensors, or what torch.save wrote (.pth, .pt, .ckpt)");
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

int run(const TrainFlags& f, const Options& o) {
    const IfRunIsThere if_run_is_there = f.if_run_is_there();
    const Kernels& k = use_device(f.compute, o);
    const StopSignals signals;
    Preprocessing preprocessing{.image_size = image_size(f)};
    set_normalization(preprocessing, f.normalize);
    const ImageData data =
        open_images(f.data.data, {.image_size = preprocessing.image_size, .dataset = f.data.dataset, .cache = f.cache});
    if (!f.training.skip_bad) require_images(data, {Split::train, Split::val});
    const FitOptions options = fit_options(f.training, f.data.attributes, f.data.batch_size, f.seed, data.set);
    const Observer observer = on_stderr(o.quiet());
    for (const std::string& note : data.set.notes) observer.say("data: " + note);
    const auto net =
        models::build({.arch = f.model, .classes = int(data.set.classes.size()), .stem = f.stem, .width = f.width}, k);
    const TrainResult result = train(*net, preprocessing, data, options,
                                     {.folder = f.out,
                                      .if_run_is_there = if_run_is_there,
                                      .weights = f.weights,
                                      .save_every = f.save_every,
                                      .max_minutes = f.max_minutes,
                                      .caller = caller_of(o),
                                      .observer = observer});
    say_skipped(data, o);
    if (!result.finished) {
        observer.say("stopped and saved; --resume goes on from here");
        return StopSignals::exit_code();  // 0 where the time was up
    }
    if (o.json())
        std::cout << result.document;
    else if (f.training.epochs > 0)
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
