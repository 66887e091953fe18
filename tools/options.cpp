#include "tools/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>

#include "engine/io/files.h"
#include "engine/parallel/farm.h"
#include "engine/run/signals.h"
#include "engine/run/test_reads.h"
#include "engine/run/version.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"

namespace fp {
namespace {

constexpr uint64_t kConfigBytes = 1 << 20;  // to read; parse_toml takes fewer
constexpr const char* kPrefix = "FAIRPRUNE_";

[[noreturn]] void refuse(const std::string& what) { fail_with(Exit::usage, what); }

// Variables that are read elsewhere.
bool is_no_option(std::string_view name) {
    return name == kStateVariable || name == "FAIRPRUNE_COLLECTIVES" || name == "FAIRPRUNE_PORT" ||
           name == "FAIRPRUNE_TIMEOUT";
}

std::string environment_name(const std::string& name) {
    std::string out = kPrefix + name;
    for (char& c : out) c = c == '-' ? '_' : char(std::toupper(static_cast<unsigned char>(c)));
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

}  // namespace

Option& Options::declare(std::string_view name, std::string_view help) {
    const size_t space = std::min(name.find(' '), name.size());
    FP_CHECK(!find(name.substr(0, space)), "option --", name, " is declared twice");
    return options_.emplace_back(Option{.name = std::string(name.substr(0, space)),
                                        .metavar = std::string(name.substr(std::min(space + 1, name.size()))),
                                        .help = std::string(help),
                                        .heading = heading_});
}

Option* Options::find(std::string_view name) {
    const auto found = std::ranges::find(options_, name, &Option::name);
    return found == options_.end() ? nullptr : &*found;
}

Option& Options::at(std::string_view name) {
    Option* option = find(name);
    FP_CHECK(option != nullptr, "no option --", name);
    return *option;
}

std::vector<std::string> Options::names() const {
    std::vector<std::string> out;
    for (const Option& o : options_)
        if (!o.positional) out.push_back(o.name);
    return out;
}

void Options::refuse_name(const std::string& name) const {
    std::vector<std::string> known = names();
    for (const Option& o : options_) {
        if (o.takes != Takes::flag) continue;
        if (name == known.emplace_back("no-" + o.name)) refuse("--" + name + ": takes no value");
    }
    refuse("--" + printable(name) + ": no such option; the nearest is --" + nearest(name, known));
}

// --name VALUE or --name=VALUE; a flag stands alone as --name or --no-name, or with =true or =false; other words, and
// all that follow a lone --, are positional.
void Options::read_command_line() {
    std::map<const Option*, std::vector<std::string>> given;
    auto positional = options_.begin();
    bool named = true;
    for (size_t i = 0; i < arguments_.size(); ++i) {
        const std::string& argument = arguments_[i];
        if (named && argument == "--") {
            named = false;
            continue;
        }
        if (!named || !argument.starts_with("--")) {
            positional = std::ranges::find(positional, options_.end(), true, &Option::positional);
            if (positional == options_.end()) refuse(printable(argument) + ": is not expected");
            given[&*positional].push_back(argument);
            if (!positional->list) ++positional;
            continue;
        }
        const size_t equals = std::min(argument.find('='), argument.size());
        const std::string name = argument.substr(2, equals - 2);
        const bool alone = equals == argument.size();
        const Option* option = find(name);
        std::string value = alone ? "true" : argument.substr(equals + 1);
        if (!option && alone && name.starts_with("no-")) {
            option = find(name.substr(3));
            value = "false";
            if (option && option->takes != Takes::flag) option = nullptr;
        }
        if (!option || option->positional) refuse_name(name);
        if (option->takes != Takes::flag && alone) {
            if (i + 1 == arguments_.size()) refuse(option->title() + ": needs a value");
            value = arguments_[++i];
            if (value.starts_with("--"))
                refuse(option->title() + ": needs a value, but " + printable(value) + " follows");
        }
        given[option].push_back(value);
    }
    for (Option& o : options_) {
        const std::vector<std::string>& words = given[&o];
        if (words.size() > 1 && !o.list) refuse(fmt::format("{}: given {} times", o.title(), words.size()));
        if (!words.empty()) set_from(o, words, o.title(), Exit::usage);
        o.typed = !words.empty();
    }
}

void Options::read_environment() {
    std::vector<std::string> known;
    for (Option& o : options_) {
        if (o.positional) continue;
        const std::string& name = known.emplace_back(environment_name(o.name));
        const char* word = std::getenv(name.c_str());
        if (word && !o.given) set_from(o, {word}, name, Exit::usage);
    }
    // The environment may be for several tools.
    for (const std::string& name : option_names()) known.push_back(environment_name(name));
    for (char** variable = environ; *variable; ++variable) {
        const std::string name(*variable, std::strcspn(*variable, "="));
        if (name.starts_with(kPrefix) && !is_no_option(name) && std::ranges::find(known, name) == known.end())
            refuse(printable(name) + ": no tool has such an option; the nearest is " + nearest(name, known));
    }
}

void Options::read_file() {
    if (config_.empty()) return;
    const std::string file = printable(config_, 4096);
    for (const TomlEntry& entry : parse_toml(fp::read_file(config_, kConfigBytes), file)) {
        const std::string place = fmt::format("{}:{}: {}", file, entry.line, printable(entry.key));
        Option* option = find(entry.key);
        if (!option || option->positional || !option->in_file)
            refuse(place + ": no such key; the nearest is " + nearest(entry.key, names()));
        FP_REQUIRE(option->name != "config", Exit::data, place, ": a configuration cannot name another one");
        check_kind(*option, entry, place);
        if (!option->given) set_from(*option, entry.values, place, Exit::data);
    }
}

void Options::add_choices(std::string_view name, std::vector<Choice> choices, std::string_view help) {
    Option& option = declare(name, help);
    std::vector<std::string> words;
    for (const Choice& c : choices) {
        option.help += (words.empty() ? ": " : ", ") + c.word + (c.says.empty() ? "" : " (" + c.says + ")");
        words.push_back(c.word);
    }
    option.words = words;
    option.set = [choices, words](const std::vector<std::string>& given) {
        const auto found = std::ranges::find(choices, given[0], &Choice::word);
        FP_REQUIRE(found != choices.end(), Exit::usage, "`", printable(given[0]), "` is not one of ",
                   fmt::format("{}", fmt::join(words, ", ")));
        found->take();
    };
    option.get = [choices] {
        return std::vector{std::ranges::find_if(choices, [](const Choice& c) { return c.is_taken(); })->word};
    };
}

void Options::needs(std::initializer_list<std::string_view> names, std::string unless, std::function<bool()> holds) {
    for (const std::string_view name : names) {
        const Option& option = at(name);
        needs_.push_back({.option = option, .by_default = option.get(), .unless = unless, .holds = holds});
    }
}

void Options::refuse_idle() const {
    for (const Need& need : needs_)
        if (need.option.typed && need.option.get() != need.by_default && !need.holds())
            refuse(need.option.title() + ": has no effect " + need.unless);
}

void Options::offer(std::string_view name, std::string_view list) {
    std::vector<std::string>& words = at(name).words;
    for (size_t at = 0, comma; at < list.size(); at = comma + 2) {
        comma = std::min(list.find(", ", at), list.size());
        const std::string_view word = list.substr(at, comma - at);
        if (word.find_first_of(": ") == word.npos) words.emplace_back(word);
    }
}

// The defaults are shown as they were declared, so this comes before anything is read.
bool Options::print_description() const {
    const auto after = [&](const char* name) -> const std::string* {
        const auto found = std::ranges::find(arguments_, name);
        if (found == arguments_.end()) return nullptr;
        static const std::string none;
        return found + 1 == arguments_.end() ? &none : &*(found + 1);
    };
    if (const std::string* word = after("--help")) {
        const auto topic = std::ranges::find(topics_, *word, &ToolDescription::Topic::word);
        std::vector<std::string> words;
        for (const auto& one : topics_) words.push_back(one.word);
        FP_REQUIRE(topic != topics_.end() || word->empty() || word->starts_with("-"), Exit::usage, "--help ",
                   printable(*word), ": no such topic",
                   words.empty() ? "" : "; did you mean --help " + nearest(*word, words) + "?");
        std::cout << (topic == topics_.end() ? help() : topic->title + "\n\n" + topic->text);
        return true;
    }
    if (after("--help-man")) {
        std::cout << manual_page(description());
        return true;
    }
    const std::string* shell = after("--completion");
    if (shell) std::cout << completion_script(description(), *shell);
    return shell != nullptr;
}

bool Options::parse(int argc, const char* const* argv) {
    heading("All tools");
    add("config FILE", config_, "settings from a TOML file with a `name = value` per line");
    add("json", json_, "one JSON document on stdout, all else on stderr");
    add("quiet", quiet_, "no progress");
    add("version", version_, "print the version and stop");
    std::string words;
    for (const auto& topic : topics_) words += "; --help " + topic.word + ": " + topic.title;
    add("help", help_, "print this and stop" + words);
    for (const char* name : {"config", "json", "quiet", "version", "help"}) leave_out_of_config(name);
    for (const char* name : {"version", "help"}) find(name)->in_file = false;

    for (int i = 1; i < argc; ++i) arguments_.push_back(std::string(argv[i]) == "-h" ? "--help" : argv[i]);
    if (print_description()) return false;
    read_command_line();
    if (version_) {
        const std::string here = gpu();
        std::cout << version_line(tool_) << ", " << host_isa() << (here.empty() ? "" : ", ") << here << "\n";
        return false;
    }
    read_environment();
    read_file();
    for (const Option& o : options_)
        if (o.required && !o.given) refuse(o.title() + ": is required (" + tool_ + " --help lists all options)");
    refuse_idle();
    for (const Option& o : options_)
        if (o.output_file && ranks().first())
            for (const std::string& file : o.get())
                if (!file.empty()) require_creatable(file);
    return true;
}

void Options::say(const std::string& line) const {
    if (!quiet_ && said_.insert(line).second) std::cerr << tool_ << ": " << line << "\n";
}

std::string Options::command_line() const {
    std::string out = shell_quoted(tool_);
    for (const std::string& argument : arguments_) out += " " + shell_quoted(argument);
    return out;
}

std::string Options::resolved() const {
    std::string out;
    std::string_view heading;
    for (const Option& o : options_) {
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
    for (const Option& o : options_)
        if (o.in_config && !o.keeps_bits) {
            const std::string value = toml_value(o);
            out.push_back({"--" + o.name, value.empty() ? "not set" : value});
        }
    return out;
}

int run_tool(int argc,
             const char* const* argv,
             std::string_view purpose,
             const std::function<void(Options&)>& declare,
             const std::function<int(const Options&)>& run) {
    const std::string tool = argc > 0 ? std::filesystem::path(argv[0]).filename().string() : "fairprune";
    Launch launch(tool);
    try {
        launch.join();
        try {
            Options options(tool, std::string(purpose), &launch);
            declare(options);
            const bool runs = options.parse(argc, argv);
            const StopSignals signals(launch.ranks().first());
            const int code = runs ? run(options) : 0;
            std::cout.flush();
            FP_REQUIRE(std::cout.good() && std::fflush(stdout) == 0, Exit::data, "standard output: cannot be written");
            return launch.end(code);
        } catch (...) {
            launch.failed_to_start(std::current_exception());
            throw;
        }
    } catch (...) {
        return launch.fail(std::current_exception());
    }
}

int on_first(const Options& options, const std::function<int()>& work) {
    options.ready();
    if (options.ranks().alone()) return work();
    const std::string code = work_of_first(options.ranks(), [&] {
        try {
            return std::to_string(work());
        } catch (const Stopped&) {
            std::cerr << options.tool() << ": stopped" << std::endl;
            return std::to_string(StopSignals::exit_code());
        }
    });
    return std::stoi(code);
}

}  // namespace fp
