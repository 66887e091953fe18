#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "tests/source_dir.h"

// The folder of data sets and reference values that lies beside the source tree, or where FP_SHARED says.
// Tests that need it skip where it is absent.
inline std::optional<std::filesystem::path> shared_folder() {
    const char* named = std::getenv("FP_SHARED");
    const auto path = named ? std::filesystem::path(named) : source_dir() / ".." / "shared";
    if (!std::filesystem::is_directory(path)) return std::nullopt;
    return std::filesystem::canonical(path);
}
