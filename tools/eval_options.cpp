#include "tools/eval_options.h"

#include <algorithm>

#include "engine/fairness/threshold.h"
#include "engine/io/files.h"

namespace fp {
namespace {

void declare_statistics(Options& o, EvalFlags& f) {
    o.heading("Statistics");
    o.add("resamples N", f.figures.resamples, "bootstrap resamples, permutations and swaps; 0 prints values alone",
          {.low = 0, .high = 1e6});
    o.add("confidence SHARE", f.figures.confidence, "of intervals and fair ranges", {.low = .5, .high = .999});
    o.add("margin LOSS", f.figures.margin,
          "with --compare: a loss of accuracy, balanced accuracy, macro-F1 or macro-AUC up to this much counts as none",
          {.low = 0, .high = 1});
    o.add("min-group-size N", f.figures.min_group_size,
          "lesions, else patients, else images; smaller groups are shown, but left out of gaps",
          {.low = 1, .high = 1e9});
    o.add("positive CLASS", f.figures.positive, "report the sensitivity of this class at --specificity");
    o.add("specificity SHARE", f.figures.specificity, "see --positive", {.low = 0, .high = 1});
    o.add("threshold RULE", f.threshold,
          "judge --positive against the rest too, predicted from this probability on: f1, youden or specificity "
          "choose it on the validation split; a number gives it; stored is the one in the model file");
    o.add("store-threshold", f.store_threshold, "write the threshold into the model file");
    o.add("group-offsets ATTRIBUTE", f.group_offsets,
          "judge the model with thresholds of each group too: offsets of the classes' log-probabilities, chosen on the "
          "validation split for the largest balanced accuracy of each group (post-processing as Hardt et al., 2016, "
          "https://arxiv.org/abs/1610.02413); such a classifier must be told the group of each person");
    o.add("seed N", f.figures.seed, "of all resampling");
}

// What has no effect beside other choices.
void add_needs(Options& o, const EvalFlags& f) {
    const auto judges_a_model = [&f] {
        return !f.checkpoint.empty() || std::ranges::any_of(f.predictions_of, is_model) ||
               std::ranges::any_of(f.compared_with, is_model);
    };
    o.needs({"data", "exclude-unknown", "exclude-qc", "allow-absolute", "allow-leak", "split-seed", "image-size",
             "batch-size", "device", "precision", "skip-bad"},
            "without a model, --checkpoint", judges_a_model);
    o.needs({"full"}, "without --compare", [&f] { return !f.compared_with.empty(); });
    o.needs({"full"}, "with --json", [&o] { return !o.json(); });
    o.needs({"margin"}, "without --compare", [&f] { return !f.compared_with.empty(); });
    o.needs({"specificity"}, "without --positive", [&f] { return !f.figures.positive.empty(); });
    o.needs({"store-threshold"}, "without --threshold", [&f] { return !f.threshold.empty(); });
    o.needs({"gallery"}, "without --checkpoint", [&f] { return !f.checkpoint.empty(); });
    o.needs({"gallery"}, "without --report", [&f] { return !f.report.empty(); });
    o.needs({"confidence"}, "with --resamples 0", [&f] { return f.figures.resamples > 0; });
}

}  // namespace

void declare(Options& o, EvalFlags& f) {
    o.heading("What is judged");
    o.add("predictions FILE", f.predictions_of,
          "CSV of image, label, attributes, split, prob_<class>... and pred; label and pred or the prob_ columns "
          "suffice. Several, by repeating or as 'runs/*/p.csv', are trainings of one method, judged together");
    o.add("checkpoint FILE", f.checkpoint, "a model, judged on the images of --data");
    o.add("compare FILE", f.compared_with,
          "another model (.safetensors) or its predictions for the same images; differences are ours minus its. With "
          "several --predictions as many trainings of another method, paired in order");
    o.add("full", f.full, "with --compare: print every figure and gap, and not only what they come to");
    o.add(
        "split NAME", f.split,
        "train, val, test, another name in the split column, or all (default: test, or all where there is one split)");
    o.add("predictions-out FILE", f.predictions_out,
          "write the judged rows as CSV; with --group-offsets, as these predict");
    o.add("report FILE", f.report, "write the figures as a page (HTML)");
    o.add("gallery N", f.gallery,
          "with --checkpoint: show the N surest mistakes of each group as images in --report, which may show patients",
          {.low = 0, .high = 1000});
    for (const char* name : {"predictions-out", "report"}) {
        o.leave_out_of_config(name);
        o.output_file(name);
    }
    o.heading("Data and device, with --checkpoint");
    add_data_options(o, f.data);
    add_compute_options(o, f.compute);
    add_skip_bad(o, f.skip_bad);
    declare_statistics(o, f);
    add_needs(o, f);
}

bool is_model(const std::string& file) { return file.ends_with(".safetensors"); }

bool chooses_threshold(const EvalFlags& f) {
    return !f.threshold.empty() && f.threshold != kStored &&
           parse_threshold(f.threshold, f.figures.specificity).kind != ThresholdRule::Kind::fixed;
}

bool needs_validation(const EvalFlags& f) { return chooses_threshold(f) || !f.group_offsets.empty(); }

void check(const EvalFlags& f) {
    FP_REQUIRE(f.predictions.empty() != f.checkpoint.empty(), Exit::usage,
               "one of --checkpoint FILE and --predictions FILE is wanted");
    FP_REQUIRE(f.threshold.empty() || !f.figures.positive.empty(), Exit::usage, "--threshold wants --positive CLASS");
    FP_REQUIRE(!f.store_threshold || (is_model(f.checkpoint) && chooses_threshold(f)), Exit::usage,
               "--store-threshold wants --checkpoint and --threshold f1, youden or specificity");
    if (f.store_threshold) require_creatable(f.checkpoint, Exit::model);
    FP_REQUIRE(f.group_offsets.empty() || f.report.empty(), Exit::usage,
               "--group-offsets: the page of --report does not have them; use --json");
}

}  // namespace fp
