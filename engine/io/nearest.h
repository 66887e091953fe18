#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fp {

// The candidate with the fewest insertions, deletions, substitutions and swaps of neighbouring letters; the first of
// equals. At least one candidate.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace fp
