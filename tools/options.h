// The options of a tool. Each is bound to a variable, whose value on entry is the default. Where an option is
// given in several places, the first of these counts:
//
//   --epochs 30          the command line
//   FAIRPRUNE_EPOCHS=30  the environment: the name in capitals, dashes as underscores
//   epochs = 30          --config FILE, one flat TOML table
//
// Every tool has --config, --json, --quiet, --version and --help.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/io/one_of.h"
#include "engine/run/identity.h"

namespace fp {

struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
};

// What an option can be bound to. A list of strings is given by repeating the option, one of numbers with
// commas.
using OptionTarget = std::variant<bool*,
                                  int*,
                                  int64_t*,
                                  uint64_t*,
                                  double*,
                                  std::string*,
                                  std::optional<int>*,
                                  std::vector<int>*,
                                  std::vector<std::string>*>;

class Options {
public:
    Options(std::string tool, std::string purpose);
    ~Options();
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

    // The title in --help of the options that follow.
    void heading(std::string_view title);

    // `name` is the option's name and the word for its value in --help: "epochs N". A bool is a flag:
    // --name and --no-name.
    template <class T>
    void add(std::string_view name, T& value, std::string_view help, Range range = {}) {
        add_target(name, OptionTarget(&value), help, range);
    }

    // One of several constants (engine/io/one_of.h); --help shows what each is.
    template <class T>
    void add(std::string_view name, OneOf<T>& value, std::string_view help) {
        std::vector<std::string> words, says;
        for (const T* one : T::all()) {
            words.emplace_back(one->name);
            says.emplace_back(one->says);
        }
        add_choice(
            name, {.words = std::move(words), .says = std::move(says)}, help,
            [&value](size_t i) { value = *T::all()[i]; }, [&value] { return std::string(value); });
    }

    // One of several words, which --help lists.
    template <class E>
    void choice(std::string_view name,
                E& value,
                std::initializer_list<std::pair<const char*, E>> words,
                std::string_view help) {
        const std::vector<std::pair<std::string, E>> known(words.begin(), words.end());
        Words names;
        for (const auto& [word, meaning] : known) names.words.push_back(word);
        add_choice(
            name, std::move(names), help, [&value, known](size_t i) { value = known[i].second; },
            [&value, known] {
                return std::find_if(known.begin(), known.end(), [&](const auto& pair) { return pair.second == value; })
                    ->first;
            });
    }

    // An argument without a name, in the order of the calls: "spec SPEC".
    void positional(std::string_view name, std::string& value, std::string_view help);

    void require(std::string_view name);
    // For what is no setting of the run (--out, --resume): resolved() leaves it out.
    void leave_out_of_config(std::string_view name);
    // For settings that change no bit of a run's result, or are in its identity otherwise: identity() leaves them out.
    void keeps_bits(std::string_view name);

    // Reads everything. Mistakes are Errors: Exit::usage on the command line, in the environment and for an
    // unknown key of the file; Exit::data for the rest of the file. Returns false after printing --help or
    // --version.
    bool parse(int argc, const char* const* argv);

    bool given(std::string_view name) const;  // anywhere but as a default
    bool json() const;
    bool quiet() const;
    const std::string& tool() const;
    std::string command_line() const;       // quoted for a shell
    std::string resolved() const;           // every setting and its value as TOML, as --config takes it
    std::vector<Setting> identity() const;  // the settings that decide the bits of a run: "--lr", "0.05"
    std::string help() const;               // within 80 columns

private:
    struct Words {
        std::vector<std::string> words, says = {};  // `says` may be empty: nothing said of each
    };
    void add_target(std::string_view name, OptionTarget, std::string_view help, Range);
    void add_choice(std::string_view name,
                    Words words,
                    std::string_view help,
                    std::function<void(size_t)> set,
                    std::function<std::string()> get);

    struct State;
    std::unique_ptr<State> state_;
};

// A whole main: declares the options, reads them, runs, and turns what is thrown into one line on stderr,
// `fp_train: FILE: what is wrong`, and an exit code.
int run_tool(int argc,
             const char* const* argv,
             std::string_view purpose,
             const std::function<void(Options&)>& declare,
             const std::function<int(const Options&)>& run);

// The candidate that the fewest insertions, deletions, replacements and swaps of neighbours turn into `word`.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace fp
