#include "tools/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <deque>
#include <iostream>

#include "engine/io/files.h"
#include "engine/run/version.h"
#include "kernels/kernels.h"
#include "tools/help.h"
#include "tools/option.h"
#include "tools/toml.h"

namespace fp {
namespace {

constexpr uint64_t kConfigBytes = 1 << 20;  // to read; parse_toml takes fewer

[[noreturn]] void refuse(const std::string& what) { fail_with(Exit::usage, what); }

std::string environment_name(const std::string& name) {
    std::string out = "FAIRPRUNE_" + name;
    for (char& c : out) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? char(c - 'a' + 'A') : c;
    return out;
}

std::string shell_quoted(const std::string& word) {
    const auto plain = [](unsigned char c) { return std::isalnum(c) || std::strchr("_-+=:,./%@", c); };
    if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
    std::string out = "'";
    for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
}

// Puts the place where the words came from in front of the message of an Error.
void set_from(Option& option, const std::vector<std::string>& words, const std::string& place, Exit exit) {
    try {
        option.set(words);
    } catch (const Error& error) {
        fail_with(exit, place, ": ", error.what());
    }
    option.given = true;
}

// What a value of the file must be; empty: right as it is.
std::string_view wanted_in_file(Takes takes, TomlKind kind) {
    const bool whole = kind == TomlKind::integer, text = kind == TomlKind::text;
    switch (takes) {
        case Takes::flag:
            return kind == TomlKind::boolean ? "" : "true or false";
        case Takes::number:
            return whole || kind == TomlKind::number ? "" : "a number";
        case Takes::word:
            return kind == TomlKind::boolean ? "text, in quotes" : "";
        case Takes::whole_number:
            return whole ? "" : "a whole number";
        case Takes::natural:
            return whole || text ? "" : "a whole number";
    }
    fail("an option of no kind");
}

void check_kind(const Option& option, const TomlEntry& entry, const std::string& place) {
    FP_REQUIRE(option.list || !entry.is_array, Exit::data, place, ": takes one value, not an array");
    const std::string_view wanted = wanted_in_file(option.takes, entry.kind);
    FP_REQUIRE(entry.values.empty() || wanted.empty(), Exit::data, place, ": must be ", wanted);
}

}  // namespace

struct Options::State {
    std::string tool, purpose, heading = "Options";
    std::deque<Option> options;
    bool json = false, quiet = false, version = false, help = false;
    std::string config;
    std::vector<std::string> arguments;

    Option& add(std::string_view name, std::string_view help_text) {
        const size_t space = std::min(name.find(' '), name.size());
        FP_CHECK(!find(name.substr(0, space)), "option --", name, " is declared twice");
        options.push_back(
            {.name = std::string(name.substr(0, space)), .help = std::string(help_text), .heading = heading});
        if (space < name.size()) options.back().metavar = name.substr(space + 1);
        return options.back();
    }

    Option* find(std::string_view name) {
        const auto found =
            std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == name; });
        return found == options.end() ? nullptr : &*found;
    }
    Option& at(std::string_view name) {
        Option* option = find(name);
        FP_CHECK(option != nullptr, "no option --", name);
        return *option;
    }

    std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const Option& o : options)
            if (!o.positional) out.push_back(o.name);
        return out;
    }

    void refuse_leftovers(const std::vector<std::string>&) const;
    void read_command_line();
    void read_environment();
    void read_file();
    void check_required() const;
};

void Options::State::refuse_leftovers(const std::vector<std::string>& leftovers) const {
    std::vector<std::string> known = names();
    for (const Option& o : options)
        if (o.takes == Takes::flag) known.push_back("no-" + o.name);
    for (const std::string& word : leftovers)
        if (word.starts_with("--") && word != "--")
            refuse(printable(word.substr(0, word.find('='))) + ": no such option; the nearest is --" +
                   nearest(word.substr(2, word.find('=') - 2), known));
    if (!leftovers.empty()) refuse(printable(leftovers[0]) + ": is not expected");
}

// CLI11 splits the words. Its ranges, environment variables, configuration files and help are not used: a file wins
// over the environment there, messages name neither the variable nor the line, and long help is not wrapped.
void Options::State::read_command_line() {
    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    std::vector<CLI::Option*> parsed;
    for (const Option& o : options)
        parsed.push_back(
            o.takes == Takes::flag
                ? app.add_flag("--" + o.name + ",!--no-" + o.name)
                : app.add_option(o.positional ? o.name : "--" + o.name)->take_all()->allow_extra_args(false));
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::Error& error) {
        refuse(printable(error.what(), 400));
    }
    refuse_leftovers(app.remaining());
    for (size_t i = 0; i < options.size(); ++i) {
        Option& o = options[i];
        const std::vector<std::string>& words = parsed[i]->results();
        if (words.empty()) continue;
        if (words.size() > 1 && !o.list) refuse(fmt::format("{}: given {} times", o.title(), words.size()));
        for (const std::string& word : words)
            if (word.starts_with("--")) refuse(o.title() + ": needs a value, but " + printable(word) + " follows");
        set_from(o, words, o.title(), Exit::usage);
    }
}

