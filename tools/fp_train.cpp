// fp_train: trains a classifier on a data set and leaves a run folder with its checkpoints.
#include <iostream>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "engine/report/train_report.h"
#include "engine/run/checkpoint_folder.h"
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
    std::string model = "resnet18", stem = "imagenet", weights, weights_prefix, classes, cache, normalize = "none";
    double width = 1, max_minutes = 0;
    bool dry_run = false, any_ranks = false;
    uint64_t seed = 1;
    int64_t save_every = 0;
};

void declare(Options& o, TrainFlags& f) {
    add_out_options(o, f, "run folder: checkpoints, metrics, settings");
    o.require("out");
    add_compute_options(o, f.compute);
    o.heading("Data");
    add_data_options(o, f.data);
    o.add("classes LIST", f.classes,
          "the classes, in the order of the model's outputs, with commas (default: sorted); other labels are refused");
    o.add("cache DIR", f.cache, "folder for a file of decoded images, which later runs use");
    o.add("normalize NAME", f.normalize, "none, imagenet or m,m,m/s,s,s");
    o.heading("Model");
    o.add("model NAME", f.model, models::names());
    o.offer("model", models::names());
    o.add("stem NAME", f.stem, "imagenet, or small: a 3x3 convolution without pooling");
    o.offer("stem", "imagenet, small");
    o.add("width X", f.width, "factor on the channels of every layer", {.low = 0.01, .high = 16});
    o.add("weights FILE", f.weights,
          "start from torchvision's or timm's weights: safetensors, or what torch.save wrote (.pth, .pt, .ckpt)");
    o.add("weights-prefix PREFIX", f.weights_prefix,
          "what stands before the names of the network in --weights, where the file has several, such as student and "
          "teacher; none: nothing does");
    o.add("seed N", f.seed, "seed of initial weights, sample order, augmentation and dropout");
    o.add("save-every N", f.save_every, "also save every N batches; 0: only after epochs", {.low = 0});
    o.choice<bool>("resume-ranks", f.any_ranks, {{"same", false}, {"any", true}},
                   "whether --resume may go on with another number of ranks, after a whole epoch");
    o.leave_out_of_config("resume-ranks");
    o.add("max-time MINUTES", f.max_minutes, "save and stop after this time; 0: no limit", {.low = 0});
    add_training_options(o, f.training, "");
    o.add("limit-train LIMIT", f.training.limit_train,
          "train on a share like 10% or a number of the images, drawn by --seed");
    o.add(
        "overfit-batches N", f.training.overfit_batches,
        "train on N batches alone and validate on the same images; a working set-up reaches zero training loss; 0: off",
        {.low = 0});
    o.add("dry-run", f.dry_run, "check everything, try one update, print what would be done, and keep nothing");
    o.leave_out_of_config("dry-run");
    for (const char* name : {"cache", "save-every", "max-time"}) o.keeps_bits(name);
    o.needs({"weights-prefix"}, "without --weights", [&f] { return !f.weights.empty(); });
}

// A size that fits what the data are: synth's own, else 128.
int image_size(const TrainFlags& f) {
    if (f.data.image_size) return *f.data.image_size;
    if (f.data.data.starts_with("synth:")) return parse_synth(f.data.data.substr(6)).size;
    return 128;
}

// The words between the commas.
std::vector<std::string> classes_in(std::string_view list) {
    std::vector<std::string> out;
    for (size_t comma = 0; comma != list.npos; list.remove_prefix(comma == list.npos ? list.size() : comma + 1)) {
        comma = list.find(',');
        const std::string word = trimmed(list.substr(0, comma));
        FP_REQUIRE(!word.empty() && index_of(out, word) < 0, Exit::usage, "--classes: `", word,
                   word.empty() ? "` is no class" : "` stands twice");
        out.push_back(word);
    }
    return out;
}

std::optional<std::string> prefix_of(const TrainFlags& f) {
    if (f.weights_prefix.empty()) return std::nullopt;
    return f.weights_prefix == "none" ? "" : f.weights_prefix;
}

int run(const TrainFlags& f, const Options& o) {
    const IfRunIsThere if_run_is_there = f.if_run_is_there();
    FP_REQUIRE(!(f.dry_run && f.resume), Exit::usage, "--dry-run and --resume exclude each other");
    const Kernels& k = use_device(f.compute, o);
    const Observer observer = on_stderr(o.quiet());
    Preprocessing preprocessing{.image_size = image_size(f)};
    set_normalization(preprocessing, f.normalize);
    OpenOptions open{.image_size = preprocessing.image_size,
                     .dataset = f.data.dataset,
                     .cache = f.cache,
                     .progress = in_step(observer, o.ranks()).steps({.what = "decoding into the cache"}),
                     .ranks = &o.ranks()};
    if (!f.classes.empty()) open.dataset.classes = classes_in(f.classes);
    // A run that goes on does not need the file of --weights, which may be gone.
    const std::string resumed = f.resume && !f.weights.empty() ? CheckpointFolder::readable_model(f.out) : "";
    open.dataset.seen = seen_in_file(resumed.empty() ? f.weights : resumed);
    const ImageData data = open_images(f.data.data, open);
    if (!f.training.skip_bad) require_images(data, {Split::train, Split::val});
    const auto options_on = [&](const Dataset& set) {
        return fit_options(f.training, f.data.attributes, f.data.batch_size, f.seed, set);
    };
    say_notes(data.set, o);
    check_attributes(attribute_columns(data.set, members(data.set, Split::train)), plain_names(f.data.attributes), o);
    const auto net =
        models::build({.arch = f.model, .classes = int(data.set.classes.size()), .stem = f.stem, .width = f.width}, k);
    FitOptions options = options_on(data.set);
    o.ready(&k);
    options.trainer.ranks = &o.ranks();
    const TrainRun run{.folder = f.out,
                       .if_run_is_there = if_run_is_there,
                       .weights = f.weights,
                       .weights_prefix = prefix_of(f),
                       .save_every = f.save_every,
                       .max_minutes = f.max_minutes,
                       .any_ranks = f.any_ranks,
                       .caller = caller_of(o, f, {parse_data_spec(f.data.data).head, f.weights}),
                       .observer = observer};
    if (f.dry_run) return on_first(o, [&] { return print(dry_run(*net, preprocessing, data, options_on, run), o); });
    std::optional<StopSignals::Unsaved> until_all_end;  // a rank waits for the first one's report
    if (!o.ranks().alone()) until_all_end.emplace();
    const TrainResult result = train(*net, preprocessing, data, options, run);
    on_first(o, [&] {
        publish({.network = *net,
                 .preprocessing = preprocessing,
                 .data = data,
                 .options = options,
                 .folder = f.out,
                 .finished = result.finished},
                caller_of(o));
        return 0;
    });
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
