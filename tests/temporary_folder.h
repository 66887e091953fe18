#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "kernels/error.h"

namespace fp::testing {

// A folder of its own, gone with the test.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "fairprune-XXXXXX").string();
        FP_CHECK(mkdtemp(pattern.data()) != nullptr, "no temporary folder at ", pattern);
        path_ = pattern;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

}  // namespace fp::testing