void Options::State::read_environment() {
    for (Option& o : options) {
        const std::string name = environment_name(o.name);
        const char* word = std::getenv(name.c_str());
        if (word && !o.given && !o.positional) set_from(o, {word}, name, Exit::usage);
    }
}

void Options::State::read_file() {
    if (config.empty()) return;
    const std::string file = printable(config, 4096);
    for (const TomlEntry& entry : parse_toml(fp::read_file(config, kConfigBytes), file)) {
        const std::string place = fmt::format("{}:{}: {}", file, entry.line, printable(entry.key));
        Option* option = find(entry.key);
        if (!option || option->positional)
            refuse(place + ": no such key; the nearest is " + nearest(entry.key, names()));
        FP_REQUIRE(option->name != "config", Exit::data, place, ": a configuration cannot name another one");
        check_kind(*option, entry, place);
        if (!option->given) set_from(*option, entry.values, place, Exit::data);
    }
}

void Options::State::check_required() const {
    for (const Option& o : options)
        if (o.required && !o.given) refuse(o.title() + ": is required (" + tool + " --help lists all options)");
}

Options::Options(std::string tool, std::string purpose) : state_(std::make_unique<State>()) {
    state_->tool = std::move(tool);
    state_->purpose = std::move(purpose);
}
Options::~Options() = default;

void Options::heading(std::string_view title) { state_->heading = title; }

void Options::add_target(std::string_view name, OptionTarget target, std::string_view help, Range range) {
    bind_variable(state_->add(name, help), target, range);
}

void Options::add_choice(std::string_view name,
                         Words known,
                         std::string_view help,
                         std::function<void(size_t)> set,
                         std::function<std::string()> get) {
    const std::vector<std::string>& words = known.words;
    Option& option = state_->add(name, help);
    for (size_t i = 0; i < words.size(); ++i) {
        option.help += (i == 0 ? ": " : ", ") + words[i];
        if (i < known.says.size() && !known.says[i].empty()) option.help += " (" + known.says[i] + ")";
    }
    option.set = [words, set](const std::vector<std::string>& given) {
        const auto found = std::find(words.begin(), words.end(), given[0]);
        FP_REQUIRE(found != words.end(), Exit::usage, "`", printable(given[0]), "` is not one of ",
                   fmt::format("{}", fmt::join(words, ", ")));
        set(size_t(found - words.begin()));
    };
    option.get = [get] { return std::vector{get()}; };
}

void Options::positional(std::string_view name, std::string& value, std::string_view help) {
    add(name, value, help);
    state_->options.back().positional = true;
    state_->options.back().in_config = false;
}

void Options::require(std::string_view name) { state_->at(name).required = true; }
void Options::leave_out_of_config(std::string_view name) { state_->at(name).in_config = false; }
void Options::keeps_bits(std::string_view name) { state_->at(name).keeps_bits = true; }

bool Options::parse(int argc, const char* const* argv) {
    State& s = *state_;
    heading("All tools");
    add("config FILE", s.config, "settings from a TOML file, one `name = value` a line");
    add("json", s.json, "one JSON document on stdout, all else on stderr");
    add("quiet", s.quiet, "no progress");
    add("version", s.version, "print the version and stop");
    add("help", s.help, "print this and stop");
    for (const char* name : {"config", "json", "quiet", "version", "help"}) leave_out_of_config(name);

    for (int i = 1; i < argc; ++i) s.arguments.push_back(std::string(argv[i]) == "-h" ? "--help" : argv[i]);
    // The defaults are shown as they were declared, so --help comes before anything is read.
    if (std::find(s.arguments.begin(), s.arguments.end(), "--help") != s.arguments.end()) {
        std::cout << help();
        return false;
    }
    s.read_command_line();
    if (s.version) {
        const std::string here = gpu();
        std::cout << version_line(s.tool) << (here.empty() ? "" : ", ") << here << "\n";
        return false;
    }
    s.read_environment();
    s.read_file();
    s.check_required();
    return true;
}

bool Options::given(std::string_view name) const { return state_->at(name).given; }
bool Options::json() const { return state_->json; }
bool Options::quiet() const { return state_->quiet; }
const std::string& Options::tool() const { return state_->tool; }

std::string Options::command_line() const {
    std::string out = shell_quoted(state_->tool);
    for (const std::string& argument : state_->arguments) out += " " + shell_quoted(argument);
    return out;
}

std::string Options::resolved() const {
    std::string out;
    std::string_view heading;
    for (const Option& o : state_->options) {
        const std::string value = o.in_config ? toml_value(o) : "";
        if (value.empty()) continue;
        if (o.heading != heading) {
            out += fmt::format("{}# {}\n", out.empty() ? "" : "\n", o.heading);
            heading = o.heading;
        }
        out += fmt::format("{} = {}\n", o.name, value);
    }
    return out;
}

std::vector<Setting> Options::identity() const {
    std::vector<Setting> out;
    for (const Option& o : state_->options)
        if (o.in_config && !o.keeps_bits) {
            const std::string value = toml_value(o);
            out.push_back({"--" + o.name, value.empty() ? "not set" : value});
        }
    return out;
}

std::string Options::help() const { return help_text(state_->tool, state_->purpose, state_->options); }

}  // namespace fp
