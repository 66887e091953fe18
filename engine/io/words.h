// Counts in words, so that every message, table and report spells them alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace fp {

// "9999", "10,000", "1,917,940": digits in groups of three where there are more than four.
std::string grouped(int64_t);

// "1 group", "3 groups", "12,345 images"; `several` where it is not `one` with an s.
std::string counted(int64_t n, std::string_view one, std::string_view several = {});

}  // namespace fp
