// Small charts as SVG text: lines, dots, bars with intervals. Colours come from the page's CSS classes
// (s0, s1, ... for series), so that light and dark pages both suit.
#pragma once

#include <string>
#include <vector>

namespace fp {

struct Series {
    std::string name;
    std::vector<double> x, y;  // NaN breaks a line
};

struct Axes {
    std::string title, x, y;
    int width = 420, height = 240;
};

std::string line_chart(const Axes&, const std::vector<Series>&);

// One row an entry: a dot at value, a bar from low to high (NaN: none), a grey band where fair values lie.
struct IntervalRow {
    std::string label;
    int series = 0;
    double value, low, high, fair_low, fair_high;
};
std::string interval_chart(const Axes&, const std::vector<IntervalRow>&);

// A dot an entry, hollow where `faint`, with thin lines from low to high (NaN: none), and its number beside it.
struct ScatterPoint {
    int number = 0;  // in the table that goes with the chart
    int series = 0;
    double x, y, x_low, x_high, y_low, y_high;
    bool faint = false;
};
std::string scatter_chart(const Axes&, const std::vector<ScatterPoint>&);

// Values sorted as a strip of ticks, those marked drawn apart.
std::string strip_chart(const Axes&,
                        const std::vector<double>& values,
                        const std::vector<bool>& marked);

// &, <, > and quotes as entities, control characters as spaces.
std::string escape_html(const std::string&);

}  // namespace fp
