#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/io/files.h"
#include "engine/report/text_rows.h"
#include "engine/run/version.h"
#include "tools/option.h"

namespace fp {
namespace {

constexpr size_t kTextColumn = 28;
constexpr const char* kPrecedence =
    "The command line wins over the environment (FAIRPRUNE_BATCH_SIZE for --batch-size), the environment "
    "over --config, and --config over the defaults. FAIRPRUNE_STATE=DIR or off: where reads of test splits are "
    "recorded.";

std::string left_of(const Option& option) {
    if (option.positional) return option.metavar;
    if (option.takes == Takes::flag && option.in_config) return "--[no-]" + option.name;
    return "--" + option.name + (option.metavar.empty() ? "" : " " + option.metavar);
}

std::string right_of(const Option& option) {
    if (option.required) return option.help + " (required)";
    std::string value = printable(fmt::format("{}", fmt::join(option.get(), ",")));
    if (option.takes == Takes::flag) value = value == "true" ? "on" : "";
    return option.help + (value.empty() ? "" : " (default: " + value + ")");
}

// The first line of the text stands beside the option's name where that leaves two columns between them.
std::string row_of(const Option& option) {
    const std::string left = "  " + left_of(option), right = wrapped(right_of(option), kTextColumn);
    if (left.size() + 2 > kTextColumn) return left + "\n" + right;
    return left + right.substr(left.size());
}

std::string usage_of(const ToolDescription& d) {
    std::string out;
    for (const Option& option : d.options) {
        const std::string word = option.metavar + (option.list ? "..." : "");
        if (option.positional) out += option.required ? " " + word : " [" + word + "]";
    }
    return out + " [options]";
}

// Text for roff: a backslash starts its commands, a point or quote at the start of a line its requests, and a bare dash
// may be set as a hyphen, which cannot be copied into a shell.
std::string roff(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool starts_line = out.empty() || out.back() == '\n';
        if (starts_line && (c == '.' || c == '\'')) out += "\\&";
        out += c == '\\' ? "\\e" : c == '-' ? "\\-" : std::string(1, c);
    }
    return out;
}

}  // namespace

std::string help_text(const ToolDescription& d) {
    std::string out = "Usage: " + d.tool + usage_of(d) + "\n" + wrapped(d.purpose, 0);
    std::string_view heading;
    for (const Option& option : d.options) {
        if (option.heading != heading) out += "\n" + option.heading + ":\n";
        heading = option.heading;
        out += row_of(option);
    }
    return out + "\n" + wrapped(kPrecedence, 0);
}

std::string manual_page(const ToolDescription& d) {
    std::string out =
        fmt::format(".TH {0} 1 \"\" \"fairprune {1}\"\n.SH NAME\n{0} \\- {2}\n.SH SYNOPSIS\n.B {0}\n{3}\n",
                    roff(d.tool), roff(version().number), roff(d.purpose), roff(usage_of(d).substr(1)));
    std::string_view heading;
    for (const Option& option : d.options) {
        if (option.heading != heading) out += fmt::format(".SH \"{}\"\n", roff(option.heading));
        heading = option.heading;
        out += fmt::format(".TP\n.B {}\n{}\n", roff(left_of(option)), roff(right_of(option)));
    }
    for (const auto& topic : d.topics)
        out += fmt::format(".SH \"{}\"\n.nf\n{}.fi\n", roff(topic.title), roff(topic.text));
    return out +
           fmt::format(".SH ENVIRONMENT\n{}\n.SH \"EXIT STATUS\"\n{}\n", roff(kPrecedence),
                       "0 done, 1 an internal error, 2 usage, 3 data or configuration, 4 device, 5 not finite, 6 model "
                       "or checkpoint file, 130 and 143 after SIGINT and SIGTERM.");
}

}  // namespace fp
