#include "engine/io/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace fp {
namespace {

namespace fs = std::filesystem;

// Closes on the way out of a function; a writer closes by hand, to see the result.
struct Descriptor {
    int file;
    ~Descriptor() {
        if (file >= 0) close(file);
    }
};

int open_for_reading(const fs::path& path, Exit exit) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) fail_system(path, "cannot be opened", errno, exit);
    return file;
}

struct stat status_of(int file, const fs::path& path, Exit exit) {
    struct stat status;
    if (fstat(file, &status) != 0) {
        const int error = errno;
        close(file);
        fail_system(path, "cannot be examined", error, exit);
    }
    if (S_ISDIR(status.st_mode)) {
        close(file);
        fail_with(exit, shown(path), ": is a folder, not a file");
    }
    return status;
}

void write_all(int file, std::span<const std::byte> bytes, const fs::path& path, Exit exit) {
    while (!bytes.empty()) {
        const ssize_t done = write(file, bytes.data(), bytes.size());
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) fail_system(path, "cannot be written", errno, exit);
        bytes = bytes.subspan(size_t(done));
    }
}

// The length of the UTF-8 sequence at the start of `text`, 0 where there is none.
size_t utf8_length(std::string_view text) {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const size_t length = byte(0) < 0x80       ? 1
                          : byte(0) >> 5 == 6  ? 2
                          : byte(0) >> 4 == 14 ? 3
                          : byte(0) >> 3 == 30 ? 4
                                               : 0;
    if (length == 0 || length > text.size()) return 0;
    for (size_t i = 1; i < length; ++i)
        if (byte(i) >> 6 != 2) return 0;
    return length;
}

}  // namespace

std::string printable(std::string_view name, size_t longest) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out;
    for (size_t i = 0; i < name.size();) {
        if (out.size() >= longest) return out + "...";
        const unsigned char c = name[i];
        const size_t length = utf8_length(name.substr(i));
        // C1 controls are the two-byte sequences C2 80 .. C2 9F.
        const bool control =
            c < 0x20 || c == 0x7F || (length == 2 && c == 0xC2 && static_cast<unsigned char>(name[i + 1]) < 0xA0);
        if (length == 0 || control) {
            out += {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
            ++i;
        } else {
            out += name.substr(i, length);
            i += length;
        }
    }
    return out;
}

std::string shown(const fs::path& path) { return printable(path.native(), 4096); }

void fail_system(const fs::path& path, std::string_view what, int error, Exit exit) {
    fail_with(exit, shown(path), ": ", what, ": ", std::generic_category().message(error));
}

InputFile::InputFile(fs::path path, Exit exit) : path_(std::move(path)), exit_(exit) {
    const int file = open_for_reading(path_, exit);
    const struct stat status = status_of(file, path_, exit);
    if (!S_ISREG(status.st_mode)) {
        close(file);
        fail_with(exit, shown(path_), ": is not a regular file");
    }
    file_ = file;
    bytes_ = uint64_t(status.st_size);
}

InputFile::~InputFile() {
    if (file_ >= 0) close(file_);
}

