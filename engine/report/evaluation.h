// The evaluation of a classifier, alone or compared with another one.
#pragma once

#include <optional>

#include "engine/eval/judged.h"
#include "engine/eval/predict.h"
#include "engine/fairness/compare.h"
#include "engine/fairness/evaluate.h"
#include "engine/fairness/threshold.h"
#include "engine/fairness/verdict.h"
#include "engine/io/fields.h"
#include "engine/report/gallery.h"
#include "engine/run/run_folder.h"
#include "engine/run/test_reads.h"

namespace fp {

struct Evaluation {
    Report report;
    std::optional<Comparison> comparison = {};
    Verdict verdict = {};
    std::optional<Skipped> skipped = {};
    std::optional<Judged> judged = {};
    std::optional<TestReads> test_reads = {};  // where a test split was judged
    std::optional<Report> other = {};          // of the other model on the same rows, for a page
};

// `other` may be null.
inline Evaluation evaluation_of(const Predictions& ours,
                                const Predictions* other,
                                const std::vector<std::string>& attributes,
                                const EvaluateOptions& options) {
    Evaluation out{.report = evaluate(ours, attributes, options)};
    if (other) out.comparison = compare(ours, *other, attributes, options);
    out.verdict = verdict_of(out.report, out.comparison ? &*out.comparison : nullptr);
    return out;
}

// Says which images are judged. Where one of the models has seen some of them in training, the verdict begins with
// that, and where it is not known what a model has seen, with this; `other` may be null.
void set_judged(Evaluation&, const Judged& ours, const Judged* other);

// Where not all images are known that `model` ("this model") was trained on, the verdict begins with "Which images this
// model was trained on is not known.", or "... before it was pruned ..." where those of the pruning are.
void say_unknown_training(Verdict&, const std::string& model, const std::optional<SeenImages>&);

// One class against the rest, each model at a threshold of its own.
struct AtThreshold {
    Threshold threshold;
    std::optional<Threshold> other;
    Evaluation evaluation;
};

// Within 80 columns.
std::string to_text(const Report&);
std::string to_text(const Comparison&);
std::string to_text(const Evaluation&);
std::string to_text(const Verdict&);
std::string to_text(const AtThreshold&);
// Of a comparison: the verdict, the headline metrics, the gap that decides of each attribute and the largest other gaps, in
// some 60 lines for four attributes, and at the end how much more there is. `whole` says where: "--full prints all".
std::string brief_text(const Evaluation&, const std::string& whole);
std::string brief_text(const AtThreshold&, const std::string& whole);
// Sensitivity (TPR) and specificity (1 - FPR) of one class, of all samples and of each group.
std::string sensitivity_text(const Report&, int of_class);

// As JSON, with M = {"value","low","high"}, G = M plus "fair_low","fair_high","p","rms","rms_low","rms_high", and P the
// primary gap; what cannot be estimated is null with "reason" (of the value or its interval) or "rms_reason" beside it.
//
//   {"samples":N,"units":N,"unit":"lesion_id","classes":[...],"accuracy":M,...,"confusion":[[...]],"per_class":{...},
//    "attributes":{"sex":{"groups":{"female":{"samples":n,"accuracy":M,...}},"primary":P,"gaps":{"eodd":G,...},
//                         "worst_group":{"accuracy":{"group":"male","samples":n,"value":...}}}},
//    "resamples":R,"seed":S,"confidence":0.95}
//
// Above 200 classes "confusion_cells" lists [truth, predicted, count] instead of "confusion".
void fields(const Report&, JsonWriter&);
void fields(const Comparison&, JsonWriter&);
void fields(const Evaluation&, JsonWriter&);  // a report with "verdict" and "comparison"

// {"summary":"...","findings":[{"kind":"fell","metric","attribute","group","text","size","before","after","change","low",
//  "high","fair_high","p","p_holm"}]}: what a finding has not is left out (engine/fairness/verdict.h).
void fields(const Verdict&, JsonWriter&);

// An object that is the member `name`. To be filled before `out` gets another member, which may move it.
inline JsonWriter inside(JsonWriter& out, const char* name) { return {make_object(add_member(out.object, name))}; }

struct WithOffsets;  // engine/report/offsets.h
// The document of fp_eval: an evaluation with "threshold" and "group_offsets".
void put_evaluation(JsonWriter&, const Evaluation&, const std::optional<AtThreshold>&);
std::string json_text(const Evaluation&, const std::optional<AtThreshold>&, const WithOffsets* = nullptr);
// Its page, of {"title","command","evaluation","environment"}, and with two models "names" and the "other" one's
// report. `names`: of the model or the file, and of the other one, which may be empty.
struct JudgedNames {
    std::string model, other;
};
std::string page_text(const Evaluation&,
                      const std::optional<AtThreshold>&,
                      const JudgedNames&,
                      const Gallery&,
                      const Caller&,
                      const Kernels* used);

}  // namespace fp
