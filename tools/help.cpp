#include "tools/help.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sstream>

#include "engine/io/files.h"

namespace fp {
namespace {

constexpr size_t kColumns = 80, kTextColumn = 28;

// Appends `text` from column `start` on, broken between words; the first line continues the last one of `out`.
void append_wrapped(std::string& out, const std::string& text, size_t start) {
    size_t column = start;
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        const auto break_line = [&] {
            out += "\n" + std::string(start, ' ');
            column = start;
        };
        if (column > start && column + 1 + word.size() > kColumns) break_line();
        if (column > start) out += ' ', ++column;
        for (; column + word.size() > kColumns; word.erase(0, kColumns - start)) {
            out += word.substr(0, kColumns - start);
            break_line();
        }
        out += word;
        column += word.size();
    }
    out += "\n";
}

std::string left_of(const Option& option) {
    if (option.positional) return "  " + option.metavar;
    if (option.takes == Takes::flag && option.in_config) return "  --[no-]" + option.name;
    return "  --" + option.name + (option.metavar.empty() ? "" : " " + option.metavar);
}

std::string right_of(const Option& option) {
    if (option.required) return option.help + " (required)";
    std::string value = printable(fmt::format("{}", fmt::join(option.get(), ",")));
    if (option.takes == Takes::flag) value = value == "true" ? "on" : "";
    return option.help + (value.empty() ? "" : " (default: " + value + ")");
}

void append_row(std::string& out, std::string left, const std::string& right) {
    if (left.size() + 2 > kTextColumn) {
        out += left + "\n";
        left.clear();
    }
    left.resize(kTextColumn, ' ');
    out += left;
    append_wrapped(out, right, kTextColumn);
}

}  // namespace

std::string help_text(std::string_view tool, std::string_view purpose, const std::deque<Option>& options) {
    std::string out = "Usage: " + std::string(tool);
    for (const Option& option : options)
        if (option.positional) out += option.required ? " " + option.metavar : " [" + option.metavar + "]";
    out += " [options]\n";
    append_wrapped(out, std::string(purpose), 0);

    std::string_view heading;
    for (const Option& option : options) {
        if (option.heading != heading) {
            heading = option.heading;
            out += "\n" + std::string(heading) + ":\n";
        }
        append_row(out, left_of(option), right_of(option));
    }
    out += "\n";
    append_wrapped(out,
                   "The command line wins over the environment (FAIRPRUNE_BATCH_SIZE for "
                   "--batch-size), that over --config, that over the defaults.",
                   0);
    return out;
}

}  // namespace fp