void InputFile::read(uint64_t offset, std::span<std::byte> out) const {
    FP_CHECK(offset <= bytes_ && out.size() <= bytes_ - offset, path_.native(), ": ", out.size(),
             " bytes asked for at ", offset, " of ", bytes_);
    size_t done = 0;
    while (done < out.size()) {
        const ssize_t got = pread(file_, out.data() + done, out.size() - done, off_t(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail_system(path_, "cannot be read", errno, exit_);
        FP_REQUIRE(got > 0, exit_, shown(path_), ": ended at byte ", offset + done, " while it was read; it had ",
                   bytes_);
        done += size_t(got);
    }
}

std::string read_file(const fs::path& path, uint64_t most_bytes, Exit exit) {
    const int file = open_for_reading(path, exit);
    const struct stat status = status_of(file, path, exit);
    const Descriptor closes{file};
    const auto refuse_size = [&](uint64_t bytes, std::string_view more) {
        fail_with(exit, shown(path), ": has ", more, bytes, " bytes, more than the ", most_bytes, " that are read");
    };
    const bool regular = S_ISREG(status.st_mode);
    if (regular && uint64_t(status.st_size) > most_bytes) refuse_size(uint64_t(status.st_size), "");

    std::string text;
    constexpr size_t kPart = 1 << 16;
    size_t done = 0;
    for (;;) {
        // One byte more than the size, so that a file read to its end needs no second round.
        if (done == text.size())
            text.resize(done == 0 && regular ? size_t(status.st_size) + 1 : done + std::max(done, kPart));
        const ssize_t got = ::read(file, text.data() + done, text.size() - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) fail_system(path, "cannot be read", errno, exit);
        if (got == 0) break;
        done += size_t(got);
        if (done > most_bytes) refuse_size(done, "at least ");
    }
    text.resize(done);
    return text;
}

MappedFile::MappedFile(const fs::path& path, Exit exit) {
    const int file = open_for_reading(path, exit);
    const struct stat status = status_of(file, path, exit);
    const Descriptor closes{file};
    FP_REQUIRE(S_ISREG(status.st_mode), exit, shown(path), ": is not a regular file");
    if (status.st_size == 0) return;
    void* start = mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_SHARED, file, 0);
    if (start == MAP_FAILED) fail_system(path, "cannot be mapped", errno, exit);
    start_ = static_cast<const std::byte*>(start);
    bytes_ = size_t(status.st_size);
}

MappedFile::~MappedFile() {
    if (start_) munmap(const_cast<std::byte*>(start_), bytes_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : start_(std::exchange(other.start_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    std::swap(start_, other.start_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

AtomicFile::AtomicFile(fs::path path, Exit exit)
    : path_(std::move(path)), temporary_(path_.native() + ".tmp." + std::to_string(getpid())), exit_(exit) {
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file_ < 0) fail_errno("cannot be created");
}

AtomicFile::~AtomicFile() {
    if (file_ >= 0) close(file_);
    if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::fail_errno(std::string_view what) const {
    const int error = errno;
    fail_system(path_, what, error, exit_);
}

void AtomicFile::write(std::span<const std::byte> bytes) { write_all(file_, bytes, path_, exit_); }

void AtomicFile::commit() {
    if (fsync(file_) != 0) fail_errno("cannot be flushed to the disk");
    if (close(std::exchange(file_, -1)) != 0) fail_errno("cannot be closed");
    if (rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno("cannot be put in place");
    temporary_.clear();
    flush_folder(path_.parent_path(), exit_);
}

void write_file(const fs::path& path, std::string_view text, Exit exit) {
    AtomicFile file(path, exit);
    file.write(text);
    file.commit();
}

void append_file(const fs::path& path, std::string_view text, Exit exit) {
    Descriptor closes{open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)};
    if (closes.file < 0) fail_system(path, "cannot be opened", errno, exit);
    write_all(closes.file, as_bytes(text), path, exit);
    if (fsync(closes.file) != 0) fail_system(path, "cannot be flushed to the disk", errno, exit);
    if (close(std::exchange(closes.file, -1)) != 0) fail_system(path, "cannot be closed", errno, exit);
}

void flush_folder(const fs::path& folder, Exit exit) {
    const fs::path path = folder.empty() ? fs::path(".") : folder;
    const int file = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) fail_system(path, "cannot be opened", errno, exit);
    const Descriptor closes{file};
    // EINVAL: this file system has no notion of flushing a folder, so there is nothing to wait for.
    if (fsync(file) != 0 && errno != EINVAL) fail_system(path, "cannot be flushed to the disk", errno, exit);
}

int remove_stale_temporaries(const fs::path& folder, Exit exit) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error) fail_system(folder, "cannot be listed", error.value(), exit);
    int removed = 0;
    for (const fs::directory_entry& entry : entries) {
        const std::string name = entry.path().filename().native();
        const size_t mark = name.rfind(".tmp.");
        if (mark == std::string::npos || mark + 5 == name.size()) continue;
        if (name.find_first_not_of("0123456789", mark + 5) != std::string::npos) continue;
        if (unlink(entry.path().c_str()) != 0) fail_system(entry.path(), "cannot be removed", errno, exit);
        ++removed;
    }
    return removed;
}

}  // namespace fp
