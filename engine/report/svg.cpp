#include "engine/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace fp {
namespace {

struct Range {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    void add(double v) {
        if (!std::isfinite(v)) return;
        low = std::min(low, v);
        high = std::max(high, v);
    }
    void widen() {
        if (!(low < high)) {
            const double centre = std::isfinite(low) ? low : 0;
            low = centre - 0.5;
            high = centre + 0.5;
        }
        const double margin = (high - low) * 0.04;
        low -= margin;
        high += margin;
    }
};

// Steps of 1, 2 or 5 times a power of ten, about `count` of them.
std::vector<double> ticks(const Range& r, int count) {
    const double raw = (r.high - r.low) / count, power = std::pow(10, std::floor(std::log10(raw)));
    const double step = power * (raw / power > 5   ? 10
                                 : raw / power > 2 ? 5
                                 : raw / power > 1 ? 2
                                                   : 1);
    std::vector<double> out;
    for (double v = std::ceil(r.low / step) * step; v <= r.high; v += step)
        out.push_back(std::abs(v) < step * 1e-9 ? 0 : v);
    return out;
}

struct Frame {
    Axes axes;
    Range x = {}, y = {};
    int left = 52, right = 12, top = 26, bottom = 36;

    double at_x(double v) const {
        return left + (v - x.low) / (x.high - x.low) * (axes.width - left - right);
    }
    double at_y(double v) const {
        return axes.height - bottom - (v - y.low) / (y.high - y.low) * (axes.height - top - bottom);
    }

    std::string open() const {
        return fmt::format(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><text class=\"title\" "
            "x=\"{}\" y=\"16\">{}</text>",
            axes.width, axes.height, escape_html(axes.title), left, escape_html(axes.title));
    }
    std::string x_axis() const {
        std::string out;
        for (const double v : ticks(x, 5))
            out += fmt::format(
                "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1}\" y2=\"{2}\"/><text "
                "class=\"tick\" x=\"{0:.1f}\" y=\"{3}\" "
                "text-anchor=\"middle\">{4:.4g}</text>",
                at_x(v), top, axes.height - bottom, axes.height - bottom + 14, v);
        return out + fmt::format(
                         "<text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                         (left + axes.width - right) / 2, axes.height - 6, escape_html(axes.x));
    }
    std::string y_axis() const {
        std::string out;
        for (const double v : ticks(y, 4))
            out += fmt::format(
                "<line class=\"grid\" x1=\"{1}\" x2=\"{2}\" y1=\"{0:.1f}\" y2=\"{0:.1f}\"/><text "
                "class=\"tick\" x=\"{3}\" y=\"{4:.1f}\" "
                "text-anchor=\"end\">{5:.4g}</text>",
                at_y(v), left, axes.width - right, left - 5, at_y(v) + 4, v);
        return out;
    }
};

}  // namespace

std::string escape_html(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
    }
    return out;
}

std::string line_chart(const Axes& axes, const std::vector<Series>& series) {
    Frame f{.axes = axes};
    for (const Series& s : series)
        for (size_t i = 0; i < s.x.size(); ++i) {
            f.x.add(s.x[i]);
            f.y.add(s.y[i]);
        }
    f.x.widen();
    f.y.widen();
    std::string out = f.open() + f.x_axis() + f.y_axis();
    double legend = axes.width - f.right;  // right to left, in the title's line
    for (size_t k = 0; k < series.size(); ++k) {
        std::string points;
        for (size_t i = 0; i < series[k].x.size(); ++i)
            if (std::isfinite(series[k].y[i])) {
                points +=
                    fmt::format("{:.1f},{:.1f} ", f.at_x(series[k].x[i]), f.at_y(series[k].y[i]));
                out += fmt::format("<circle class=\"s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"/>",
                                   k, f.at_x(series[k].x[i]), f.at_y(series[k].y[i]));
            }
        out += fmt::format("<polyline class=\"s{}\" points=\"{}\"/>", k, points);
        if (series.size() == 1) continue;  // the title says it
        out += fmt::format(
            "<text class=\"legend s{}\" x=\"{:.0f}\" y=\"{}\" text-anchor=\"end\">{}</text>", k,
            legend, 16, escape_html(series[k].name));
        legend -= 12 + 6.0 * double(series[k].name.size());
    }
    return out + "</svg>";
}

