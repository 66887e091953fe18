#include "engine/report/scan_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/report/page.h"
#include "engine/report/svg.h"

namespace fp {
namespace {

using nlohmann::ordered_json;

// The largest change of any point, so that the deepest ground of a table is its own.
double largest_change(const ordered_json& sets, const char* what) {
    double out = 0;
    for (const auto& set : sets)
        for (const auto& point : set.at("points"))
            if (point.contains(what) && point.at(what).at("change").is_number())
                out = std::max(out, std::abs(point.at(what).at("change").get<double>()));
    return out;
}

// A change for the worse on an orange ground, for the better on a blue one; bold where it is more than noise.
std::string cell(const ordered_json& point, const char* what, bool more_is_better, double largest) {
    if (!point.contains(what)) return "<td>-";
    const ordered_json& d = point.at(what);
    if (!d.at("change").is_number()) return "<td>n/a";
    const double change = d.at("change").get<double>();
    const bool real = d.at("p_holm").is_number() && d.at("p_holm").get<double>() <= 0.05;
    return fmt::format("<td style=\"background:rgba({},{:.2f})\">{}{:+.3f}{}",
                       (change > 0) == more_is_better ? "80,140,210" : "225,120,60",
                       largest > 0 ? 0.6 * std::abs(change) / largest : 0, real ? "<b>" : "",
                       change, real ? "</b>" : "");
}

std::string heat_table(const ordered_json& report, const char* what, bool more_is_better) {
    const ordered_json& sets = report.at("sets");
    const double largest = largest_change(sets, what);
    std::string out = "<div class=\"scroll\"><table><tr><th>set<th>channels";
    for (const auto& share : report.at("shares"))
        out += "<th>" + escape_html(share.get<std::string>());
    out += "</tr>";
    for (const auto& set : sets) {
        out += fmt::format("<tr><td>{}<td>{}", escape_html(set.at("set").get<std::string>()),
                           set.at("channels").get<int>());
        for (const auto& point : set.at("points"))
            out += cell(point, what, more_is_better, largest);
        out += "</tr>";
    }
    return out + "</table></div>";
}

}  // namespace

std::string scan_html(const ordered_json& r) {
    const std::string title = r.at("title").get<std::string>();
    const ordered_json& dense = r.at("dense");
    std::string out =
        "<h1>" + escape_html(title) +
        "</h1><p>One set of tied channels at a time loses a share of its channels, those that " +
        escape_html(r.at("criterion").get<std::string>()) +
        " names first; nothing is tuned. Changes are from the dense model, on validation. Bold: p "
        "at most .05 by the swap test, after Holm's correction over the table. Blue is for the "
        "better, orange for the worse; a dash: not possible.</p>";
    out += fmt::format("<h2>Balanced accuracy (dense: {:.3f})</h2>",
                       dense.at("balanced_accuracy").get<double>());
    out += heat_table(r, "balanced_accuracy", true);
    if (dense.contains("gap") && dense.at("gap").is_number())
        out += fmt::format(
                   "<h2>Gap by {} (dense: {:.3f})</h2><p class=\"soft\">{}. A gap shrinks beside a "
                   "model that tells less: read it with the table above.</p>",
                   escape_html(r.at("attribute").get<std::string>()), dense.at("gap").get<double>(),
                   escape_html(r.at("gap").get<std::string>())) +
               heat_table(r, "gap", false);
    return page(title, out + origin_section(r));
}

}  // namespace fp
