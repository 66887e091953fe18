#include "engine/report/text_rows.h"

#include <numeric>
#include <set>
#include <sstream>

#include "engine/io/files.h"

namespace fp {

constexpr size_t kLongestLine = 4096;  // bytes of a word or a line that is shown

static bool starts_character(char c) { return (uint8_t(c) & 0xC0) != 0x80; }

size_t columns_of(const std::string& text) { return size_t(std::ranges::count_if(text, starts_character)); }

// The first characters of a text, `width` of them or fewer.
static std::string first_columns(const std::string& text, size_t width) {
    size_t end = 0, columns = 0;
    for (; end < text.size(); ++end)
        if (starts_character(text[end]) && ++columns > width) break;
    return text.substr(0, end);
}

std::string cell(const std::string& text, size_t width) {
    std::string out = printable(text);
    if (columns_of(out) > width - 1) out = first_columns(out, width - 2) + "~";
    return out + std::string(width - columns_of(out), ' ');
}

std::string row(const std::string& name, const std::string& rest) {
    const std::string named = printable(name);
    if (rest.empty()) return aside(named, 0);
    if (columns_of(named) > kName - 1) return aside(named, 0) + aside(rest, kName);
    return named + std::string(kName - columns_of(named), ' ') + aside(rest, kName).substr(kName);
}

std::string wrapped(const std::string& text, size_t indent) {
    std::string out;
    size_t column = kLine + 1;  // the next word starts a line
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        word = printable(word, kLongestLine);
        const bool fits = column + 1 + columns_of(word) <= kLine;
        if (!out.empty()) out += fits ? " " : "\n";
        if (fits) ++column;
        if (!fits) out += std::string(column = indent, ' ');
        while (column + columns_of(word) > kLine) {
            const std::string part = first_columns(word, kLine - indent);
            out += part + "\n" + std::string(indent, ' ');
            word.erase(0, part.size());
        }
        out += word;
        column += columns_of(word);
    }
    return out + "\n";
}

std::string aside(const std::string& text, size_t indent) {
    const std::string line = printable(text.substr(0, text.find_last_not_of(' ') + 1), kLongestLine);
    if (indent + columns_of(line) > kLine) return wrapped(line, indent);
    return std::string(indent, ' ') + line + "\n";
}

std::string item(const std::string& text) { return "  - " + wrapped(text, 4).substr(4); }

std::vector<size_t> shown_rows(size_t count,
                               const std::vector<double>& worst,
                               const std::vector<double>& size,
                               size_t most) {
    std::vector<size_t> order(count);
    std::iota(order.begin(), order.end(), size_t(0));
    if (count <= most) return order;
    std::set<size_t> taken;
    const auto badness = [&](size_t i) { return std::isnan(worst[i]) ? HUGE_VAL : worst[i]; };
    std::ranges::stable_sort(order, {}, badness);
    for (const size_t i : order)
        if (taken.size() < most / 2 && !std::isnan(worst[i])) taken.insert(i);
    std::ranges::stable_sort(order, std::greater(), [&](size_t i) { return size[i]; });
    for (const size_t i : order)
        if (taken.size() < most) taken.insert(i);
    return {taken.begin(), taken.end()};
}

std::string more(size_t count, size_t shown, const char* what) {
    return count == shown
               ? ""
               : fmt::format("and {}, in the JSON\n", counted(int64_t(count - shown), fmt::format("more {}", what)));
}

}  // namespace fp
