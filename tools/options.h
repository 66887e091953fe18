// The options of a tool. Each is bound to a variable, whose value at the declaration is the default. Where an option is
// given in several places, the first of these counts:
//
//   --epochs 30          the command line
//   FAIRPRUNE_EPOCHS=30  the environment: the name in capitals, dashes as underscores; it may be of another tool's option
//   epochs = 30          --config FILE, one flat TOML table
//
// Every tool has --config, --json, --quiet, --version and --help.
#pragma once

#include <initializer_list>
#include <set>
#include <utility>

#include "engine/io/nearest.h"
#include "engine/io/one_of.h"
#include "engine/run/identity.h"
#include "tools/launch.h"
#include "tools/option.h"

namespace fp {

class Options {
public:
    Options(std::string tool, std::string purpose, Launch* launch = nullptr)
        : tool_(std::move(tool)), purpose_(std::move(purpose)), launch_(launch) {}
    Options(const Options&) = delete;
    Options& operator=(const Options&) = delete;

    // The title in --help of the options that follow.
    void heading(std::string_view title) { heading_ = title; }

    // `name` is the option's name and the word for its value in --help: "epochs N". A bool is a flag:
    // --name and --no-name.
    template <class T>
    void add(std::string_view name, T& value, std::string_view help, Range range = {}) {
        bind_variable(declare(name, help), &value, range);
    }

    // One of several constants (engine/io/one_of.h); --help shows what each is.
    template <class T>
    void add(std::string_view name, OneOf<T>& value, std::string_view help) {
        std::vector<Choice> choices;
        for (const T* one : T::all())
            choices.push_back({std::string(one->name), std::string(one->says), [&value, one] { value = *one; },
                               [&value, one] { return value == *one; }});
        add_choices(name, std::move(choices), help);
    }

    // One of several words, which --help lists.
    template <class E>
    void choice(std::string_view name,
                E& value,
                std::initializer_list<std::pair<const char*, E>> words,
                std::string_view help) {
        std::vector<Choice> choices;
        for (const auto& [word, meaning] : words)
            choices.push_back({word, "", [&value, meaning = meaning] { value = meaning; },
                               [&value, meaning = meaning] { return value == meaning; }});
        add_choices(name, std::move(choices), help);
    }

    // An argument without a name, in the order of the calls: "spec SPEC". A list takes all that are left.
    template <class T>
    void positional(std::string_view name, T& value, std::string_view help) {
        add(name, value, help);
        options_.back().positional = true;
        options_.back().in_config = false;
    }

    // What `--help WORD` prints, below its title; the manual page has it too.
    void topic(std::string word, std::string title, std::string text) {
        topics_.push_back({std::move(word), std::move(title), std::move(text)});
    }

    // Words of `list`, "a, b or c:D", that completion offers for the value, which may be another: those without a blank or
    // a colon.
    void offer(std::string_view name, std::string_view list);

    void require(std::string_view name) { at(name).required = true; }
    // A file that the tool writes at its end: parse() refuses one that cannot be created.
    void output_file(std::string_view name) { at(name).output_file = true; }
    // Options that change nothing unless `holds` is true, once everything is read. Where the command line gives one
    // another value than its default, parse() refuses it: "--margin: has no effect without --compare". `unless` is what
    // follows "no effect". A file or the environment may give it idle: config.toml holds every setting, and the
    // environment is for several tools.
    void needs(std::initializer_list<std::string_view> names, std::string unless, std::function<bool()> holds);
    // For an option that is no setting of the run (--out, --resume): resolved() leaves it out.
    void leave_out_of_config(std::string_view name) { at(name).in_config = false; }
    // For a setting that changes no bit of a run's result, or that identity_of() covers: identity() leaves it out.
    void keeps_bits(std::string_view name) { at(name).keeps_bits = true; }

    // Ends the message of an Error whose text ends so, as the library has it, with words of the command line.
    void explain(std::string_view ending, std::string_view words) const {
        if (launch_) launch_->explain(ending, words);
    }

    // Reads everything. Mistakes are Errors: Exit::usage on the command line, in the environment and for an
    // unknown key of the file; Exit::data for the rest of the file. Returns false after printing --help, --help TOPIC,
    // --version, --help-man (the manual page) or --completion SHELL (a script for bash, fish or zsh).
    bool parse(int argc, const char* const* argv);

    // The ranks that the tool runs as. It calls ready() once its options are read and its inputs are opened, before it
    // does anything that the ranks do together (Launch::ready).
    const Comm& ranks() const { return world(); }
    void ready(const Kernels* used = nullptr) const {
        if (launch_) launch_->ready(used);
    }
    ComputeOptions of_rank(const ComputeOptions& asked) const { return launch_ ? launch_->of_rank(asked) : asked; }
    std::vector<RankNote> rank_notes() const { return launch_ ? launch_->notes() : std::vector<RankNote>(); }

    bool json() const { return json_; }
    bool quiet() const { return quiet_; }
    const std::string& tool() const { return tool_; }
    const std::string& config_file() const { return config_; }  // of --config; empty: none
    void say(const std::string& line) const;                    // once, on stderr, after the tool's name; unless quiet
    std::string command_line() const;                           // quoted for a shell
    std::string resolved() const;           // every setting and its value as TOML, as --config takes it
    std::vector<Setting> identity() const;  // the settings that decide the bits of a run: "--lr", "0.05"
    std::string help() const { return help_text(description()); }

private:
    struct Choice {
        std::string word, says;
        std::function<void()> take;
        std::function<bool()> is_taken;
    };
    void add_choices(std::string_view name, std::vector<Choice>, std::string_view help);

    Option& declare(std::string_view name, std::string_view help);
    Option* find(std::string_view name);
    Option& at(std::string_view name);
    struct Need {
        const Option& option;
        std::vector<std::string> by_default;
        std::string unless;
        std::function<bool()> holds;
    };

    std::vector<std::string> names() const;
    [[noreturn]] void refuse_name(const std::string& name) const;
    void read_command_line();
    void read_environment();
    void read_file();
    void refuse_idle() const;
    ToolDescription description() const { return {tool_, purpose_, options_, topics_}; }
    bool print_description() const;

    std::string tool_, purpose_;
    Launch* launch_;
    std::string heading_ = "Options", config_;
    std::deque<Option> options_;
    std::vector<std::string> arguments_;
    std::vector<Need> needs_;
    std::vector<ToolDescription::Topic> topics_;
    bool json_ = false, quiet_ = false, version_ = false, help_ = false;
    mutable std::set<std::string> said_;
};

// A whole main: declares the options, reads them, runs, and turns what is thrown into one line on stderr,
// `fp_train: FILE: what is wrong`, and an exit code. Under a launcher it joins the other ranks; a fault of another rank
// than the first has its place in front: `rank 2 of 4 on node7: fp_train: ...`.
int run_tool(int argc,
             const char* const* argv,
             std::string_view purpose,
             const std::function<void(Options&)>& declare,
             const std::function<int(const Options&)>& run);

// What the first rank alone does while the others wait; its exit code, on every rank. For a whole tool whose work is not
// shared, and for the end of the others': judging, reports, what is printed.
int on_first(const Options&, const std::function<int()>& work);

}  // namespace fp
