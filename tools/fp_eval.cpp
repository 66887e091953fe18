// fp_eval: metrics of a classifier overall and per group, gaps between groups beside the gaps that a classifier which
// treats the groups alike would show, and, with --compare, whether another model is fairer.
#include <iostream>

#include "engine/eval/predictions_file.h"
#include "engine/io/files.h"
#include "engine/io/glob.h"
#include "engine/report/offsets.h"
#include "engine/report/trainings_report.h"
#include "tools/eval_input.h"
#include "tools/training.h"

namespace fp {
namespace {

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
    FP_REQUIRE(
        f.checkpoint.empty() && f.predictions_out.empty() && f.threshold.empty() && f.group_offsets.empty() && !f.full,
        Exit::usage,
        "of several trainings --predictions and --compare are judged, without --checkpoint, "
        "--predictions-out, --threshold, --group-offsets and --full");
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
    if (!f.report.empty())
        write_file(f.report, page_text(report, files, reads, caller_of(options), inputs.front().used));
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
    const auto words = [&](const auto& e) {
        return other && !f.full ? brief_text(e, "--full prints all, --json and --report hold it") : to_text(e);
    };
    std::cout << (options.json()
                      ? json_text(evaluation, at, offsets ? &*offsets : nullptr)
                      : words(evaluation) + (at ? "\n" + words(*at) : "") + (offsets ? "\n" + to_text(*offsets) : ""));
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
