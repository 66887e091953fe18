// What --help prints.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "tools/option.h"

namespace fp {

std::string help_text(std::string_view tool, std::string_view purpose, const std::deque<Option>& options);

}  // namespace fp
