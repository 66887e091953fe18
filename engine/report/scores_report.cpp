#include "engine/report/scores_report.h"

#include "engine/measure/layer_times.h"
#include "engine/report/text_rows.h"

namespace fp {
namespace {

double median_of_known(std::vector<double> values) {
    std::erase_if(values, [](double v) { return std::isnan(v); });
    return values.empty() ? kNotEstimable : median_of(std::move(values)).value;
}

std::string layer_row(const LayerScores& l) {
    const bool noise = l.null.has_value();  // known where labels were permuted
    return fmt::format("{}{}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8.2f}\n", cell(l.layer, 22), cell(l.attribute, 10),
                       l.score.size(), number(lowest(l)), number(median(l)), noise ? number(standard_error(l)) : "-",
                       noise ? fmt::format("{}", below_noise(l)) : "-", l.seconds);
}

}  // namespace

double lowest(const LayerScores& l) {
    const auto less = [](double a, double b) { return a < b || (std::isnan(b) && !std::isnan(a)); };
    return l.normalized.empty() ? kNotEstimable : *std::min_element(l.normalized.begin(), l.normalized.end(), less);
}

double median(const LayerScores& l) { return median_of_known(l.normalized); }

double standard_error(const LayerScores& l) {
    std::vector<double> errors;
    for (size_t c = 0; c < l.score.size(); ++c)
        errors.push_back(l.null->sd[c] / (l.normalized_by == "chance" ? l.chance : l.null->mean[c]));
    return median_of_known(errors);
}

int64_t below_noise(const LayerScores& l) {
    return std::count_if(l.null->z.begin(), l.null->z.end(), [](double z) { return z < -3; });
}

std::string to_text(const ScoresReport& report) {
    std::string out;
    if (!report.scores.layers.empty())
        out += fmt::format("{:<22}{:<10}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "layer", "attribute", "channels", "lowest",
                           "median", "error", "z < -3", "seconds");
    for (const LayerScores& l : report.scores.layers) out += layer_row(l);
    if (report.compared) {
        out += "\n" + wrapped("order beside " + report.compared->file +
                                  ": Kendall's tau-b; of the lowest, how many are in both",
                              0);
        constexpr auto kRow = "{:<22}{:<10}{:>8}{:>8}{:>8}{:>9}{:>14}\n";
        out += fmt::format(kRow, "layer", "attribute", "channels", "tau", "lowest", "in both", "if unrelated");
        for (const RankAgreement& r : report.compared->layers)
            out += fmt::format(kRow, cell(r.layer, 22), cell(r.attribute, 10), r.channels, number(r.tau), r.lowest,
                               r.common, number(r.common_if_unrelated(), 1));
    }
    if (!report.scores.note.empty()) out += wrapped(report.scores.note, 0);
    return out + "\nscores        " + report.file + "\n";
}

}  // namespace fp
