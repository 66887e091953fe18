// Judges a classifier: metrics overall and per group, gaps between groups beside what a fair classifier would
// show, and, with --compare, whether another model is fairer.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "engine/fairness/compare.h"
#include "engine/fairness/evaluate.h"
#include "engine/fairness/render.h"
#include "kernels/error.h"
#include "tools/load.h"

namespace {

struct EvalOptions {
    std::string predictions, checkpoint, compare, split, predictions_out;
    fp::ComputeOptions compute;
    fp::DataOptions data{.batch_size = 128};
    fp::EvaluateOptions figures;
};

void declare(fp::Options& options, EvalOptions& eval) {
    options.heading("What is judged");
    options.add(
        "predictions FILE", eval.predictions,
        "CSV of image, label, attributes, split, prob_<class>... and pred; pred or the prob_ "
        "columns suffice");
    options.add("checkpoint FILE", eval.checkpoint, "a model, judged on the images of --data");
    options.add("compare FILE", eval.compare,
                "another model (.safetensors) or its predictions for the same images; differences "
                "are ours minus its");
    options.add("split NAME", eval.split,
                "the rows to judge, of a file that names splits; test where it names several");
    options.add("predictions-out FILE", eval.predictions_out, "write the judged rows as CSV");
    options.leave_out_of_config("predictions-out");

    options.heading("Data and device, with --checkpoint");
    fp::add_data_options(options, eval.data);
    fp::add_compute_options(options, eval.compute);

    options.heading("Statistics");
    options.add("resamples N", eval.figures.resamples,
                "bootstrap resamples, permutations and swaps; 0 prints values alone",
                {.low = 0, .high = 1e6});
    options.add("confidence SHARE", eval.figures.confidence, "of intervals and fair ranges",
                {.low = .5, .high = .999});
    options.add("min-group-size N", eval.figures.min_group_size,
                "images; smaller groups are shown, but left out of gaps", {.low = 1, .high = 1e9});
    options.add("positive CLASS", eval.figures.positive,
                "report the sensitivity of this class at --specificity");
    options.add("specificity SHARE", eval.figures.specificity, "see --positive",
                {.low = 0, .high = 1});
    options.add("seed N", eval.figures.seed, "of all resampling");
}

// The rows asked for: of --split, or of test where a file names several splits.
fp::Predictions chosen_rows(const fp::Predictions& all, const EvalOptions& eval) {
    if (!eval.split.empty()) return fp::of_split(all, eval.split);
    const bool several = std::any_of(all.split.begin(), all.split.end(),
                                     [&](const auto& split) { return split != all.split[0]; });
    return several ? fp::of_split(all, "test") : all;
}

fp::Predictions read_rows(const std::string& file, const EvalOptions& eval) {
    return chosen_rows(fp::read_predictions(file), eval);
}

// What a model says of the split's images.
fp::Predictions predict_with(const std::string& file,
                             const EvalOptions& eval,
                             const fp::Options& options) {
    const fp::Kernels& k = fp::use_device(eval.compute, options);
    const fp::LoadedModel model = fp::load_model(file, k);
    const fp::Preprocessing& preprocessing = model.card.preprocessing;
    const fp::ImageData data =
        fp::open_images(eval.data, preprocessing.image_size, model.card.classes);
    const std::string split = eval.split.empty() ? "test" : eval.split;
    std::vector<int64_t> samples;
    for (const fp::Split s : {fp::Split::train, fp::Split::val, fp::Split::test})
        if (split == fp::name(s)) samples = members(data.set, s);
    FP_REQUIRE(!samples.empty(), fp::Exit::data, data.set.name, ": no image is in the split `",
               split, "`");
    fp::Session session(*model.network);
    return fp::predict(session, preprocessing, data, samples, {.batch_size = eval.data.batch_size});
}

fp::Predictions obtain(const std::string& file,
                       const EvalOptions& eval,
                       const fp::Options& options) {
    return file.ends_with(".safetensors") ? predict_with(file, eval, options)
                                          : read_rows(file, eval);
}

int run(const fp::Options& options, const EvalOptions& eval) {
    FP_REQUIRE(eval.predictions.empty() != eval.checkpoint.empty(), fp::Exit::usage,
               "one of --checkpoint FILE and --predictions FILE is wanted");
    const std::string& judged = eval.checkpoint.empty() ? eval.predictions : eval.checkpoint;
    const fp::Predictions predictions =
        eval.checkpoint.empty() ? read_rows(judged, eval) : predict_with(judged, eval, options);
    if (!options.quiet())
        std::cerr << fmt::format("{}: {} rows of {}\n", options.tool(), predictions.size(), judged);
    if (!eval.predictions_out.empty()) fp::write_predictions(eval.predictions_out, predictions);

    fp::EvaluateOptions figures = eval.figures;
    figures.threads = eval.compute.threads;
    const fp::Report report = fp::evaluate(predictions, eval.data.attributes, figures);
    nlohmann::ordered_json json = fp::to_json(report);
    std::string text = fp::to_text(report);
    if (!eval.compare.empty()) {
        const fp::Comparison comparison = fp::compare(
            predictions, obtain(eval.compare, eval, options), eval.data.attributes, figures);
        json["comparison"] = fp::to_json(comparison);
        text += fmt::format("\n{}", fp::to_text(comparison));
    }
    std::cout << (options.json() ? json.dump(2) + "\n" : text);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    EvalOptions eval;
    return fp::run_tool(
        argc, argv, "Metrics and fairness of a classifier, with intervals and tests.",
        [&](fp::Options& options) { declare(options, eval); },
        [&](const fp::Options& options) { return run(options, eval); });
}
