// The part of TOML (https://toml.io) that a run's configuration needs: one flat table of
// `key = value`, with strings, whole numbers, numbers, booleans and arrays of one of these. What else TOML
// has (sections, dates, inline tables, multi-line strings) is refused in words, and so is a key given twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fp {

enum class TomlKind { text, integer, number, boolean };

struct TomlEntry {
    std::string key;
    TomlKind kind = TomlKind::text;  // of the value, or of an array's values
    bool is_array = false;
    std::vector<std::string>
        values;    // strings unescaped; numbers in decimal, booleans as true or false
    int line = 0;  // from 1
};

// Wrong syntax is an Error with Exit::data, "FILE:LINE: what".
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& file_name);

// "text" as a TOML string, quotes and escapes included.
std::string toml_string(std::string_view text);

}  // namespace fp
