// Lines of the text reports, at most 80 columns.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "engine/fairness/intervals.h"

namespace fp {

// A line is a name, a value of 8 and what else fits into 80 columns.
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

inline std::string number(double v) { return std::isnan(v) ? "n/a" : fmt::format("{:.4f}", v); }
inline std::string range(double low, double high) {
    return std::isnan(low) ? "" : fmt::format("[{:.4f}, {:.4f}]", low, high);
}
inline std::string row(const std::string& name, const std::string& rest) {
    return fmt::format("{}{}\n", name_cell(name), rest);
}
inline std::string row(const Measure& m, const std::string& rest) {
    if (std::isnan(m.value)) return row(m.key, fmt::format("n/a ({})", m.reason));
    return row(m.key, fmt::format("{:<8}{}", number(m.value), rest));
}
inline std::string aside(const std::string& text) { return fmt::format("  {}\n", text); }

// Indented by two, broken at spaces before column 80.
inline std::string wrapped(const std::string& text) {
    std::string out, line;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find(' ', at), text.size());
        if (!line.empty() && line.size() + end - at + 3 > 80) {
            out += aside(line);
            line.clear();
        }
        line += fmt::format("{}{}", line.empty() ? "" : " ", text.substr(at, end - at));
        at = end + 1;
    }
    return out + aside(line);
}

}  // namespace fp
