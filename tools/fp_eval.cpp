// fp_eval: metrics of a classifier overall and per group, gaps between groups beside the gaps that a classifier which
// treats the groups alike would show, and, with --compare, whether another model is fairer.
#include <iostream>

#include "engine/eval/predictions_file.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/glob.h"
#include "engine/report/offsets.h"
#include "engine/report/trainings_report.h"
#include "engine/run/checkpoint.h"
#include "tools/training.h"

namespace fp {
namespace {

const char* const kStored = "stored";

struct EvalFlags {
    std::vector<std::string> predictions_of, compared_with;
    std::string predictions, checkpoint, compare, split, predictions_out, report, threshold, group_offsets;
    int gallery = 0;
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

void declare(Options& o, EvalFlags& f) {
    o.heading("What is judged");
    o.add("predictions FILE", f.predictions_of,
          "CSV of image, label, attributes, split, prob_<class>... and pred; label and pred or the prob_ columns "
          "suffice. Several, by repeating or as 'runs/*/p.csv', are trainings of one method, judged together");
    o.add("checkpoint FILE", f.checkpoint, "a model, judged on the images of --data");
    o.add("compare FILE", f.compared_with,
          "another model (.safetensors) or its predictions for the same images; differences are ours minus its. With "
          "several --predictions as many trainings of another method, paired in order");
    o.add(
        "split NAME", f.split,
        "train, val, test, another name in the split column, or all (default: test, or all where there is one split)");
    o.add("predictions-out FILE", f.predictions_out,
          "write the judged rows as CSV; with --group-offsets, as these predict");
    o.add("report FILE", f.report, "write the figures as a page (HTML)");
    o.add("gallery N", f.gallery,
          "with --checkpoint: show the N surest mistakes of each group as images in --report, which may show patients",
          {.low = 0, .high = 1000});
    for (const char* name : {"predictions-out", "report"}) o.leave_out_of_config(name);
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

bool needs_validation(const EvalFlags& f) { return chooses(f) || !f.group_offsets.empty(); }

// Predictions of one model, made now or read from a file.
struct EvalInput {
    Predictions judged;
    std::optional<Predictions> validation = {};    // to choose a threshold or offsets on
    std::map<std::string, Threshold> stored = {};  // the model's, by class
    std::string data = {}, split_hash = {};        // of the validation images
    std::optional<Skipped> skipped = {};
    Gallery gallery = {};
    Judged part = {};
    TestSplit test = {};            // without images where none of a test split is judged
    std::string model = {};         // its hash
    const Kernels* used = nullptr;  // that computed the predictions; null: read from a file
};

void say_part(const Judged& part, const std::string& file, const EvalFlags& f, const Options& options) {
    for (const std::string& note : part.notes) options.say("data: " + printable(note, 500));
    options.say((f.compare.empty() ? "" : printable(file) + ": ") + judged_text(part));
}

// A model with its images, or a file of predictions: opened and checked, and nothing is predicted yet.
struct Opened {
    std::string file;
    Judged part = {};
    Predictions all = {};  // of a file
    std::vector<int64_t> samples = {};
    std::optional<LoadedModel> model = {};
    std::optional<ImageData> data = {};

    // The rows that are judged; of a model without what it will predict.
    Predictions rows() const {
        if (!model) return rows_of(all, samples);
        Predictions out = no_predictions(*data);
        const std::vector<float> none(out.classes.size());
        for (const int64_t sample : samples) add_prediction(out, *data, sample, none.data());
        return out;
    }
};

Opened open_file(const std::string& file, const EvalFlags& f, const Options& options) {
    const Table table = read_csv(file);
    Opened out{.file = file, .all = predictions_of(table, f.data.dataset.unknown)};
    JudgedSamples rows = judged_rows(out.all, f.split);
    if (find_column(table.header, "image") < 0)
        rows.judged.notes.push_back(file + " has no column image: its rows are numbered");
    for (const std::string& note : notes_of_unknown_words(table, f.data.dataset.unknown))
        rows.judged.notes.push_back(note);
    say_part(rows.judged, file, f, options);
    out.part = rows.judged;
    out.samples = rows.samples;
    const Predictions judged = out.rows();
    AttributeColumns columns = attribute_columns(judged);
    columns.source = file;
    check_attributes(columns, f.data.attributes, options);
    return out;
}

Opened open_model(const std::string& file, const EvalFlags& f, const Options& options) {
    Opened out{.file = file, .model = load_model(file, use_device(f.compute, options))};
    DataOptions to_open = f.data;
    to_open.dataset.whole_if_unseen = !needs_validation(f);
    out.data = open_images_of(*out.model, file, to_open);
    JudgedSamples part = judged_samples(out.data->set, f.split);
    part.judged.of_model = true;
    say_part(part.judged, file, f, options);
    check_attributes(attribute_columns(out.data->set, part.samples), f.data.attributes, options);
    out.part = part.judged;
    out.samples = part.samples;
    return out;
}

EvalInput input_of_file(const Opened& opened, const EvalFlags& f) {
    EvalInput out{.judged = opened.rows(), .part = opened.part};
    out.test = test_split(out.judged);
    out.model = predictions_hash(out.judged);
    if (needs_validation(f)) out.validation = of_split(opened.all, "val");
    return out;
}

EvalInput input_of_model(const Opened& opened, const EvalFlags& f, const Options& options, const Comm* ranks) {
    const LoadedModel& model = *opened.model;
    const ImageData& data = *opened.data;
    const Observer observer = in_step(on_stderr(options.quiet()), options.ranks());
    Session session(*model.network);
    const auto predict_on = [&](const std::vector<int64_t>& samples, const std::string& split) {
        Predictions p = predict({session,
                                 model.card.preprocessing,
                                 data,
                                 samples,
                                 {.batch_size = f.data.batch_size,
                                  .skip_bad = f.skip_bad,
                                  .progress = observer.steps({.what = "predicting " + split}),
                                  .ranks = ranks}});
        FP_REQUIRE(p.size() > 0, Exit::data, data.set.name, ": no image of the split `", split, "` can be read");
        return p;
    };
    EvalInput out{.judged = predict_on(opened.samples, opened.part.split),
                  .stored = model.card.thresholds,
                  .data = data.set.name,
                  .split_hash = split_hash(data.set),
                  .part = opened.part,
                  .test = test_split(data.set, opened.samples),
                  .model = weights_hash(*model.network),
                  .used = &model.network->kernels()};
    if (needs_validation(f)) out.validation = predict_on(judged_samples(data.set, "val").samples, "val");
    out.skipped = skipped_of(data);
    out.gallery = gallery_of(out.judged, data, f.data.attributes, f.gallery);
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
    const std::string& positive = figures.positive;
    AtThreshold out{.threshold = threshold_of(ours, f), .other = {}, .evaluation = {}};
    const Predictions mine = at_threshold(ours.judged, positive, out.threshold.value);
    std::optional<Predictions> theirs;
    if (other) {
        out.other = threshold_of(*other, f);
        theirs = at_threshold(other->judged, positive, out.other->value);
    }
    out.evaluation = evaluation_of(mine, theirs ? &*theirs : nullptr, f.data.attributes, figures);
    set_judged(out.evaluation, ours.part, other ? &other->part : nullptr);
    return out;
}

WithOffsets judge_with_offsets(const EvalInput& ours, const EvalFlags& f, const EvaluateOptions& figures) {
    require_apart(*ours.validation, ours.judged);
    GroupOffsets offsets = choose_group_offsets(*ours.validation, f.group_offsets, figures.min_group_size);
    offsets.data = ours.data;
    offsets.split_hash = ours.split_hash;
    WithOffsets out = judge_with_offsets(offsets, ours.judged, f.data.attributes, figures);
    set_judged(out.evaluation, ours.part, nullptr);
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
    FP_REQUIRE(f.group_offsets.empty() || f.report.empty(), Exit::usage,
               "--group-offsets: the page of --report does not have them; use --json");
    FP_REQUIRE(f.gallery == 0 || !(f.report.empty() || f.checkpoint.empty()), Exit::usage,
               "--gallery wants --checkpoint and --report FILE");
}

Opened opened_file(const std::string& file, bool model, const EvalFlags& f, const Options& options) {
    return model ? open_model(file, f, options) : open_file(file, f, options);
}

// `ranks` predict together; null: this one alone.
EvalInput input_of(const Opened& opened, const EvalFlags& f, const Options& options, const Comm* ranks) {
    return opened.model ? input_of_model(opened, f, options, ranks) : input_of_file(opened, f);
}

// Nothing where no test split is judged. One command is one read, of however many models.
std::optional<TestReads> reads_of(const std::vector<const EvalInput*>& inputs, const Options& options) {
    if (inputs.front()->test.images == 0) return std::nullopt;
    TestRead read{.split = inputs.front()->test, .models = {}};
    for (const EvalInput* input : inputs) read.models.push_back(input->model);
    const TestReads out = record_test_read(read, caller_of(options));
    if (!out.fault.empty()) on_stderr(options.quiet()).caution(out.fault);
    return out;
}

// With progress on stderr.
EvaluateOptions figures_of(const EvalFlags& f, const Observer& observer) {
    EvaluateOptions figures = f.figures;
    figures.threads = f.compute.threads;
    if (figures.resamples > 0) figures.progress = observer.steps({.what = "resampling", .unit = "resamples"});
    return figures;
}

// Several trainings of a method, alone or against as many of another one.
int judge_trainings(const EvalFlags& f, const Options& options) {
    FP_REQUIRE(f.checkpoint.empty() && f.report.empty() && f.predictions_out.empty() && f.threshold.empty() &&
                   f.group_offsets.empty(),
               Exit::usage,
               "of several trainings --predictions and --compare are judged, without --checkpoint, --report, "
               "--predictions-out, --threshold and --group-offsets");
    std::vector<std::vector<std::string>> files{f.predictions_of};
    if (!f.compared_with.empty()) files.push_back(f.compared_with);
    FP_REQUIRE(files.back().size() == files.front().size(), Exit::usage, files.front().size(),
               " trainings are compared with ", files.back().size(), "; they are pairs, so as many of both are wanted");
    std::vector<EvalInput> inputs;
    std::vector<Predictions> judged[2];
    for (size_t side = 0; side < files.size(); ++side)
        for (const std::string& file : files[side]) {
            EvalFlags one = f;
            one.compare = file;  // each file is named in what is said of it
            inputs.push_back(input_of(opened_file(file, is_model(file), one, options), one, options, nullptr));
            judged[side].push_back(inputs.back().judged);
        }
    std::vector<const EvalInput*> read;
    for (const EvalInput& input : inputs) read.push_back(&input);
    const std::optional<TestReads> reads = reads_of(read, options);
    const Observer observer = on_stderr(options.quiet());
    const TrainingsReport report = compare_trainings(judged[0], judged[1], f.data.attributes, figures_of(f, observer));
    std::cout << (options.json() ? json_text(report, files, reads) : to_text(report, reads));
    return 0;
}

// Figures, report and files of what was predicted.
int judge(const EvalFlags& f, const Options& options, const EvalInput& ours, const std::optional<EvalInput>& other) {
    if (!f.predictions_out.empty() && f.group_offsets.empty()) write_predictions(f.predictions_out, ours.judged);
    std::vector<const EvalInput*> read{&ours};
    if (other) read.push_back(&*other);
    const std::optional<TestReads> reads = reads_of(read, options);
    const Observer observer = on_stderr(options.quiet());
    const EvaluateOptions figures = figures_of(f, observer);
    Evaluation evaluation = evaluation_of(ours.judged, other ? &other->judged : nullptr, f.data.attributes, figures);
    evaluation.skipped = ours.skipped;
    evaluation.test_reads = reads;
    set_judged(evaluation, ours.part, other ? &other->part : nullptr);
    if (other && !f.report.empty())
        evaluation.other = evaluate(on_rows_of(ours.judged, other->judged), f.data.attributes, figures);
    std::optional<AtThreshold> at;
    if (!f.threshold.empty()) at = judge_at_threshold(ours, other, f, figures);
    if (f.store_threshold) store(at->threshold, f, options);
    std::optional<WithOffsets> offsets;
    if (!f.group_offsets.empty()) offsets = judge_with_offsets(ours, f, figures);
    if (offsets && !f.predictions_out.empty())
        write_predictions(f.predictions_out, with_group_offsets(ours.judged, offsets->offsets));
    if (!f.report.empty())
        write_file(f.report, page_text(evaluation, at, {f.predictions + f.checkpoint, f.compare}, ours.gallery,
                                       caller_of(options), ours.used));
    std::cout << (options.json() ? json_text(evaluation, at, offsets ? &*offsets : nullptr)
                                 : to_text(evaluation) + (at ? "\n" + to_text(*at) : "") +
                                       (offsets ? "\n" + to_text(*offsets) : ""));
    return 0;
}

int run(const EvalFlags& given, const Options& options) {
    EvalFlags f = given;
    f.predictions_of = matching_files(f.predictions_of);
    f.compared_with = matching_files(f.compared_with);
    if (f.predictions_of.size() > 1 || f.compared_with.size() > 1)
        return on_first(options, [&] { return judge_trainings(f, options); });
    if (!f.predictions_of.empty()) f.predictions = f.predictions_of.front();
    if (!f.compared_with.empty()) f.compare = f.compared_with.front();
    check(f);
    const Opened opened = opened_file(f.predictions + f.checkpoint, f.predictions.empty(), f, options);
    std::optional<Opened> opened_other;
    if (!f.compare.empty()) opened_other = opened_file(f.compare, is_model(f.compare), f, options);
    // Before the work, which leaves out what --skip-bad permits.
    if (opened_other && !f.skip_bad) on_rows_of(opened.rows(), opened_other->rows());
    options.ready(opened.model ? &opened.model->network->kernels() : nullptr);
    const EvalInput ours = input_of(opened, f, options, &options.ranks());
    std::optional<EvalInput> other;
    if (opened_other) other = input_of(*opened_other, f, options, &options.ranks());
    return on_first(options, [&] { return judge(f, options, ours, other); });
}

}  // namespace
}  // namespace fp

int main(int argc, char** argv) {
    fp::EvalFlags flags;
    return fp::run_tool(
        argc, argv,
        "Metrics and fairness of a classifier, with intervals and tests. dp sums over classes (of two: twice "
        "Fairlearn's); "
        "eopp0 and eopp1 average the gaps in TNR and TPR over classes.",
        [&](fp::Options& options) { fp::declare(options, flags); },
        [&](const fp::Options& options) { return fp::run(flags, options); });
}
