// Lines of the text reports, at most 80 columns.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <sstream>
#include <string>

#include "engine/fairness/intervals.h"

namespace fp {

constexpr size_t kLine = 80;

// A line is a name in kName columns, a value in 8, and the rest.
constexpr int kName = 18;

// Control characters are shown as ?, not obeyed; cut to kName - 1 characters of UTF-8 and padded to kName.
inline std::string name_cell(const std::string& name) {
    std::string out;
    int characters = 0;
    for (const char c : name) {
        const bool starts = (uint8_t(c) & 0xC0) != 0x80;
        if (starts && ++characters == kName) break;
        out += uint8_t(c) < 0x20 || c == 0x7F ? '?' : c;
    }
    return out + std::string(size_t(kName - std::min(characters, kName - 1)), ' ');
}

inline std::string number(double v, int digits = 4) {
    return std::isnan(v) ? "n/a" : fmt::format("{:.{}f}", v, digits);
}
// Empty where the interval is not known.
inline std::string range(double low, double high, int digits = 4) {
    return std::isnan(low) ? "" : fmt::format("[{}, {}]", number(low, digits), number(high, digits));
}
inline std::string row(const std::string& name, const std::string& rest) { return name_cell(name) + rest + "\n"; }
inline std::string row(const Measure& m, const std::string& rest) {
    if (std::isnan(m.value)) return row(m.key, fmt::format("n/a ({})", m.reason));
    return row(m.key, fmt::format("{:<8}{}", number(m.value), rest));
}
inline std::string aside(const std::string& text) { return fmt::format("  {}\n", text); }

// Each line is indented; lines are broken at spaces, and within a word that is longer than a line.
inline std::string wrapped(const std::string& text, size_t indent = 2) {
    std::string out;
    size_t column = kLine + 1;  // the next word starts a line
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        const bool fits = column + 1 + word.size() <= kLine;
        if (!out.empty()) out += fits ? " " : "\n";
        if (fits) ++column;
        if (!fits) out += std::string(column = indent, ' ');
        for (; column + word.size() > kLine; word.erase(0, kLine - indent))
            out += word.substr(0, kLine - indent) + "\n" + std::string(indent, ' ');
        out += word;
        column += word.size();
    }
    return out + "\n";
}

}  // namespace fp
