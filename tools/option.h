// One option as Options keeps it, and the conversions between words and values.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/io/files.h"
#include "tools/options.h"
#include "tools/toml.h"

namespace fp {

// A word takes any single value of a configuration file as it is written: `amount = 5` and
// `amount = "10%"` are both text to us.
enum class Takes { flag, whole_number, number, word };

struct Option {
    std::string name, metavar = {}, help, heading;
    Takes takes = Takes::word;
    bool list = false, positional = false, required = false, in_config = true, given = false;
    std::function<void(const std::vector<std::string>&)> set =
        {};                                   // throws Error with what is wrong
    std::function<std::string()> shown = {};  // for --help; "" is nothing worth showing
    std::function<std::string()> toml = {};   // "" where there is no value

    std::string title() const { return positional ? metavar : "--" + name; }
};

template <class T>
void read_number(const std::string& word, T& value, Range range, const char* kind) {
    const auto show = [](double bound) { return fmt::format("{}", bound); };
    T read{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), read);
    FP_REQUIRE(error != std::errc::result_out_of_range, Exit::usage, printable(word),
               " is too large");
    FP_REQUIRE(error == std::errc() && end == word.data() + word.size(), Exit::usage, "`",
               printable(word), "` is not ", kind);
    FP_REQUIRE(double(read) >= range.low, Exit::usage, printable(word), " is below ",
               show(range.low));
    FP_REQUIRE(double(read) <= range.high, Exit::usage, printable(word), " is above ",
               show(range.high));
    value = read;
}

inline void read_word(const std::string& word, int& value, Range range) {
    read_number(word, value, range, "a whole number");
}
inline void read_word(const std::string& word, int64_t& value, Range range) {
    read_number(word, value, range, "a whole number");
}
inline void read_word(const std::string& word, uint64_t& value, Range range) {
    read_number(word, value, range, "a whole number from 0 on");
}
inline void read_word(const std::string& word, double& value, Range range) {
    FP_REQUIRE(word != "nan" && word != "-nan", Exit::usage, "nan is not a number");
    read_number(word, value, range, "a number");
}
inline void read_word(const std::string& word, std::string& value, Range) { value = word; }
template <class T>
void read_word(const std::string& word, std::optional<T>& value, Range range) {
    T read{};
    read_word(word, read, range);
    value = read;
}

template <class T>
void read_words(const std::vector<std::string>& words, T& value, Range range) {
    read_word(words.at(0), value, range);
}
inline void read_words(const std::vector<std::string>& words,
                       std::vector<std::string>& value,
                       Range) {
    value = words;
}
inline void read_words(const std::vector<std::string>& words,
                       std::vector<int>& value,
                       Range range) {
    std::vector<int> read;
    for (const std::string& word : words)
        for (size_t at = 0; at <= word.size();) {
            const size_t comma = std::min(word.find(',', at), word.size());
            read_word(word.substr(at, comma - at), read.emplace_back(), range);
            at = comma + 1;
        }
    value = read;
}

template <class T>
std::string toml_of(const T& value) {
    return fmt::format("{}", value);
}
inline std::string toml_of(const std::string& value) { return toml_string(value); }
template <class T>
std::string toml_of(const std::optional<T>& value) {
    return value ? toml_of(*value) : "";
}
template <class T>
std::string toml_of(const std::vector<T>& value) {
    std::vector<std::string> words;
    for (const T& v : value) words.push_back(toml_of(v));
    return fmt::format("[{}]", fmt::join(words, ", "));
}

template <class T>
std::string shown_of(const T& value) {
    return fmt::format("{}", value);
}
template <class T>
std::string shown_of(const std::optional<T>& value) {
    return value ? shown_of(*value) : "";
}
template <class T>
std::string shown_of(const std::vector<T>& value) {
    return fmt::format("{}", fmt::join(value, ","));
}

template <class T>
constexpr Takes kTakes = Takes::whole_number;
template <>
inline constexpr Takes kTakes<double> = Takes::number;
template <>
inline constexpr Takes kTakes<std::string> = Takes::word;
template <class T>
constexpr Takes kTakes<std::optional<T>> = kTakes<T>;
template <class T>
constexpr Takes kTakes<std::vector<T>> = kTakes<T>;
template <class T>
constexpr bool kIsList = false;
template <class T>
constexpr bool kIsList<std::vector<T>> = true;

}  // namespace fp
