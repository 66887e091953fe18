#pragma once

#include <fstream>
#include <string>

#include "tests/temporary_folder.h"

namespace fp {

// A folder of its own for one test, with a short way to put files there.
class Folder : public testing::TemporaryFolder {
public:
    std::string string() const { return path().string(); }

    // Writes a file, with its folders; gives its path.
    std::string write(const std::string& name, const std::string& text) const {
        const auto file = path() / name;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << text;
        return file.string();
    }
};

}  // namespace fp
