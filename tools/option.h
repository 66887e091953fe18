// One option as Options keeps it. A value is a list of words here: the command line, the environment and configuration
// files give words, and --help and config.toml show them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "tools/toml.h"

namespace fp {

struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
};

// What an option can be bound to. A list of strings is given by repeating the option, one of numbers with commas.
using OptionTarget = std::variant<bool*,
                                  int*,
                                  int64_t*,
                                  uint64_t*,
                                  double*,
                                  std::string*,
                                  std::optional<int>*,
                                  std::optional<uint64_t>*,
                                  std::vector<int>*,
                                  std::vector<std::string>*>;

// `natural`: a whole number up to 2^64 - 1; above 2^63 - 1, which TOML lacks, it stands in quotes.
// `word` takes any single value of a configuration file: `amount = 5` and `amount = "10%"` are both text.
enum class Takes { flag, whole_number, natural, number, word };

struct Option {
    std::string name, metavar, help, heading;
    std::vector<std::string> words = {};  // of a choice
    Takes takes = Takes::word;
    bool list = false, positional = false, required = false, in_config = true, given = false;
    bool typed = false;                                             // given on the command line
    bool keeps_bits = false;                                        // Options::keeps_bits()
    bool in_file = true;                                            // a file may give it
    bool output_file = false;                                       // Options::output_file()
    std::function<void(const std::vector<std::string>&)> set = {};  // throws Error with what is wrong
    std::function<std::vector<std::string>()> get = {};             // empty: no value

    std::string title() const { return positional ? metavar : "--" + name; }
};

// Makes the option read into and show the variable.
void bind_variable(Option&, const OptionTarget&, Range);

// Exit::data where an entry of a file, which stands at `place`, has no value of the option's kind.
void check_kind(const Option&, const TomlEntry&, const std::string& place);
std::string toml_value(const Option&);  // "" where there is no value

// A tool as its declarations describe it, for help, manual pages and completion.
struct ToolDescription {
    std::string tool, purpose;
    const std::deque<Option>& options;
    struct Topic {
        std::string word, title, text;  // `text` as it is printed: --help WORD
    };
    std::vector<Topic> topics = {};
};

std::string help_text(const ToolDescription&);    // within 80 columns
std::string manual_page(const ToolDescription&);  // in roff's man macros, section 1
// A completion script; Exit::usage for a shell other than bash, fish and zsh.
std::string completion_script(const ToolDescription&, const std::string& shell);

// The names of the options of all tools (cmake/option_names.cmake).
const std::vector<std::string>& option_names();

}  // namespace fp
