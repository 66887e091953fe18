// --attribute with a weight: "sex=2" is the attribute sex with weight 2. One of weight 0 is reported, and counts for
// nothing else.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace fp {

std::map<std::string, double> weighted_attributes(const std::vector<std::string>&);  // Exit::usage
std::vector<std::string> plain_names(const std::vector<std::string>&);

}  // namespace fp
