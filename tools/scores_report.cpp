#include "tools/scores_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/io/json.h"
#include "tools/figures.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

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

ordered_json row_of(const LayerScores& r) {
    ordered_json row{{"layer", r.layer},
                     {"attribute", r.attribute},
                     {"definition", r.definition},
                     {"channels", r.score.size()},
                     {"samples", r.samples},
                     {"chance", number_or_null(r.chance)},
                     {"lowest", number_or_null(lowest(r.normalized))},
                     {"median", number_or_null(median(r.normalized))},
                     {"seconds", r.seconds}};
    if (!r.reason.empty()) row["reason"] = r.reason;
    if (r.null.permutations == 0) return row;
    std::vector<double> errors;
    for (size_t c = 0; c < r.score.size(); ++c)
        errors.push_back(r.null.sd[c] / (r.over_null ? r.null.mean[c] : r.chance));
    row["permutations"] = r.null.permutations;
    row["standard_error"] = number_or_null(median(errors));
    row["below_noise"] =
        std::count_if(r.null.z.begin(), r.null.z.end(), [](double z) { return z < kBelowNoise; });
    return row;
}

std::string fixed(const ordered_json& row, const char* key) {
    if (!row.contains(key)) return "-";
    return row.at(key).is_null() ? "n/a" : fmt::format("{:.4f}", row.at(key).get<double>());
}

}  // namespace

ordered_json scores_report(const ScoresFile& scores,
                           const std::string& file,
                           const std::optional<ScoresComparison>& other) {
    ordered_json out{
        {"scores", file}, {"criterion", scores.criterion}, {"layers", ordered_json::array()}};
    for (const LayerScores& r : scores.layers) out["layers"].push_back(row_of(r));
    if (!other) return out;
    out["compared"] = {{"with", other->file}, {"layers", ordered_json::array()}};
    for (const RankAgreement& r : other->layers)
        out["compared"]["layers"].push_back(
            {{"layer", r.layer},
             {"attribute", r.attribute},
             {"channels", r.channels},
             {"tau", number_or_null(r.tau)},
             {"lowest", r.lowest},
             {"common", r.common},
             {"common_if_unrelated", double(r.lowest) * r.lowest / r.channels}});
    return out;
}

std::string scores_text(const ordered_json& report) {
    std::string out;
    if (!report.at("layers").empty())
        out += fmt::format("{:<22}{:<10}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8}\n", "layer", "attribute",
                           "channels", "lowest", "median", "error", "z < -3", "seconds");
    for (const ordered_json& row : report.at("layers"))
        out += fmt::format(
            "{:<22}{:<10}{:>8}{:>8}{:>8}{:>8}{:>8}{:>8.2f}\n", row.at("layer").get<std::string>(),
            row.at("attribute").get<std::string>(), row.at("channels").get<int64_t>(),
            fixed(row, "lowest"), fixed(row, "median"), fixed(row, "standard_error"),
            row.contains("below_noise") ? row.at("below_noise").dump() : "-",
            row.at("seconds").get<double>());
    if (report.contains("compared")) {
        out += fmt::format(
            "\norder beside {}: Kendall's tau-b; of the lowest, how many are in both\n{:<22}"
            "{:<10}{:>8}{:>8}{:>8}{:>9}{:>14}\n",
            report.at("compared").at("with").get<std::string>(), "layer", "attribute", "channels",
            "tau", "lowest", "in both", "if unrelated");
        for (const ordered_json& row : report.at("compared").at("layers"))
            out += fmt::format(
                "{:<22}{:<10}{:>8}{:>8}{:>8}{:>9}{:>14.1f}\n", row.at("layer").get<std::string>(),
                row.at("attribute").get<std::string>(), row.at("channels").get<int>(),
                fixed(row, "tau"), row.at("lowest").get<int>(), row.at("common").get<int>(),
                row.at("common_if_unrelated").get<double>());
    }
    return out + fmt::format("\nscores        {}\n", report.at("scores").get<std::string>());
}

}  // namespace fp
