#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

// The folder of data sets and reference values that lies beside the source tree, or where FP_SHARED says.
// Tests that need it skip where it is absent.
inline std::optional<std::filesystem::path> shared_folder() {
    const char* named = std::getenv("FP_SHARED");
    const auto path = named ? std::filesystem::path(named)
                            : std::filesystem::path(FP_SOURCE_DIR) / ".." / "shared";
    if (!std::filesystem::is_directory(path)) return std::nullopt;
    return std::filesystem::canonical(path);
}
