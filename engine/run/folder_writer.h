// Where a run writes. Everything in engine/ that writes into a run folder takes one of these.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "engine/io/files.h"

namespace fp {

// A folder that this process writes to, or, where `writes` is false, one that another rank writes to: then writing does
// nothing, and reading is as ever.
class FolderWriter {
public:
    explicit FolderWriter(std::filesystem::path folder, bool writes = true)
        : folder_(std::move(folder)), writes_(writes) {}

    const std::filesystem::path& path() const { return folder_; }
    std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
    bool writes() const { return writes_; }

    void write(const std::string& name, std::string_view text, Exit exit = Exit::data) const {
        if (writes_) write_file(folder_ / name, text, exit);
    }
    void append(const std::string& name, std::string_view text) const {
        if (writes_) append_file(folder_ / name, text);
    }
    // For a file that a function of its own writes: write_with("split.csv", [&](const path& file) { ... }).
    template <class Write>
    void write_with(const std::string& name, const Write& write) const {
        if (writes_) write(folder_ / name);
    }

private:
    std::filesystem::path folder_;
    bool writes_;
};

}  // namespace fp