std::string interval_chart(const Axes& axes, const std::vector<IntervalRow>& rows) {
    Frame f{.axes = axes};
    f.left = 118;
    f.axes.height = f.top + f.bottom + 22 * int(rows.size());
    f.x.add(0);
    for (const IntervalRow& r : rows)
        for (const double v : {r.value, r.low, r.high, r.fair_low, r.fair_high}) f.x.add(v);
    f.x.widen();
    std::string out = f.open() + f.x_axis();
    for (size_t i = 0; i < rows.size(); ++i) {
        const IntervalRow& r = rows[i];
        const double y = f.top + 22.0 * double(i) + 11;
        out +=
            fmt::format("<text class=\"tick\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
                        f.left - 6, y + 4, escape_html(r.label));
        if (std::isfinite(r.fair_low))
            out += fmt::format(
                "<rect class=\"fair\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"14\"/>",
                f.at_x(r.fair_low), y - 7, f.at_x(r.fair_high) - f.at_x(r.fair_low));
        if (std::isfinite(r.low))
            out += fmt::format(
                "<line class=\"s{} bar\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                r.series, f.at_x(r.low), f.at_x(r.high), y, y);
        if (std::isfinite(r.value))
            out += fmt::format("<circle class=\"s{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\"/>",
                               r.series, f.at_x(r.value), y);
    }
    return out + "</svg>";
}

std::string scatter_chart(const Axes& axes, const std::vector<ScatterPoint>& points) {
    Frame f{.axes = axes};
    for (const ScatterPoint& p : points) {
        for (const double v : {p.x, p.x_low, p.x_high}) f.x.add(v);
        for (const double v : {p.y, p.y_low, p.y_high}) f.y.add(v);
    }
    f.x.widen();
    f.y.widen();
    std::string out = f.open() + f.x_axis() + f.y_axis();
    out += fmt::format("<text class=\"label\" x=\"{}\" y=\"{}\">{}</text>", f.left + 4, f.top + 10,
                       escape_html(axes.y));
    for (const ScatterPoint& p : points) {
        if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
        const double x = f.at_x(p.x), y = f.at_y(p.y);
        if (std::isfinite(p.x_low))
            out += fmt::format(
                "<line class=\"s{} thin\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                "y2=\"{:.1f}\"/>",
                p.series, f.at_x(p.x_low), f.at_x(p.x_high), y, y);
        if (std::isfinite(p.y_low))
            out += fmt::format(
                "<line class=\"s{} thin\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" "
                "y2=\"{:.1f}\"/>",
                p.series, x, x, f.at_y(p.y_low), f.at_y(p.y_high));
        out += fmt::format(
            "<circle class=\"s{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"5\"/><text class=\"tick\" "
            "x=\"{:.1f}\" "
            "y=\"{:.1f}\">{}</text>",
            p.series, p.faint ? " hollow" : "", x, y, x + 7, y - 5, p.number);
    }
    return out + "</svg>";
}

std::string strip_chart(const Axes& axes,
                        const std::vector<double>& values,
                        const std::vector<bool>& marked) {
    Frame f{.axes = axes};
    f.axes.height = 96;
    f.left = 16;
    for (const double v : values) f.x.add(v);
    f.x.widen();
    std::string out = f.open() + f.x_axis();
    for (size_t i = 0; i < values.size(); ++i)
        if (std::isfinite(values[i]))
            out +=
                fmt::format("<line class=\"{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{}\" y2=\"{}\"/>",
                            marked[i] ? "s1 cut" : "s0 thin", f.at_x(values[i]), f.at_x(values[i]),
                            f.top + (marked[i] ? 2 : 10), f.axes.height - f.bottom);
    return out + "</svg>";
}

}  // namespace fp
