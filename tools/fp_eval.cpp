// fp_eval: metrics of a classifier overall and per group, gaps between groups beside the gaps that a classifier which
// treats the groups alike would show, and, with --compare, whether another model is fairer.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

#include "engine/data/sources/sources.h"
#include "engine/eval/predictions_file.h"
#include "engine/report/evaluation.h"
#include "engine/run/checkpoint.h"
#include "tools/inputs.h"

namespace fp {
namespace {

const char* const kStored = "stored";

struct EvalFlags {
    std::string predictions, checkpoint, compare, split, predictions_out, threshold;
    bool store_threshold = false, skip_bad = false;
    ComputeOptions compute;
    DataOptions data{.batch_size = 128};
    EvaluateOptions figures;
};

void declare_statistics(Options& o, EvalFlags& f) {
    o.heading("Statistics");
    o.add("resamples N", f.figures.resamples, "bootstrap resamples, permutations and swaps; 0 prints values alone",
          {.low = 0, .high = 1e6});
    o.add("confidence SHARE", f.figures.confidence, "of intervals and fair ranges", {.low = .5, .high = .999});
    o.add("min-group-size N", f.figures.min_group_size, "images; smaller groups are shown, but left out of gaps",
          {.low = 1, .high = 1e9});
    o.add("positive CLASS", f.figures.positive, "report the sensitivity of this class at --specificity");
    o.add("specificity SHARE", f.figures.specificity, "see --positive", {.low = 0, .high = 1});
    o.add("threshold RULE", f.threshold,
          "judge --positive against the rest too, predicted from this probability on: f1, youden or specificity "
          "choose it on the validation split; a number gives it; stored is the one in the model file");
    o.add("store-threshold", f.store_threshold, "write the threshold into the model file");
    o.add("seed N", f.figures.seed, "of all resampling");
}

void declare(Options& o, EvalFlags& f) {
    o.heading("What is judged");
    o.add("predictions FILE", f.predictions,
          "CSV of image, label, attributes, split, prob_<class>... and pred; pred or the prob_ columns suffice");
    o.add("checkpoint FILE", f.checkpoint, "a model, judged on the images of --data");
    o.add("compare FILE", f.compare,
          "another model (.safetensors) or its predictions for the same images; differences are ours minus its");
    o.add("split NAME", f.split, "the split to judge (default: test, or all rows of a file with one split)");
    o.add("predictions-out FILE", f.predictions_out, "write the judged rows as CSV");
    o.leave_out_of_config("predictions-out");
    o.heading("Data and device, with --checkpoint");
    add_data_options(o, f.data);
    add_compute_options(o, f.compute);
    o.add("skip-bad", f.skip_bad, "leave out images that cannot be read, instead of stopping");
    declare_statistics(o, f);
}

bool is_model(const std::string& file) { return file.ends_with(".safetensors"); }

// f1, youden and specificity choose a threshold; a number is one already, and so is the stored one.
bool chooses(const EvalFlags& f) {
    return !f.threshold.empty() && f.threshold != kStored &&
           parse_threshold(f.threshold, f.figures.specificity).kind != ThresholdRule::Kind::fixed;
}

// Predictions of one model, made now or read from a file.
struct EvalInput {
    Predictions judged;
    std::optional<Predictions> validation = {};    // to choose a threshold on
    std::map<std::string, Threshold> stored = {};  // the model's, by class
    std::string data = {}, split_hash = {};        // of the validation images
    std::optional<Skipped> skipped = {};
};

// The rows of --split, or of test where a file names several splits.
Predictions chosen_rows(const Predictions& all, const std::string& split) {
    if (!split.empty()) return of_split(all, split);
    const bool several =
        std::any_of(all.split.begin(), all.split.end(), [&](const auto& s) { return s != all.split[0]; });
    return several ? of_split(all, "test") : all;
}

EvalInput input_of_file(const std::string& file, const EvalFlags& f) {
    const Predictions all = read_predictions(file);
    EvalInput out{.judged = chosen_rows(all, f.split)};
    if (chooses(f)) out.validation = of_split(all, "val");
    return out;
}

std::vector<int64_t> samples_of(const Dataset& set, const std::string& split) {
    const std::optional<Split> known = parse_split(split);
    const std::vector<int64_t> out = known ? members(set, *known) : std::vector<int64_t>();
    FP_REQUIRE(!out.empty(), Exit::data, set.name, ": no image is in the split `", split, "`");
    return out;
}

EvalInput input_of_model(const std::string& file, const EvalFlags& f, const Options& options) {
    const LoadedModel model = load_model(file, use_device(f.compute, options));
    const Preprocessing& preprocessing = model.card.preprocessing;
    const ImageData data = open_images_of(model, file, f.data);
    Session session(*model.network);
    const auto predict_on = [&](const std::string& split) {
        const std::vector<int64_t> samples = samples_of(data.set, split);
        Predictions p =
            predict({session, preprocessing, data, samples, {.batch_size = f.data.batch_size, .skip_bad = f.skip_bad}});
        FP_REQUIRE(p.size() > 0, Exit::data, data.set.name, ": no image of the split `", split, "` can be read");
        return p;
    };
    EvalInput out{.judged = predict_on(f.split.empty() ? "test" : f.split),
                  .stored = model.card.thresholds,
                  .data = data.set.name,
                  .split_hash = split_hash(data.set)};
    if (chooses(f)) out.validation = predict_on("val");
    out.skipped = skipped_of(data);
    say_skipped(data, options);
    return out;
}

Threshold threshold_of(const EvalInput& input, const EvalFlags& f) {
    const std::string& positive = f.figures.positive;
    if (f.threshold == kStored) {
        FP_REQUIRE(input.stored.contains(positive), Exit::data, "no threshold for ", positive,
                   " is stored in the model; --store-threshold does that");
        return input.stored.at(positive);
    }
    const ThresholdRule rule = parse_threshold(f.threshold, f.figures.specificity);
    if (!input.validation) return {.positive = positive, .rule = to_string(rule), .value = rule.value};
    require_apart(*input.validation, input.judged);
    Threshold out = choose_threshold(*input.validation, positive, rule);
    out.chosen_on->data = input.data;
    out.chosen_on->split_hash = input.split_hash;
    return out;
}

// Each model at its own threshold, since that is how they are used.
AtThreshold judge_at_threshold(const EvalInput& ours,
                               const std::optional<EvalInput>& other,
                               const EvalFlags& f,
                               EvaluateOptions figures) {
    const std::string positive = std::exchange(figures.positive, "");
    AtThreshold out{.threshold = threshold_of(ours, f), .other = {}, .evaluation = {}};
    const Predictions mine = at_threshold(ours.judged, positive, out.threshold.value);
    std::optional<Predictions> theirs;
    if (other) {
        out.other = threshold_of(*other, f);
        theirs = at_threshold(other->judged, positive, out.other->value);
    }
    out.evaluation = evaluation_of(mine, theirs ? &*theirs : nullptr, f.data.attributes, figures);
    return out;
}

void store(const Threshold& t, const EvalFlags& f, const Options& options) {
    LoadedModel model = load_model(f.checkpoint, use_device(f.compute, options));
    model.card.thresholds[t.positive] = t;
    write_safetensors(f.checkpoint, to_file(*model.network, model.card));
}

void check(const EvalFlags& f) {
    FP_REQUIRE(f.predictions.empty() != f.checkpoint.empty(), Exit::usage,
               "one of --checkpoint FILE and --predictions FILE is wanted");
    FP_REQUIRE(f.threshold.empty() || !f.figures.positive.empty(), Exit::usage, "--threshold wants --positive CLASS");
    FP_REQUIRE(!f.store_threshold || (is_model(f.checkpoint) && chooses(f)), Exit::usage,
               "--store-threshold wants --checkpoint and --threshold f1, youden or specificity");
}

int run(const EvalFlags& f, const Options& options) {
    check(f);
    const auto input_of = [&](const std::string& file) {
        return is_model(file) ? input_of_model(file, f, options) : input_of_file(file, f);
    };
    const EvalInput ours = f.checkpoint.empty() ? input_of(f.predictions) : input_of_model(f.checkpoint, f, options);
    options.say(fmt::format("{} rows of {}", ours.judged.size(), f.predictions + f.checkpoint));
    if (!f.predictions_out.empty()) write_predictions(f.predictions_out, ours.judged);
    std::optional<EvalInput> other;
    if (!f.compare.empty()) other = input_of(f.compare);

    EvaluateOptions figures = f.figures;
    figures.threads = f.compute.threads;
    Evaluation evaluation = evaluation_of(ours.judged, other ? &other->judged : nullptr, f.data.attributes, figures);
    evaluation.skipped = ours.skipped;
    std::optional<AtThreshold> at;
    if (!f.threshold.empty()) at = judge_at_threshold(ours, other, f, figures);
    if (f.store_threshold) store(at->threshold, f, options);
    std::cout << (options.json() ? json_text(evaluation, at) : to_text(evaluation) + (at ? "\n" + to_text(*at) : ""));
    return 0;
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::EvalFlags flags;
    return fp::run_tool(
        argc, argv,
        "Metrics and fairness of a classifier, with intervals and tests. dp sums over classes (of two: twice Fairlearn's); "
        "eopp0 and eopp1 average the gaps in TNR and TPR over classes.",
        [&](fp::Options& options) { fp::declare(options, flags); },
        [&](const fp::Options& options) { return fp::run(flags, options); });
}
