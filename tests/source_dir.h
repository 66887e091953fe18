#pragma once

#include <filesystem>

// The root of this source tree. Told to one file alone, so that no other test depends on where the tree lies.
std::filesystem::path source_dir();
