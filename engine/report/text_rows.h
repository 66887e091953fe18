// Lines of the text reports, at most 80 columns: tables whose cells have a width, and text that is broken at spaces.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/fairness/intervals.h"
#include "engine/io/words.h"

namespace fp {

constexpr size_t kLine = 80;

// A line is a name in kName columns, a value in 8, and the rest.
constexpr size_t kName = 20;

// Characters of UTF-8: the columns that a text takes.
size_t columns_of(const std::string&);

// Text, printable (engine/io/files.h), in exactly `width` columns, at least one of them a space at its end: cut, with a
// ~, where it is longer.
std::string cell(const std::string& text, size_t width);

inline std::string number(double v, int digits = 4) {
    return std::isnan(v) ? "n/a" : fmt::format("{:.{}f}", v, digits);
}
// Empty where the interval is not known.
inline std::string range(double low, double high, int digits = 4) {
    return std::isnan(low) ? "" : fmt::format("[{}, {}]", number(low, digits), number(high, digits));
}

// A name and the rest of its line. A name that is longer than kName - 1 has a line of its own, and a rest that does not
// fit is broken at spaces.
std::string row(const std::string& name, const std::string& rest);
inline std::string row(const Measure& m, const std::string& rest) {
    if (std::isnan(m.value)) return row(m.key, fmt::format("n/a ({})", m.reason));
    return row(m.key, fmt::format("{:<8}{}", number(m.value), rest));
}

// Each line is printable and indented; lines are broken at spaces, and within a word that is longer than a line.
std::string wrapped(const std::string& text, size_t indent = 2);
// The same; a text that fits keeps its spaces.
std::string aside(const std::string& text, size_t indent = 2);
// "- text", the lines after the first under its first word.
std::string item(const std::string& text);

// Which of many rows a table shows: all of `count` where they are no more than `most`; else the first half of them by
// `worst` (small is worse; NaN is never worst) and the rest by `size`. Rising indices.
std::vector<size_t> shown_rows(size_t count,
                               const std::vector<double>& worst,
                               const std::vector<double>& size,
                               size_t most = 12);
// "and 288 more groups, in the JSON"; empty where all are shown.
std::string more(size_t count, size_t shown, const char* what);

}  // namespace fp
