// The result of a pruning run or a search beside the dense model: for report.json, report.html, model-card.md and a
// terminal.
#pragma once

#include "engine/fairness/verdict.h"
#include "engine/measure/roofline.h"
#include "engine/measure/stopwatch.h"
#include "engine/prune/scan.h"
#include "engine/prune/sweep.h"
#include "engine/report/gallery.h"
#include "engine/report/title.h"
#include "engine/run/test_reads.h"

namespace fp {

// Inference at one batch size, both models measured in turns.
struct SpeedPair {
    int batch = 0;
    TimingSummary dense, pruned;
    Ratio speedup;  // dense time over pruned
};

// The first round's scores of a layer, or of a set of tied channels for criteria that score sets.
struct ScoreStrip {
    std::string layer;
    std::optional<std::string> attribute;
    std::vector<double> values;
    std::vector<int> removed;
};

// Both models on the test split. Where the dense model was tuned alike (--controls), the pruned one is compared with
// that: a difference from the dense model as it was is one of removal and tuning together.
struct TestResult {
    Report dense, pruned;
    std::optional<Report> tuned = {};
    Comparison comparison;
    std::optional<TestReads> reads = {};  // of the split, with this one (compare_on_test)

    const Report& other() const { return tuned ? *tuned : dense; }
};

struct PruneReport {
    const Baseline& dense;
    const PruneResult& result;
    const PruneSettings& settings;
    std::filesystem::path folder;        // of the run
    const SweepResult* sweep = nullptr;  // where the run is one of a search
    std::optional<TestResult> test = {};
    std::optional<TestReads> test_reads = {};                      // on record, with this one
    Verdict verdict = {};                                          // of the test
    Totals dense_totals = {}, pruned_totals = {};                  // of one image
    std::vector<LayerCost> dense_layers = {}, pruned_layers = {};  // of a batch in evaluation
    std::optional<Roofline> roof = {};                             // that the layers' times stand under
    std::vector<SpeedPair> speed = {};
    std::vector<ScoreStrip> scores = {};
    int mistakes_per_group = 0;                // to be set before the test split is read, as is
    double margin = EvaluateOptions().margin;  // of a loss of accuracy
    Gallery gallery = {};                      // of the pruned model's mistakes there; in report.html alone

    // "resnet18 pruned on ISIC 2019"
    std::string title() const {
        return result.best.network->spec.arch + " pruned on " + data_words(dense.data.set.name);
    }
};

// Measures both models in turns; the first round's scores come from the folder.
PruneReport prune_report(const Baseline&,
                         const PruneResult&,
                         const PruneSettings&,
                         const std::filesystem::path& folder);
// Compares both models on the test split, where there is one. Records that it was read (engine/run/test_reads.h), and
// writes predictions.csv and predictions-dense.csv.
void read_test(PruneReport&, const RunFolder&, const Caller&);
// Adds the search that the run is one of, and the search's predictions on the test split.
void add_sweep(PruneReport&, const SweepResult&, const RunFolder&);

// Both models on the test split, which goes on record as one read of it by the caller (engine/run/test_reads.h).
TestResult compare_on_test(const Baseline&, const LoadedModel& pruned, const Caller& = {});

// model-card.md, and its sections of the verdict and of the pruned model's figures on the test split.
std::string model_card(const PruneReport&, const Caller&);
std::string verdict_card(const Verdict&);
std::string evaluation_card(const Report& pruned);
// Text from a file for a line or a table's cell, with Markdown's own characters escaped.
std::string markdown_text(const std::string&);

inline Verdict verdict_of(const TestResult& t) { return verdict_of(t.pruned, &t.comparison); }

// Within 80 columns.
std::string to_text(const PruneReport&);
std::string to_text(const SweepResult&);
std::string to_text(const RankTable&);
std::string to_text(const ScanResult&);

std::string to_csv(const SweepResult&);  // pareto.csv: a row per run
std::string to_csv(const ScanResult&);   // scan.csv: a row per point

// Writes report.json, report.html, model-card.md, layers.csv, and pareto.csv of a search. Returns the text of report.json,
// indented by two:
//
// {"title","command","data","settings","tuning","classes","models":{"dense","pruned"},"best_round","rounds","layers",
//  "roof":{"flops","bytes"},"speed","curves","scores","environment","test_reads","test":{"dense","tuned","pruned","comparison"},"verdict","sweep"};
// "test" and its parts as engine/report/evaluation.h has them, "tuned" where there is that control, "curves" the rows of
// metrics.jsonl. Where images were
// skipped, "skipped":{"images","first"}. "sweep" is
//
// {"rule","objective","attributes","gap","tunings","figures","selected","dense":{"val","objective","test"},
//  "least_accuracy","tests":{"count","t_needed","text"},
//  "points":[{"name","criterion","amount","control","val":{...},"latency","latency_low","latency_high","runs":[...],
//             "test":{"balanced_accuracy","gaps":{ATTRIBUTE:{...}}},"dominated","near_chance",
//             "against":{CONTROL:{"gaps":{ATTRIBUTE:{...}},"balanced_accuracy"}}}],
//  "rankings":{"names","tau"}}
//
// Figures over tunings are {"mean","sd","low","high","n"} (SeedSummary). "gap" is the primary one: of a run
// {"rms","rms_squared","fair_high","eodd_mean"}, of a point's "test" "low" and "high" too and "rms_squared" over tunings;
// that of "against" is the difference of rms^2, where it is tested with "p","p_holm","least_change","fall_can_pass",
// "verdict" (GapDifference).
std::string publish(const PruneReport&, const RunFolder&, const Caller&);
// The same of a scan: scan.json, scan.csv and report.html.
std::string publish(const Scan&, const Baseline&, const RunFolder&, const Caller&);

}  // namespace fp
