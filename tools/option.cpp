#include "tools/option.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "engine/io/files.h"
#include "tools/toml.h"

namespace fp {
namespace {

using Words = std::vector<std::string>;

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

constexpr const char* kind_name(Takes takes) {
    return takes == Takes::number    ? "a number"
           : takes == Takes::natural ? "a whole number from 0 on"
                                     : "a whole number";
}

template <class T>
T value_of(const std::string& word, Range range) {
    T value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    FP_REQUIRE(error != std::errc::result_out_of_range, Exit::usage, printable(word), " is too large");
    FP_REQUIRE(error == std::errc() && end == word.data() + word.size() && double(value) == double(value), Exit::usage,
               "`", printable(word), "` is not ", kind_name(kTakes<T>));
    FP_REQUIRE(double(value) >= range.low, Exit::usage, printable(word), " is below ", fmt::format("{}", range.low));
    FP_REQUIRE(double(value) <= range.high, Exit::usage, printable(word), " is above ", fmt::format("{}", range.high));
    return value;
}
template <>
std::string value_of(const std::string& word, Range) {
    return word;
}
template <>
bool value_of(const std::string& word, Range) {
    FP_REQUIRE(word == "true" || word == "false", Exit::usage, "`", printable(word), "` is neither true nor false");
    return word == "true";
}

template <class T>
void read(const Words& words, T& value, Range range) {
    value = value_of<T>(words.at(0), range);
}
void read(const Words& words, std::optional<int>& value, Range range) { value = value_of<int>(words.at(0), range); }
void read(const Words& words, std::vector<std::string>& value, Range) { value = words; }
void read(const Words& words, std::vector<int>& value, Range range) {
    std::vector<int> read;
    for (const std::string& word : words)
        for (size_t at = 0; at <= word.size();) {
            const size_t comma = std::min(word.find(',', at), word.size());
            read.push_back(value_of<int>(word.substr(at, comma - at), range));
            at = comma + 1;
        }
    value = read;
}

template <class T>
Words words_of(const T& value) {
    return {fmt::format("{}", value)};
}
Words words_of(const std::optional<int>& value) { return value ? words_of(*value) : Words{}; }
template <class T>
Words words_of(const std::vector<T>& values) {
    Words out;
    for (const T& value : values) out.push_back(fmt::format("{}", value));
    return out;
}

template <class T>
void describe(Option& option, const T&) {
    option.takes = kTakes<T>;
}
void describe(Option& option, const std::optional<int>&) { option.takes = Takes::whole_number; }
template <class T>
void describe(Option& option, const std::vector<T>&) {
    option.takes = kTakes<T>;
    option.list = true;
}

}  // namespace

void bind_variable(Option& option, const OptionTarget& target, Range range) {
    std::visit(
        [&](auto* value) {
            describe(option, *value);
            option.set = [value, range](const Words& words) { read(words, *value, range); };
            option.get = [value] { return words_of(*value); };
        },
        target);
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
