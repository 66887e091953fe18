#include "tools/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "engine/io/files.h"

namespace fp {
namespace {

using Words = std::vector<std::string>;

// What one value of a variable is.
template <class T>
struct Variable {
    using Value = T;
    static constexpr bool list = false, optional = false;
};
template <class T>
struct Variable<std::optional<T>> : Variable<T> {
    static constexpr bool optional = true;
};
template <class T>
struct Variable<std::vector<T>> : Variable<T> {
    static constexpr bool list = true;
};

template <class T>
constexpr Takes kTakes = Takes::whole_number;
template <>
inline constexpr Takes kTakes<bool> = Takes::flag;
template <>
inline constexpr Takes kTakes<uint64_t> = Takes::natural;
template <>
inline constexpr Takes kTakes<double> = Takes::number;
template <>
inline constexpr Takes kTakes<std::string> = Takes::word;

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
        FP_REQUIRE(error != std::errc::result_out_of_range, Exit::usage, printable(word), " is too large");
        FP_REQUIRE(error == std::errc() && end == word.data() + word.size() && number == number, Exit::usage, "`",
                   printable(word), "` is not ", kind_name(kTakes<T>));
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

}  // namespace

void bind_variable(Option& option, const OptionTarget& target, Range range) {
    const auto bind = [&]<class T>(T* variable) {
        using Value = typename Variable<T>::Value;
        constexpr bool list = Variable<T>::list;
        option.takes = kTakes<Value>;
        option.list = list;
        option.set = [=](const Words& words) {
            std::vector<Value> values;
            for (const std::string& word : words)
                for (const std::string& part : list&& kTakes<Value> != Takes::word ? parts_of(word) : Words{word})
                    values.push_back(value_of<Value>(part, range));
            if constexpr (list)
                *variable = values;
            else
                *variable = values.at(0);
        };
        option.get = [=] {
            Words words;
            if constexpr (list) {
                for (const Value& value : *variable) words.push_back(fmt::format("{}", value));
            } else if constexpr (Variable<T>::optional) {
                if (*variable) words = {fmt::format("{}", **variable)};
            } else {
                words = {fmt::format("{}", *variable)};
            }
            return words;
        };
    };
    std::visit(bind, target);
}

void check_kind(const Option& option, const TomlEntry& entry, const std::string& place) {
    FP_REQUIRE(option.list || !entry.is_array, Exit::data, place, ": takes one value, not an array");
    const auto is = [&](std::initializer_list<Takes> kinds) {
        return std::find(kinds.begin(), kinds.end(), option.takes) != kinds.end();
    };
    const bool right = entry.kind == TomlKind::boolean   ? is({Takes::flag})
                       : entry.kind == TomlKind::integer ? !is({Takes::flag})
                       : entry.kind == TomlKind::number  ? is({Takes::number, Takes::word})
                                                         : is({Takes::natural, Takes::word});
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
