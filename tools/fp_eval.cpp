// Judges a classifier: metrics overall and per group, gaps between groups beside what a fair classifier would
// show, and, with --compare, whether another model is fairer.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "engine/eval/predictions_file.h"
#include "engine/fairness/compare.h"
#include "engine/fairness/evaluate.h"
#include "engine/fairness/threshold.h"
#include "engine/report/render.h"
#include "kernels/error.h"
#include "tools/load.h"

namespace {

using nlohmann::ordered_json;
const char* const kStored = "stored";

struct EvalOptions {
    std::string predictions, checkpoint, compare, split, predictions_out, threshold;
    bool store_threshold = false;
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
    options.add(
        "threshold RULE", eval.threshold,
        "judge --positive against the rest too, called from a probability on: f1, youden or "
        "specificity choose it on the validation split, a number is it, stored is the model's");
    options.add("store-threshold", eval.store_threshold, "write it into the model file");
    options.add("seed N", eval.figures.seed, "of all resampling");
}

// The rows asked for: of --split, or of test where a file names several splits.
fp::Predictions chosen_rows(const fp::Predictions& all, const EvalOptions& eval) {
    if (!eval.split.empty()) return fp::of_split(all, eval.split);
    const bool several = std::any_of(all.split.begin(), all.split.end(),
                                     [&](const auto& split) { return split != all.split[0]; });
    return several ? fp::of_split(all, "test") : all;
}

// What a model, or a file of predictions, says of the rows to judge, and of those a threshold is chosen on.
struct Said {
    fp::Predictions judged;
    std::optional<fp::Predictions> validation;
    ordered_json stored = {};  // the model's thresholds
    ordered_json origin = {};  // of the validation images
};

bool is_model(const std::string& file) { return file.ends_with(".safetensors"); }

// f1, youden and specificity are chosen; a number and what is stored are there.
bool chooses(const EvalOptions& eval) {
    return !eval.threshold.empty() && eval.threshold != kStored &&
           fp::parse_threshold(eval.threshold, eval.figures.specificity).kind !=
               fp::ThresholdRule::Kind::fixed;
}

Said said_by_model(const std::string& file, const EvalOptions& eval, const fp::Options& options) {
    const fp::Kernels& k = fp::use_device(eval.compute, options);
    const fp::LoadedModel model = fp::load_model(file, k);
    const fp::Preprocessing& preprocessing = model.card.preprocessing;
    const fp::ImageData data =
        fp::open_images(eval.data, preprocessing.image_size, model.card.classes);
    fp::Session session(*model.network);
    const auto predict = [&](const std::string& split) {
        std::vector<int64_t> samples;
        for (const fp::Split s : {fp::Split::train, fp::Split::val, fp::Split::test})
            if (split == fp::name(s)) samples = members(data.set, s);
        FP_REQUIRE(!samples.empty(), fp::Exit::data, data.set.name, ": no image is in the split `",
                   split, "`");
        return fp::predict(
            {session, preprocessing, data, samples, {.batch_size = eval.data.batch_size}});
    };
    Said out{.judged = predict(eval.split.empty() ? "test" : eval.split),
             .validation = {},
             .stored = model.card.thresholds,
             .origin = {{"data", data.set.name}, {"split_hash", fp::split_hash(data.set)}}};
    if (chooses(eval)) out.validation = predict("val");
    return out;
}

Said said(const std::string& file, const EvalOptions& eval, const fp::Options& options) {
    if (is_model(file)) return said_by_model(file, eval, options);
    const fp::Predictions all = fp::read_predictions(file);
    Said out{.judged = chosen_rows(all, eval), .validation = {}};
    if (chooses(eval)) out.validation = fp::of_split(all, "val");
    return out;
}

// {"positive","rule","value"} and, where it was chosen, what it gave there.
ordered_json threshold_of(const Said& said, const EvalOptions& eval) {
    const std::string& positive = eval.figures.positive;
    if (eval.threshold == kStored) {
        FP_REQUIRE(said.stored.contains(positive), fp::Exit::data, "no threshold for ", positive,
                   " is stored in the model; --store-threshold does that");
        return said.stored.at(positive);
    }
    const fp::ThresholdRule rule = fp::parse_threshold(eval.threshold, eval.figures.specificity);
    ordered_json out{{"positive", positive}, {"rule", fp::to_string(rule)}, {"value", rule.value}};
    if (!said.validation) return out;
    fp::require_apart(*said.validation, said.judged);
    const fp::Threshold t = fp::choose_threshold(*said.validation, positive, rule);
    out["value"] = t.value;
    out["validation"] = {{"images", t.images},
                         {"positives", t.positives},
                         {"sensitivity", t.sensitivity},
                         {"specificity", t.specificity},
                         {"f1", t.f1}};
    for (const auto& [key, value] : said.origin.items()) out["validation"][key] = value;
    return out;
}

std::string threshold_text(const ordered_json& t) {
    std::string out = fmt::format("{} called where its probability is at least {:.6g} ({}",
                                  t.at("positive").get<std::string>(), t.at("value").get<double>(),
                                  t.at("rule").get<std::string>());
    if (t.contains("validation")) {
        const ordered_json& v = t.at("validation");
        out += fmt::format(
            ",\nchosen on {} validation images: sensitivity {:.4f}, specificity {:.4f}, F1 {:.4f}",
            v.at("images").get<int64_t>(), v.at("sensitivity").get<double>(),
            v.at("specificity").get<double>(), v.at("f1").get<double>());
    }
    return out + ")\n";
}

void store_threshold(const EvalOptions& eval, const fp::Options& options, const ordered_json& t) {
    fp::LoadedModel model = fp::load_model(eval.checkpoint, fp::use_device(eval.compute, options));
    model.card.thresholds[eval.figures.positive] = t;
    fp::write_safetensors(eval.checkpoint, fp::to_file(*model.network, model.card));
}

struct Judgement {
    ordered_json json;
    std::string text, sensitivity;  // of the last class
};

Judgement judge(const fp::Predictions& ours,
                const fp::Predictions* other,
                const EvalOptions& eval,
                const fp::EvaluateOptions& figures) {
    const fp::Report report = fp::evaluate(ours, eval.data.attributes, figures);
    Judgement out{.json = fp::to_json(report),
                  .text = fp::to_text(report),
                  .sensitivity = fp::sensitivity_text(report, int(report.classes.size()) - 1)};
    if (!other) return out;
    const fp::Comparison comparison = fp::compare(ours, *other, eval.data.attributes, figures);
    out.json["comparison"] = fp::to_json(comparison);
    out.text += fmt::format("\n{}", fp::to_text(comparison));
    return out;
}

int run(const fp::Options& options, const EvalOptions& eval) {
    FP_REQUIRE(eval.predictions.empty() != eval.checkpoint.empty(), fp::Exit::usage,
               "one of --checkpoint FILE and --predictions FILE is wanted");
    FP_REQUIRE(eval.threshold.empty() || !eval.figures.positive.empty(), fp::Exit::usage,
               "--threshold wants --positive CLASS");
    FP_REQUIRE(!eval.store_threshold || (is_model(eval.checkpoint) && chooses(eval)),
               fp::Exit::usage,
               "--store-threshold wants --checkpoint and --threshold f1, youden or "
               "specificity");
    const std::string& judged = eval.checkpoint.empty() ? eval.predictions : eval.checkpoint;
    const Said ours = eval.checkpoint.empty() ? said(judged, eval, options)
                                              : said_by_model(judged, eval, options);
    if (!options.quiet())
        std::cerr << fmt::format("{}: {} rows of {}\n", options.tool(), ours.judged.size(), judged);
    if (!eval.predictions_out.empty()) fp::write_predictions(eval.predictions_out, ours.judged);
    std::optional<Said> other;
    if (!eval.compare.empty()) other = said(eval.compare, eval, options);

    fp::EvaluateOptions figures = eval.figures;
    figures.threads = eval.compute.threads;
    Judgement all = judge(ours.judged, other ? &other->judged : nullptr, eval, figures);
    if (!eval.threshold.empty()) {
        // Each model at its own threshold: they are to be used so.
        figures.positive.clear();
        const auto cut = [&](const Said& s, ordered_json& t) {
            t = threshold_of(s, eval);
            return fp::at_threshold(s.judged, eval.figures.positive, t.at("value").get<double>());
        };
        ordered_json threshold, other_threshold;
        const fp::Predictions mine = cut(ours, threshold);
        std::optional<fp::Predictions> theirs;
        if (other) theirs = cut(*other, other_threshold);
        const Judgement at = judge(mine, theirs ? &*theirs : nullptr, eval, figures);
        if (eval.store_threshold) store_threshold(eval, options, threshold);
        all.text += fmt::format("\n{}\n{}\n{}", threshold_text(threshold), at.sensitivity, at.text);
        threshold["report"] = at.json;
        if (other) threshold["other"] = other_threshold;
        all.json["threshold"] = threshold;
    }
    std::cout << (options.json() ? all.json.dump(2) + "\n" : all.text);
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
