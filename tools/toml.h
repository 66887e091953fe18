// A run's configuration: a TOML file (https://toml.io) of flat `name = value` lines, read with toml++.
// Tables, dates and arrays in arrays are refused.
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
    std::vector<std::string> values = {};  // text as it is, numbers in decimal, booleans as true or false
    int line = 0;                          // from 1
};

// In the order of the file. What cannot be used is an Error with Exit::data, "FILE:LINE: what is wrong".
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& file_name);

// "text" as a TOML string, quotes and escapes included.
std::string toml_string(std::string_view text);

}  // namespace fp
