// Files, read whole within a limit or mapped, and written whole or not at all. Every failure is an Error
// that names the file and gives the system's reason; `exit` is the code with which a tool then ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/error.h"

namespace fp {

using Bytes = std::vector<std::byte>;

inline std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

// A name from a file as it may be shown: control characters and bytes that are not UTF-8 escaped as
// \xNN, cut after `longest` bytes.
std::string printable(std::string_view name, size_t longest = 200);
std::string shown(const std::filesystem::path&);

// "PATH: what: the system's reason".
[[noreturn]] void fail_system(const std::filesystem::path&, std::string_view what, int error, Exit exit);

// An open file, read at any place. Files only grow stale here, never short: reading past the end is an
// Error, so a file that shrinks while it is read cannot crash us, which a mapped one can.
class InputFile {
public:
    explicit InputFile(std::filesystem::path path, Exit exit = Exit::data);
    ~InputFile();
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;

    uint64_t bytes() const { return bytes_; }
    void read(uint64_t offset, std::span<std::byte> out) const;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
    Exit exit_;
    int file_ = -1;
    uint64_t bytes_ = 0;
};

// The whole file or pipe, refused above `most_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t most_bytes, Exit exit = Exit::data);

// A file mapped read-only: for files of our own that nobody shortens meanwhile.
class MappedFile {
public:
    MappedFile() = default;
    explicit MappedFile(const std::filesystem::path& path, Exit exit = Exit::data);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;

    std::span<const std::byte> bytes() const { return {start_, bytes_}; }

private:
    const std::byte* start_ = nullptr;
    size_t bytes_ = 0;
};

// Writes PATH.tmp.PID; commit() flushes it to the disk, closes it, renames it to PATH and flushes the
// folder. A reader sees the old file or the new one, never a part of it. Without commit() the temporary
// file is removed and PATH stays as it was.
class AtomicFile {
public:
    explicit AtomicFile(std::filesystem::path path, Exit exit = Exit::data);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(as_bytes(text)); }
    void commit();

private:
    [[noreturn]] void fail_errno(std::string_view what) const;

    std::filesystem::path path_, temporary_;
    Exit exit_;
    int file_ = -1;
};

void write_file(const std::filesystem::path& path, std::string_view text, Exit exit = Exit::data);

// Adds to the end of a file and flushes it to the disk.
void append_file(const std::filesystem::path& path, std::string_view text, Exit exit = Exit::data);

// Makes renames and new names in `folder` survive a loss of power.
void flush_folder(const std::filesystem::path& folder, Exit exit = Exit::data);

// Removes what interrupted writers left in `folder`: every NAME.tmp.PID. To be called by the one process
// that writes there, while it writes nothing. Answers how many there were.
int remove_stale_temporaries(const std::filesystem::path& folder, Exit exit = Exit::data);

}  // namespace fp
