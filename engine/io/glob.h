// Files by a pattern of the shell.
#pragma once

#include <string>
#include <vector>

namespace fp {

// The files that each pattern (*, ?, [a-z]) matches, in the order of their names; a name without these is itself, also
// where there is no such file. Exit::data where a pattern matches nothing.
std::vector<std::string> matching_files(const std::vector<std::string>& patterns);

}  // namespace fp
