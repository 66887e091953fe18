// What reports do with figures: null for what is not estimable, p corrected for how many there are; and lists on the command line.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace fp {

// A number; null for NaN and infinities, which JSON does not have. And back, null as NaN.
nlohmann::ordered_json number(double);
double value_or_nan(const nlohmann::ordered_json&);

// Adds "p_holm" beside the "p" of each: Holm's correction over all of them.
void add_p_holm(const std::vector<nlohmann::ordered_json*>&);

// "a,b,c". Exit::usage where an entry is empty.
std::vector<std::string> split_list(const std::string& text, const char* option);

}  // namespace fp
