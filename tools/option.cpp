#include "tools/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "engine/io/files.h"

namespace fp {
namespace {

using Words = std::vector<std::string>;

template <class T>
constexpr Takes takes_of() {
    return std::is_same_v<T, bool>          ? Takes::flag
           : std::is_same_v<T, uint64_t>    ? Takes::natural
           : std::is_same_v<T, double>      ? Takes::number
           : std::is_same_v<T, std::string> ? Takes::word
                                            : Takes::whole_number;
}

constexpr std::string_view kind_name(Takes takes) {
    constexpr std::string_view kNames[] = {"true or false", "a whole number", "a whole number from 0 on", "a number",
                                           "text, in quotes"};
    return kNames[size_t(takes)];
}

template <class T>
T value_of(const std::string& word, Range range) {
    if constexpr (std::is_same_v<T, std::string>) {
        return word;
    } else if constexpr (std::is_same_v<T, bool>) {
        FP_REQUIRE(word == "true" || word == "false", Exit::usage, "`", printable(word), "` is not true or false");
        return word == "true";
    } else {
        T value{};
        const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
        const double number = double(value);
        FP_REQUIRE(error != std::errc::result_out_of_range, Exit::usage, printable(word), " is out of range");
        FP_REQUIRE(error == std::errc() && end == word.data() + word.size() && number == number, Exit::usage, "`",
                   printable(word), "` is not ", kind_name(takes_of<T>()));
        FP_REQUIRE(number >= range.low, Exit::usage, printable(word), " is below ", fmt::format("{}", range.low));
        FP_REQUIRE(number <= range.high, Exit::usage, printable(word), " is above ", fmt::format("{}", range.high));
        return value;
    }
}

// 8,16 is two numbers.
Words parts_of(const std::string& word) {
    Words parts;
    for (size_t at = 0, comma; at <= word.size(); at = comma + 1) {
        comma = std::min(word.find(',', at), word.size());
        parts.push_back(word.substr(at, comma - at));
    }
    return parts;
}

template <class T>
void bind(Option& option, T* variable, Range range) {
    option.takes = takes_of<T>();
    option.set = [=](const Words& words) { *variable = value_of<T>(words.at(0), range); };
    option.get = [=] { return Words{fmt::format("{}", *variable)}; };
}

template <class T>
void bind(Option& option, std::optional<T>* variable, Range range) {
    option.takes = takes_of<T>();
    option.set = [=](const Words& words) { *variable = value_of<T>(words.at(0), range); };
    option.get = [=] { return *variable ? Words{fmt::format("{}", **variable)} : Words{}; };
}

template <class T>
void bind(Option& option, std::vector<T>* variable, Range range) {
    option.takes = takes_of<T>();
    option.list = true;
    option.set = [=](const Words& words) {
        std::vector<T> values;
        for (const std::string& word : words)
            for (const std::string& part : takes_of<T>() == Takes::word ? Words{word} : parts_of(word))
                values.push_back(value_of<T>(part, range));
        *variable = values;
    };
    option.get = [=] {
        Words words;
        for (const T& value : *variable) words.push_back(fmt::format("{}", value));
        return words;
    };
}

}  // namespace

void bind_variable(Option& option, const OptionTarget& target, Range range) {
    std::visit([&](auto* variable) { bind(option, variable, range); }, target);
}

void check_kind(const Option& option, const TomlEntry& entry, const std::string& place) {
    FP_REQUIRE(option.list || !entry.is_array, Exit::data, place, ": takes one value, not an array");
    const Takes takes = option.takes;
    const bool right = entry.kind == TomlKind::boolean   ? takes == Takes::flag
                       : entry.kind == TomlKind::integer ? takes != Takes::flag
                       : entry.kind == TomlKind::number  ? takes == Takes::number || takes == Takes::word
                                                         : takes == Takes::natural || takes == Takes::word;
    FP_REQUIRE(entry.values.empty() || right, Exit::data, place, ": must be ", kind_name(option.takes));
}

std::string toml_value(const Option& option) {
    Words words = option.get();
    if (words.empty() && !option.list) return "";
    const auto above_int64 = [](const std::string& word) {
        return value_of<uint64_t>(word, {}) > uint64_t(std::numeric_limits<int64_t>::max());
    };
    for (std::string& word : words)
        if (option.takes == Takes::word || (option.takes == Takes::natural && above_int64(word)))
            word = toml_string(word);
    const std::string all = fmt::format("{}", fmt::join(words, ", "));
    return option.list ? "[" + all + "]" : all;
}

}  // namespace fp
