// Files, read whole within a limit or mapped, and written whole or not at all. Every failure is an Error
// that names the file and gives the system's reason; `exit` is the code with which a tool then ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace fp {

using Bytes = std::vector<std::byte>;

inline std::span<const std::byte> as_bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
}

// The length of the UTF-8 sequence at the front of `text`; 0 where it is not valid: overlong forms, surrogates and code
// points beyond U+10FFFF are not.
size_t utf8_length(std::string_view text);

// A name from a file, fit for a message: control characters and bytes that are not UTF-8 escaped as
// \xNN, cut after `longest` bytes.
std::string printable(std::string_view name, size_t longest = 200);
std::string shown(const std::filesystem::path&);

// "PATH: what: the system's reason".
[[noreturn]] void fail_system(const std::filesystem::path&, std::string_view what, int error, Exit exit);

// A file descriptor, closed by the destructor; a writer calls close() to see its result.
class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor();
    Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

    int number() const { return number_; }
    int close();

private:
    int number_;
};

// An open file, read at any place. Reading past the end is an Error, so a file that shrinks while it is read
// cannot crash the process, which a mapped one can.
class InputFile {
public:
    explicit InputFile(std::filesystem::path path, Exit exit = Exit::data);
    uint64_t bytes() const { return bytes_; }
    void read(uint64_t offset, std::span<std::byte> out) const;

private:
    std::filesystem::path path_;
    Exit exit_;
    Descriptor file_;
    uint64_t bytes_;
};

// The whole file or pipe, refused above `most_bytes`.
std::string read_file(const std::filesystem::path& path, uint64_t most_bytes, Exit exit = Exit::data);

// A file mapped read-only. The file must not be shortened meanwhile.
class MappedFile {
public:
    MappedFile() = default;
    explicit MappedFile(const std::filesystem::path& path, Exit exit = Exit::data);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
    MappedFile& operator=(MappedFile&& other) noexcept { return std::swap(bytes_, other.bytes_), *this; }

    std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::span<const std::byte> bytes_;
};

// Writes a temporary_beside(PATH); commit() flushes it to the disk, closes it, renames it to PATH and flushes the folder,
// so that the new name survives a loss of power. A reader sees the old file or the new one, never a part of it. Without
// commit() the temporary file is removed and PATH stays as it was. A device, a pipe or what this process has open
// (/dev/stdout, /dev/fd/N) is written as it is.
class AtomicFile {
public:
    explicit AtomicFile(std::filesystem::path path, Exit exit = Exit::data);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;

    void write(std::span<const std::byte> bytes);
    void write(std::string_view text) { write(as_bytes(text)); }
    void commit();

private:
    std::filesystem::path path_, temporary_;
    Exit exit_;
    Descriptor file_;
    int place_ = -1;  // among those that remove_open_temporaries() removes
};

// For the handler of a signal that ends the process: removes every temporary file that an AtomicFile is writing.
void remove_open_temporaries();

void write_file(const std::filesystem::path& path, std::string_view text, Exit exit = Exit::data);

// Before work whose end writes this file: the Error that write_file() would throw where it cannot be created.
void require_creatable(const std::filesystem::path& path, Exit exit = Exit::data);

// Adds to the end of a file and flushes it to the disk.
void append_file(const std::filesystem::path& path, std::string_view text, Exit exit = Exit::data);

}  // namespace fp
