#include "engine/report/sweep_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "engine/report/svg.h"

namespace fp {
namespace {

using nlohmann::ordered_json;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double number_at(const ordered_json& j, const char* key) {
    return j.contains(key) && j.at(key).is_number() ? j.at(key).get<double>() : kNone;
}

// Test figures where the test split was read, else those on validation.
const ordered_json* figures(const ordered_json& point, const char* key) {
    for (const char* split : {"test", "val"})
        if (point.contains(split) && point.at(split).contains(key)) return &point.at(split).at(key);
    return nullptr;
}

std::string mean_and_interval(const ordered_json* s, const char* format = "{:.3f}") {
    if (!s || !std::isfinite(number_at(*s, "mean"))) return "n/a";
    std::string out = fmt::format(fmt::runtime(format), number_at(*s, "mean"));
    if (std::isfinite(number_at(*s, "low")))
        out += fmt::format(" <span class=\"soft\">[{:.3f}, {:.3f}]</span>", number_at(*s, "low"),
                           number_at(*s, "high"));
    return out;
}

int series_of(const ordered_json& sweep, const ordered_json& point) {
    if (point.at("control").get<bool>()) return 0;
    return point.at("name") == sweep.at("selected") ? 2 : 1;
}

std::string pareto_chart(const ordered_json& sweep) {
    std::vector<ScatterPoint> by_gap, by_time;
    int number = 0;
    for (const auto& p : sweep.at("points")) {
        ++number;
        const ordered_json *gap = figures(p, "gap"), *accuracy = figures(p, "balanced_accuracy");
        if (!accuracy) continue;
        ScatterPoint point{.number = number,
                           .series = series_of(sweep, p),
                           .x = number_at(p, "latency"),
                           .y = number_at(*accuracy, "mean"),
                           .x_low = number_at(p, "latency_low"),
                           .x_high = number_at(p, "latency_high"),
                           .y_low = number_at(*accuracy, "low"),
                           .y_high = number_at(*accuracy, "high"),
                           .faint = p.at("dominated").get<bool>()};
        by_time.push_back(point);
        if (!gap) continue;
        point.x = number_at(*gap, "mean");
        point.x_low = number_at(*gap, "low");
        point.x_high = number_at(*gap, "high");
        by_gap.push_back(point);
    }
    const auto chart = [](const char* title, const char* x,
                          const std::vector<ScatterPoint>& points) -> std::string {
        if (points.empty()) return "";
        return scatter_chart(
            {.title = title, .x = x, .y = "balanced accuracy", .width = 420, .height = 260},
            points);
    };
    return "<div class=\"charts\">" +
           chart("Accuracy against gap, by number", "gap (0 = none)", by_gap) +
           chart("Accuracy against time, by number", "time over the dense model's", by_time) +
           "</div><p class=\"soft\"><span class=\"key s0\"></span>controls "
           "<span class=\"key s1\"></span>criteria <span class=\"key s2\"></span>chosen. Hollow: "
           "another one is at least as accurate, as fair and as fast, and better in something. "
           "Lines: 95 % intervals, of means over seeds and of the measured time.</p>";
}

std::string points_table(const ordered_json& sweep) {
    std::string out =
        "<div class=\"scroll\"><table class=\"words\"><tr><th>what<th>balanced "
        "accuracy<th>gap<th>time<th>"
        "parameters<th>validation objective<th></tr>";
    int number = 0;
    for (const auto& p : sweep.at("points")) {
        const bool chosen = p.at("name") == sweep.at("selected");
        out += fmt::format(
            "<tr{}><td>{}. {}<td>{}<td>{}<td>{:.2f}x <span class=\"soft\">[{:.2f}, "
            "{:.2f}]</span><td>{}<td>{}<td>{}</tr>",
            chosen ? " class=\"cut\"" : "", ++number, escape_html(p.at("name").get<std::string>()),
            mean_and_interval(figures(p, "balanced_accuracy")),
            mean_and_interval(figures(p, "gap")), p.at("latency").get<double>(),
            p.at("latency_low").get<double>(), p.at("latency_high").get<double>(),
            p.at("runs").at(0).at("parameters").get<int64_t>(),
            mean_and_interval(figures(p, "objective"), "{:.4f}"),
            chosen                          ? "chosen"
            : p.at("dominated").get<bool>() ? "dominated"
                                            : "");
    }
    return out + "</table></div>";
}

// One table a control: the points' figures minus its.
std::string against_table(const ordered_json& sweep) {
    std::vector<std::string> controls;
    std::map<std::string, std::string> rows;
    bool one_seed = false;
    for (const auto& p : sweep.at("points")) {
        if (!p.contains("against")) continue;
        for (const auto& [control, d] : p.at("against").items()) {
            const ordered_json& gap = d.at("gap");
            const double low = number_at(gap, "low"), high = number_at(gap, "high");
            one_seed |= std::isnan(low);
            if (!rows.contains(control)) controls.push_back(control);
            rows[control] += fmt::format(
                "<tr><td>{}<td>{}<td>{}<td>{}</tr>", escape_html(p.at("name").get<std::string>()),
                mean_and_interval(&gap, "{:+.3f}"),
                mean_and_interval(&d.at("balanced_accuracy"), "{:+.3f}"),
                std::isnan(low)                       ? ""
                : !(number_at(gap, "p_holm") <= 0.05) ? "no evidence of a difference"
                : high < 0                            ? "smaller gap"
                                                      : "larger gap");
        }
    }
    std::string out;
    for (const std::string& control : controls)
        out += "<h3>Minus " + escape_html(control) +
               "</h3><div class=\"scroll\"><table class=\"words\"><tr><th>what<th>gap<th>balanced "
               "accuracy<th></tr>" +
               rows.at(control) + "</table></div>";
    out +=
        "<p class=\"soft\">Words go by p after Holm's correction over all differences of a "
        "gap.</p>";
    return out + (one_seed ? "<p class=\"soft\">One seed decides nothing.</p>" : "");
}

// A triangle of Kendall's tau, the more alike the deeper its ground.
std::string rankings_table(const ordered_json& rankings) {
    const ordered_json& names = rankings.at("names");
    if (names.size() < 2) return "";
    std::string out =
        "<h3>How alike the orders are</h3><p class=\"soft\">Kendall's tau-b between the orders in "
        "which channels would go, mean over the sets of tied channels, of the first seed: 1 is one "
        "order, 0 unrelated.</p><div class=\"scroll\"><table><tr><th>";
    for (size_t j = 0; j + 1 < names.size(); ++j) out += fmt::format("<th>{}", j + 1);
    out += "</tr>";
    for (size_t i = 0; i < names.size(); ++i) {
        out += fmt::format("<tr><td>{}. {}", i + 1, escape_html(names.at(i).get<std::string>()));
        for (size_t j = 0; j + 1 < names.size(); ++j) {
            if (j >= i) {
                out += "<td>";
                continue;
            }
            const ordered_json& tau = rankings.at("tau").at(i).at(j);
            out += tau.is_null()
                       ? "<td>n/a"
                       : fmt::format("<td style=\"background:rgba(80,140,210,{:.2f})\">{:.2f}",
                                     0.5 * std::max(0.0, tau.get<double>()), tau.get<double>());
        }
        out += "</tr>";
    }
    return out + "</table></div>";
}

}  // namespace

std::string sweep_section(const ordered_json& sweep) {
    const size_t seeds = sweep.at("points").at(0).at("runs").size();
    std::string out = fmt::format(
        "<h2>All that was tried</h2><p>{}</p><p class=\"soft\">{} seed{} each; the gap is {}{}. "
        "Time "
        "is measured, over the dense model's.</p>",
        escape_html(sweep.at("rule").get<std::string>()), seeds, seeds == 1 ? "" : "s",
        escape_html(sweep.at("gap").get<std::string>()),
        sweep.at("attribute").get<std::string>().empty()
            ? ""
            : " by " + escape_html(sweep.at("attribute").get<std::string>()));
    if (sweep.at("selected").is_null())
        out += "<p>No run kept enough balanced accuracy on validation: none is chosen.</p>";
    return out + pareto_chart(sweep) + points_table(sweep) + against_table(sweep) +
           rankings_table(sweep.at("rankings"));
}

}  // namespace fp
