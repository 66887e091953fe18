// The options of a tool: from the command line, over the environment, over a configuration file, over the
// defaults. Each option is bound to a variable, whose value on entry is the default.
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
#include <vector>

#include "engine/run/identity.h"

namespace fp {

struct Range {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
};

class Options {
public:
    Options(std::string tool, std::string purpose);
    ~Options();
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

    // The title in --help of the options that follow.
    void heading(std::string_view title);

    // --name and --no-name.
    void add(std::string_view name, bool& value, std::string_view help);

    // `name` is the option's name and the word for its value in --help: "epochs N".
    // T: int, int64_t, uint64_t, double or std::string; std::optional of one of these; std::vector of int
    // or std::string. A list of strings is given by repeating the option, one of numbers with commas.
    template <class T>
    void add(std::string_view name, T& value, std::string_view help, Range range = {});

    // One of several words, which --help lists.
    template <class E>
    void choice(std::string_view name,
                E& value,
                std::initializer_list<std::pair<const char*, E>> words,
                std::string_view help) {
        std::vector<std::string> names;
        std::vector<E> meanings;
        for (const auto& [word, meaning] : words) {
            names.push_back(word);
            meanings.push_back(meaning);
        }
        const auto set = [&value, meanings](size_t i) { value = meanings[i]; };
        const auto get = [&value, meanings] {
            return size_t(std::find(meanings.begin(), meanings.end(), value) - meanings.begin());
        };
        add_choice(name, std::move(names), help, set, get);
    }

    // An argument without a name, in the order of the calls: "spec SPEC".
    void positional(std::string_view name, std::string& value, std::string_view help);

    void require(std::string_view name);
    // For what is no setting of the run (--out, --resume): resolved() leaves it out.
    void leave_out_of_config(std::string_view name);
    // For settings that change no bit of a run's result, or are in its identity otherwise: identity() leaves them out.
    void keeps_bits(std::string_view name);

    // Reads everything. Mistakes are Errors: Exit::usage on the command line, in the environment and for an
    // unknown key of the file; Exit::data for the rest of the file. Answers false where --help or --version
    // was asked for and printed.
    bool parse(int argc, const char* const* argv);

    bool given(std::string_view name) const;  // anywhere but as a default
    bool json() const;
    bool quiet() const;
    const std::string& tool() const;
    std::string command_line() const;  // quoted for a shell
    std::string resolved() const;      // every setting and its value as TOML, as --config takes it
    std::vector<Setting> identity()
        const;                 // the settings that decide the bits of a run: "--lr", "0.05"
    std::string help() const;  // within 80 columns

private:
    void add_choice(std::string_view name,
                    std::vector<std::string> words,
                    std::string_view help,
                    std::function<void(size_t)> set,
                    std::function<size_t()> get);

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
