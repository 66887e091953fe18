// Completion of command lines in bash, zsh and fish.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/io/files.h"
#include "tools/option.h"

namespace fp {
namespace {

std::vector<std::string> option_words(const Option& option) {
    if (option.positional) return {};
    if (option.takes != Takes::flag || !option.in_config) return {"--" + option.name};
    return {"--" + option.name, "--no-" + option.name};
}

bool takes_file(const Option& option) {
    return std::ranges::any_of(std::initializer_list<const char*>{"FILE", "DIR", "PATH", "IMAGE"},
                               [&](const char* word) { return option.metavar.find(word) != std::string::npos; });
}

// Where it completes no word, bash completes a file's name.
std::string bash(const ToolDescription& d) {
    std::string cases;
    std::vector<std::string> names;
    for (const Option& option : d.options) {
        for (const std::string& word : option_words(option)) names.push_back(word);
        if (!option.words.empty())
            cases += fmt::format("        --{}) COMPREPLY=($(compgen -W '{}' -- \"$word\")); return ;;\n", option.name,
                                 fmt::join(option.words, " "));
    }
    return fmt::format(
        "_{0}() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}}\n    COMPREPLY=()\n    case "
        "${{COMP_WORDS[COMP_CWORD-1]}} in\n"
        "{1}    esac\n    [[ $word != -* ]] || COMPREPLY=($(compgen -W '{2}' -- \"$word\"))\n}}\n"
        "complete -o bashdefault -o default -F _{0} {0}\n",
        d.tool, cases, fmt::join(names, " "));
}

// In single quotes, with a backslash before the letters that are special within.
std::string in_quotes(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
    return out + "'";
}
std::string escaped(std::string_view text, std::string_view special) {
    std::string out;
    for (const char c : text) out += (special.find(c) == special.npos ? "" : "\\") + std::string(1, c);
    return out;
}

std::string zsh_value(const Option& option) {
    if (option.takes == Takes::flag) return "";
    const std::string name = ":" + escaped(option.metavar, ":\\");
    if (!option.words.empty()) return fmt::format("{}:({})", name, fmt::join(option.words, " "));
    return name + (takes_file(option) ? ":_files" : ": ");
}

std::string zsh(const ToolDescription& d) {
    std::string out = fmt::format("#compdef {}\n_arguments", d.tool);
    const auto add = [&](const std::string& specification) { out += " \\\n  " + in_quotes(specification); };
    for (const Option& option : d.options) {
        const std::string value = zsh_value(option), again = option.list ? "*" : "";
        if (option.positional) add(again + value);
        for (const std::string& word : option_words(option))
            add(again + word + (value.empty() ? "" : "=") + "[" + escaped(option.help, "[]:\\") + "]" + value);
    }
    return out + "\n";
}

std::string fish(const ToolDescription& d) {
    std::string out;
    for (const Option& option : d.options)
        for (const std::string& word : option_words(option)) {
            const std::string value = option.takes == Takes::flag ? ""
                                      : !option.words.empty() ? fmt::format(" -x -a '{}'", fmt::join(option.words, " "))
                                      : takes_file(option)    ? " -r -F"
                                                              : " -x";
            out += fmt::format("complete -c {} -l {}{} -d '{}'\n", d.tool, word.substr(2), value,
                               escaped(option.help, "\\'"));
        }
    return out;
}

}  // namespace

std::string completion_script(const ToolDescription& d, const std::string& shell) {
    if (shell == "bash") return bash(d);
    if (shell == "fish") return fish(d);
    FP_REQUIRE(shell == "zsh", Exit::usage, "--completion: `", printable(shell), "` is not bash, fish or zsh");
    return zsh(d);
}

}  // namespace fp
