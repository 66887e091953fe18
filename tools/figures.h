// p corrected for how many there are; and lists on the command line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fp {

// Adds "p_holm" beside the "p" of each: Holm's correction over all of them.
void add_p_holm(const std::vector<nlohmann::ordered_json*>&);

// "a,b,c". Exit::usage where an entry is empty.
std::vector<std::string> split_list(const std::string& text, const char* option);

}  // namespace fp
