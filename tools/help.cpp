#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/io/files.h"
#include "engine/report/text_rows.h"
#include "tools/option.h"

namespace fp {
namespace {

constexpr size_t kTextColumn = 28;

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

// The first line of the text stands beside the option's name where that leaves two columns between them.
std::string row_of(const Option& option) {
    const std::string left = left_of(option), right = wrapped(right_of(option), kTextColumn);
    if (left.size() + 2 > kTextColumn) return left + "\n" + right;
    return left + right.substr(left.size());
}

}  // namespace

std::string help_text(std::string_view tool, std::string_view purpose, const std::deque<Option>& options) {
    std::string out = "Usage: " + std::string(tool);
    for (const Option& option : options)
        if (option.positional) out += option.required ? " " + option.metavar : " [" + option.metavar + "]";
    out += " [options]\n" + wrapped(std::string(purpose), 0);

    std::string_view heading;
    for (const Option& option : options) {
        if (option.heading != heading) out += "\n" + option.heading + ":\n";
        heading = option.heading;
        out += row_of(option);
    }
    return out + "\n" +
           wrapped(
               "The command line wins over the environment (FAIRPRUNE_BATCH_SIZE for --batch-size), the environment "
               "over --config, and --config over the defaults.",
               0);
}

}  // namespace fp
