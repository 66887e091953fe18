// Names of files that are being written, and the removal of what interrupted writers have left.
#pragma once

#include <filesystem>
#include <string_view>

#include "kernels/error.h"

namespace fp {

// PATH.tmp.HOST.NUMBER, for a file that becomes PATH: HOST is this host's name, NUMBER has 16 random hexadecimal digits, so
// hosts that share the folder never take the same name. Of HOST, letters, digits, - and _ stand for themselves and others
// as -; it is cut after 32.
std::filesystem::path temporary_beside(const std::filesystem::path&);

// Removes what interrupted writers left in `folder`: every temporary of a NAME that ends in `of`, unless a living
// AtomicFile holds it locked. Those of other hosts, whose locks may not be seen here and which may be gone (a container has
// a new name at every start), only once nobody has written to them for a day by the file system's own clock, and only
// where that is permitted. Returns how many it removed.
int remove_stale_temporaries(const std::filesystem::path& folder, Exit exit = Exit::data, std::string_view of = "");

}  // namespace fp
