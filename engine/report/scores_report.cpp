#include "engine/report/scores_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace fp {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kBelowNoise = -3;

double median(std::vector<double> v) {
    std::erase_if(v, [](double x) { return std::isnan(x); });
    if (v.empty()) return kNaN;
    std::sort(v.begin(), v.end());
    return (v[(v.size() - 1) / 2] + v[v.size() / 2]) / 2;
}

double lowest(const std::vector<double>& v) {
    double out = kNaN;
    for (const double x : v)
        if (!(out <= x) && !std::isnan(x)) out = x;
    return out;
}

std::optional<ScoredLayer::Noise> noise_of(const LayerScores& r) {
    if (!r.null) return std::nullopt;
    std::vector<double> errors;
    for (size_t c = 0; c < r.score.size(); ++c)
        errors.push_back(r.null->sd[c] / (r.normalized_by == "chance" ? r.chance : r.null->mean[c]));
    return ScoredLayer::Noise{
        .permutations = r.null->permutations,
        .standard_error = median(errors),
        .below = std::count_if(r.null->z.begin(), r.null->z.end(), [](double z) { return z < kBelowNoise; })};
}

std::string fixed(double v) { return std::isfinite(v) ? fmt::format("{:.4f}", v) : "n/a"; }

std::string layer_row(const ScoredLayer& r) {
    return fmt::format("{:<22}{:<10}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8.2f}\n", r.layer, r.attribute, r.channels,
                       fixed(r.lowest), fixed(r.median), r.noise ? fixed(r.noise->standard_error) : "-",
                       r.noise ? fmt::format("{}", r.noise->below) : "-", r.seconds);
}

}  // namespace

ScoresReport scores_report(const ScoresFile& scores,
                           const std::string& file,
                           const std::optional<ScoresComparison>& other) {
    ScoresReport out{.file = file, .criterion = scores.criterion, .layers = {}, .compared = other};
    for (const LayerScores& r : scores.layers)
        out.layers.push_back({.layer = r.layer,
                              .attribute = r.attribute,
                              .definition = r.definition,
                              .reason = r.reason,
                              .channels = int64_t(r.score.size()),
                              .samples = r.samples,
                              .chance = r.chance,
                              .lowest = lowest(r.normalized),
                              .median = median(r.normalized),
                              .seconds = r.seconds,
                              .noise = noise_of(r)});
    return out;
}

std::string to_text(const ScoresReport& report) {
    std::string out;
    if (!report.layers.empty())
        out += fmt::format("{:<22}{:<10}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "layer", "attribute", "channels", "lowest",
                           "median", "error", "z < -3", "seconds");
    for (const ScoredLayer& row : report.layers) out += layer_row(row);
    if (report.compared) {
        out += fmt::format(
            "\norder beside {}: Kendall's tau-b; of the lowest, how many are in both\n{:<22}"
            "{:<10}{:>8}{:>8}{:>8}{:>9}{:>14}\n",
            report.compared->file, "layer", "attribute", "channels", "tau", "lowest", "in both", "if unrelated");
        for (const RankAgreement& r : report.compared->layers)
            out += fmt::format("{:<22}{:<10}{:>8}{:>8}{:>8}{:>9}{:>14.1f}\n", r.layer, r.attribute, r.channels,
                               fixed(r.tau), r.lowest, r.common, r.common_if_unrelated());
    }
    return out + fmt::format("\nscores        {}\n", report.file);
}

}  // namespace fp
