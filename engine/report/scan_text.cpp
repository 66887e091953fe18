#include <fmt/format.h>

#include <cmath>

#include "engine/io/json.h"
#include "engine/report/sweep_text.h"

namespace fp {
namespace {

using Which = std::optional<ScanFigure> ScanPoint::*;

// "+0.012*", with the star where it is more than noise.
std::string cell(const std::optional<ScanFigure>& f) {
    if (!f) return "- ";
    if (std::isnan(f->change)) return "n/a";
    return fmt::format("{:+.3f}{}", f->change, f->p_holm <= 0.05 ? "*" : " ");
}

void trim(std::string& line) {
    while (line.back() == ' ') line.pop_back();
}

std::string table(const ScanResult& r, Which which) {
    std::string out = fmt::format("{:<30}", "set                  channels");
    for (const std::string& share : r.shares) out += fmt::format("{:>9} ", share);
    trim(out);
    for (const ScannedSet& set : r.sets) {
        out += fmt::format("\n{:<24.24}{:>6}", set.set, set.channels);
        for (const ScanPoint& point : set.points) out += fmt::format("{:>10}", cell(point.*which));
        trim(out);
    }
    return out + "\n";
}

// Empty where there is no such figure, or where it is not estimable.
std::string csv_cell(double v) { return std::isfinite(v) ? json_number(v) : ""; }

std::string csv_cells(const std::optional<ScanFigure>& f) {
    return f ? csv_cell(f->value) + "," + csv_cell(f->p_holm) : ",";
}

}  // namespace

std::string to_text(const ScanResult& r) {
    std::string out =
        fmt::format("on validation, changes from the dense model's balanced accuracy of {:.3f}\n", r.dense_accuracy);
    out += table(r, &ScanPoint::balanced_accuracy);
    if (r.dense_gap && !std::isnan(*r.dense_gap)) {
        out += fmt::format("\nchanges from its {} by {} of {:.3f}\n", kScanGap, r.attribute, *r.dense_gap);
        out += table(r, &ScanPoint::gap);
    }
    return out +
           "\nnothing is tuned. *: p <= .05 after Holm's correction over the table\n"
           "-: not possible\n";
}

std::string to_csv(const ScanResult& r) {
    std::string out =
        "set,channels,share,removed,parameters,macs,balanced_accuracy,balanced_accuracy_p_holm,gap,"
        "gap_p_holm\n";
    for (const ScannedSet& set : r.sets)
        for (const ScanPoint& p : set.points) {
            const std::string size =
                p.reason.empty() ? fmt::format("{},{},{}", p.removed, p.parameters, json_number(p.macs)) : ",,";
            out += fmt::format("{},{},{},{},{},{}\n", set.set, set.channels, p.share, size,
                               csv_cells(p.balanced_accuracy), csv_cells(p.gap));
        }
    return out;
}

}  // namespace fp
