#include "tools/toml.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "engine/io/files.h"

namespace fp {
namespace {

// Bounds the depth of a.a.a... = 1, whose tables toml++ builds and frees by recursion.
constexpr size_t kMostBytes = 32 << 10;

TomlKind append_value(std::vector<std::string>& values, const toml::node& node, const std::string& place) {
    const auto set = [&](const auto& value, TomlKind kind) {
        values.push_back(fmt::format("{}", value.get()));
        return kind;
    };
    if (const auto* text = node.as_string()) return set(*text, TomlKind::text);
    if (const auto* flag = node.as_boolean()) return set(*flag, TomlKind::boolean);
    if (const auto* whole = node.as_integer()) return set(*whole, TomlKind::integer);
    if (const auto* number = node.as_floating_point()) return set(*number, TomlKind::number);
    fail_with(Exit::data, place, node.is_array() ? "arrays in arrays" : "dates and times", " are not used here");
}

TomlEntry entry_of(const toml::key& key, const toml::node& node, const std::string& file) {
    TomlEntry entry{.key = std::string(key.str()), .line = int(key.source().begin.line)};
    const std::string place = text(file, ":", entry.line, ": ");
    FP_REQUIRE(!node.is_table() && !node.is_array_of_tables(), Exit::data, place,
               "tables (sections, dotted keys, inline tables) are not used here: `", printable(entry.key),
               "` must be a value");
    const toml::array* array = node.as_array();
    entry.is_array = array != nullptr;
    if (!array) {
        entry.kind = append_value(entry.values, node, place);
        return entry;
    }
    for (const toml::node& value : *array) {
        const TomlKind kind = append_value(entry.values, value, place);
        FP_REQUIRE(entry.values.size() == 1 || kind == entry.kind, Exit::data, place, "the array of `",
                   printable(entry.key), "` mixes kinds of values");
        entry.kind = kind;
    }
    return entry;
}

}  // namespace

std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& file_name) {
    FP_REQUIRE(text.size() <= kMostBytes, Exit::data, file_name, ": has ", text.size(),
               " bytes, a configuration has at most ", kMostBytes);
    std::vector<TomlEntry> entries;
    try {
        for (const auto& [key, node] : toml::parse(text)) entries.push_back(entry_of(key, node, file_name));
    } catch (const toml::parse_error& error) {
        fail_with(Exit::data, file_name, ":", error.source().begin.line, ": ", printable(error.description(), 400));
    }
    std::sort(entries.begin(), entries.end(), [](const TomlEntry& a, const TomlEntry& b) { return a.line < b.line; });
    return entries;
}

std::string toml_string(std::string_view text) {
    std::ostringstream out;
    out << toml::toml_formatter(toml::value(text), toml::format_flags::allow_unicode_strings);
    return out.str();
}

}  // namespace fp
