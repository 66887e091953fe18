// Which layers to leave alone: a share of one set of tied channels at a time is removed by its scores, and the network
// that is left is compared with the dense model on validation, without fine-tuning. A point is the pruning run with
// layers = SET, amount = SHARE and no epochs of fine-tuning.
#pragma once

#include "engine/fairness/compare.h"
#include "engine/prune/loop.h"

namespace fp {

// p is of the swap test (engine/fairness/compare.h). The gap is the primary one: value and change are of its rms, p is
// that of the change of rms^2, which goes the same way; both are 0 below noise. p_holm is corrected over all points of
// the scan: accuracy and gap are a family each.
struct ScanFigure {
    double value = kNotEstimable, change = kNotEstimable;  // change: minus the dense model's
    double p = kNotEstimable, p_holm = kNotEstimable;
};

ScanFigure scan_figure(const PrimaryDifference&);

struct ScanPoint {
    std::string share;        // "10%"
    std::string reason = {};  // why it cannot be made; then it has no figures
    int64_t removed = 0, parameters = 0;
    double macs = 0;
    std::optional<ScanFigure> balanced_accuracy = {}, gap = {};
};

struct ScannedSet {
    std::string set;
    int channels = 0;
    std::vector<ScanPoint> points = {};
};

struct ScanResult {
    std::string criterion;
    std::string attribute;  // the first one; empty: none
    double dense_accuracy = kNotEstimable;
    std::optional<double> dense_gap;  // none without an attribute
    std::vector<std::string> shares;
    std::vector<ScannedSet> sets;
};

// "10%,25%,50%": shares of a set's channels. Exit::usage for anything else.
std::vector<Amount> parse_shares(const std::string&);

struct ScanSettings {
    PruneSettings pruning;
    std::string shares;  // as parse_shares takes them
};

struct Scan {
    Identity identity;  // what a scan must share with the one that it resumes
    ScanResult result;
};

// Scores where the folder has no scores yet, scans, and writes the finished sets to scan.json after each set. Nothing
// where the observer stopped it; the finished sets are saved then. Every rank of the folder calls it, with a Baseline of
// its own, and has the result; sets are spread over the ranks.
std::optional<Scan> scan(const Baseline&, const ScanSettings&, RunFolder&, const PruneStart& = {});

// Holm's correction over all points.
void correct_for_many(std::vector<ScannedSet>&);

}  // namespace fp
