// Values computed with other people's software, kept in this folder (README.md says with which).
#pragma once

#include <string>

namespace fp::testing {

// The text of tests/golden/NAME.gz.
std::string golden(const std::string& name);

}  // namespace fp::testing
