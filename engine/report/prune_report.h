// What a pruning run or a search came to, beside the dense model: for report.json, report.html, model-card.md and a terminal.
#pragma once

#include "engine/fairness/compare.h"
#include "engine/measure/stopwatch.h"
#include "engine/prune/scan.h"
#include "engine/prune/sweep.h"

namespace fp {

// One convolution or linear layer, dense and pruned.
struct LayerPair {
    std::string layer;
    int height = 0, width = 0;  // of the output
    struct Side {
        int channels = 0;
        int64_t parameters = 0;
        double macs = 0;  // of one image
        double ms = 0;    // of one batch in evaluation
    } dense, pruned;
};

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

// Both models on the test split.
struct TestResult {
    Report dense, pruned;
    Comparison comparison;
};

struct PruneReport {
    const Baseline& dense;
    const PruneResult& result;
    const PruneSettings& settings;
    std::filesystem::path folder;        // of the run
    const SweepResult* sweep = nullptr;  // where the run is one of a search
    std::optional<TestResult> test = {};
    std::string verdict = {};
    std::vector<LayerPair> layers = {};
    std::vector<SpeedPair> speed = {};
    std::vector<ScoreStrip> scores = {};
};

// Reads the first scores from the folder and measures both models in turns.
PruneReport prune_report(const Baseline&,
                         const PruneResult&,
                         const PruneSettings&,
                         const std::filesystem::path& folder);
// Compares both models on the test split, where there is one: notes that it was read and writes predictions.csv and
// predictions-dense.csv.
void read_test(PruneReport&, const RunFolder&, const Caller&);
// The run as one of a search, which has read the test split.
void add_sweep(PruneReport&, const SweepResult&, const RunFolder&);

// Both models on the test split.
TestResult compare_on_test(const Baseline&, const LoadedModel& pruned);

// One to three sentences: what happened to accuracy and to each attribute's gap, and whether that can be told from chance.
std::string verdict_of(const TestResult&);

std::string to_text(const PruneReport&);  // within 80 columns

// Writes report.json, report.html, model-card.md, and pareto.csv of a search. Returns the text of report.json,
// indented by two.
std::string publish(const PruneReport&, const RunFolder&, const Caller&);
// The same of a scan: scan.json, scan.csv and report.html.
std::string publish(const Scan&, const Baseline&, const RunFolder&, const Caller&);

}  // namespace fp
