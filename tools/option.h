// One option as Options keeps it. Everywhere below a value is a list of words: the command line, the
// environment and a configuration file give words, and --help and config.toml show them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tools/options.h"

namespace fp {

// `word` takes any single value of a configuration file: `amount = 5` and `amount = "10%"` are both text.
// `natural`: a whole number up to 2^64 - 1; above 2^63 - 1, which TOML lacks, it stands in quotes.
enum class Takes { flag, whole_number, natural, number, word };

struct Option {
    std::string name, metavar = {}, help, heading;
    Takes takes = Takes::word;
    bool list = false, positional = false, required = false, in_config = true, given = false;
    bool keeps_bits = false;                                        // no part of a run's identity
    std::function<void(const std::vector<std::string>&)> set = {};  // throws Error with what is wrong
    std::function<std::vector<std::string>()> get = {};             // empty: no value

    std::string title() const { return positional ? metavar : "--" + name; }
};

// Makes the option read into and show the variable.
void bind_variable(Option&, const OptionTarget&, Range);

std::string toml_value(const Option&);  // "" where there is no value

}  // namespace fp
