// fp_predict: what a model says of images, of files, folders and lists without labels or of a data set.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "engine/data/sources/sources.h"
#include "engine/eval/judged.h"
#include "engine/eval/predictions_file.h"
#include "engine/eval/unlabelled.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/report/predicted_images.h"
#include "tools/training.h"

namespace fp {
namespace {

struct PredictFlags {
    std::vector<std::string> images, thresholds;
    std::string checkpoint, out, split = "all";
    DataOptions data;
    ComputeOptions compute;
    int top_k = 3;
    bool skip_bad = false;
};

void declare(Options& o, PredictFlags& f) {
    o.positional("images IMAGE|FOLDER|LIST", f.images,
                 "image files; folders with all images below; text files with a path per line; - reads such a list "
                 "from standard input");
    o.add("checkpoint FILE", f.checkpoint, "the model");
    o.require("checkpoint");
    o.add("top-k N", f.top_k, "classes that are shown for each image, the most probable first",
          {.low = 1, .high = 1e6});
    o.add("threshold CLASS=P", f.thresholds,
          "call an image positive for this class from this probability on; may be repeated; the model's stored "
          "thresholds "
          "hold for the classes that are not named");
    o.add("out FILE", f.out, "write a CSV of image, prob_<class>..., pred, and the data's label and columns");
    o.leave_out_of_config("out");
    o.output_file("out");
    add_skip_bad(o, f.skip_bad);
    o.add("batch-size N", f.data.batch_size,
          "images per call; with another number, probabilities differ by what float32 rounds",
          {.low = 1, .high = 65536});
    add_compute_options(o, f.compute);
    o.heading("A data set instead of images");
    add_data_option(o, f.data.data);
    add_dataset_options(o, f.data.dataset);
    o.add("split NAME", f.split, "which of its images: all, train, val, test or another name in the split column");
    o.needs({"split", "split-seed", "unknown", "exclude-unknown", "exclude-qc", "allow-absolute"}, "without --data",
            [&f] { return !f.data.data.empty(); });
    o.needs({"top-k"}, "with --out, but with --json", [&f, &o] { return f.out.empty() || o.json(); });
}

std::map<std::string, Threshold> thresholds_of(const ModelCard& card, const std::vector<std::string>& given) {
    std::map<std::string, Threshold> out = card.thresholds;
    for (const std::string& word : given) {
        const size_t equals = std::min(word.rfind('='), word.size());
        const auto value = parse_number(word.substr(std::min(equals + 1, word.size())));
        FP_REQUIRE(value && *value >= 0 && *value <= 1, Exit::usage, "--threshold: `", printable(word),
                   "` is not CLASS=P with a probability P");
        const std::string positive = word.substr(0, equals);
        out[positive] = {.positive = positive, .rule = "fixed", .value = *value, .chosen_on = {}};
    }
    return out;
}

ImageData open_wanted(const LoadedModel& model, const PredictFlags& f) {
    if (!f.data.data.empty()) {
        DataOptions to_open = f.data;
        to_open.dataset.allow_leak = true;  // nothing is judged here; the notes say it
        return open_images_of(model, f.checkpoint, to_open);
    }
    Dataset set = unlabelled_images(f.images, std::cin, f.skip_bad);
    set.classes = model.card.classes;
    return images_of(std::move(set), {.image_size = model.card.preprocessing.image_size});
}

PredictedImages predict_wanted(const PredictFlags& f, const Options& options) {
    const LoadedModel model = load_model(f.checkpoint, use_device(f.compute, options));
    const ImageData data = open_wanted(model, f);
    for (const std::string& note : data.set.notes) options.say(printable(note, 500));
    options.ready(&model.network->kernels());
    const std::vector<int64_t> samples = judged_samples(data.set, f.split).samples;
    Session session(*model.network);
    const Observer observer = in_step(on_stderr(options.quiet()), options.ranks());
    PredictedImages out{.predictions = predict({session,
                                                model.card.preprocessing,
                                                data,
                                                samples,
                                                {.batch_size = f.data.batch_size,
                                                 .skip_bad = f.skip_bad,
                                                 .progress = observer.steps({.what = "predicting"}),
                                                 .ranks = &options.ranks()}}),
                        .thresholds = thresholds_of(model.card, f.thresholds)};
    for (const auto& [sample, reason] : data.unreadable->reasons())
        out.skipped.emplace(data.set.samples[size_t(sample)].image, reason);
    say_skipped(data, options);
    FP_REQUIRE(out.predictions.size() > 0, Exit::data, data.set.name, ": no image can be read");
    return out;
}

int run(const PredictFlags& f, const Options& options) {
    FP_REQUIRE(f.images.empty() != f.data.data.empty(), Exit::usage,
               "wants images, or a data set by --data SPEC, and not both");
    FP_REQUIRE(options.ranks().alone() || std::ranges::find(f.images, "-") == f.images.end(), Exit::usage,
               "-: standard input reaches one of ", options.ranks().ranks(), " ranks; write the list to a file");
    PredictedImages images = predict_wanted(f, options);
    return on_first(options, [&] {
        apply_thresholds(images);
        if (!f.out.empty()) write_predictions(f.out, images.predictions);
        if (options.json())
            std::cout << json_text(images, f.top_k);
        else
            std::cout << (f.out.empty() ? to_text(images, f.top_k) : f.out + ": " + counts_text(images));
        return 0;
    });
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::PredictFlags flags;
    return fp::run_tool(
        argc, argv, "Predicts the classes of images, with or without labels.",
        [&](fp::Options& options) { fp::declare(options, flags); },
        [&](const fp::Options& options) { return fp::run(flags, options); });
}
