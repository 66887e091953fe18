#include "engine/io/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <climits>
#include <system_error>
#include <utility>

#include "engine/io/temporaries.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostOfAPipe = uint64_t(1) << 30;  // and of a device, which may have no end

// Does not wait for somebody to write to a named pipe: without a writer it is empty.
Descriptor opened(const fs::path& path, Exit exit, int flags = O_RDONLY) {
    Descriptor file(open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK, 0666));
    if (file.number() < 0 || fcntl(file.number(), F_SETFL, flags & O_APPEND) != 0)
        fail_system(path, "cannot be opened", errno, exit);
    return file;
}

struct stat status_of(const Descriptor& file, const fs::path& path, Exit exit) {
    struct stat status;
    if (fstat(file.number(), &status) != 0) fail_system(path, "cannot be examined", errno, exit);
    FP_REQUIRE(!S_ISDIR(status.st_mode), exit, shown(path), ": is a folder, not a file");
    return status;
}

size_t size_of_regular(const Descriptor& file, const fs::path& path, Exit exit) {
    const struct stat status = status_of(file, path, exit);
    FP_REQUIRE(S_ISREG(status.st_mode), exit, shown(path), ": is not a regular file");
    return size_t(status.st_size);
}

// The result of `call`, a read or a write, which is repeated where a signal interrupted it.
template <class Call>
size_t transferred(const fs::path& path, std::string_view what, Exit exit, const Call& call) {
    for (;;) {
        const ssize_t bytes = call();
        if (bytes >= 0) return size_t(bytes);
        if (errno != EINTR) fail_system(path, what, errno, exit);
    }
}

void write_all(const Descriptor& file, std::span<const std::byte> bytes, const fs::path& path, Exit exit) {
    while (!bytes.empty())
        bytes = bytes.subspan(transferred(path, "cannot be written", exit,
                                          [&] { return ::write(file.number(), bytes.data(), bytes.size()); }));
}

// The temporary files that this process is writing, where a signal handler can read their names.
struct OpenTemporary {
    std::atomic<bool> taken = false, written = false;
    char path[PATH_MAX] = {};
};
std::array<OpenTemporary, 16> open_temporaries;
static_assert(std::atomic<bool>::is_always_lock_free);

// -1 where all places are taken or the path is too long: the file is written, and stays if a signal ends the process.
int note_temporary(const fs::path& path) {
    for (size_t i = 0; i < open_temporaries.size() && path.native().size() < PATH_MAX; ++i) {
        OpenTemporary& place = open_temporaries[i];
        if (place.taken.exchange(true)) continue;
        path.native().copy(place.path, path.native().size());
        place.path[path.native().size()] = 0;
        place.written = true;
        return int(i);
    }
    return -1;
}

void forget_temporary(int place) {
    if (place < 0) return;
    open_temporaries[size_t(place)].written = false;
    open_temporaries[size_t(place)].taken = false;
}

constexpr std::string_view kHex = "0123456789abcdef";

// What a path names that this process has open, as /dev/stdout; -1: nothing. Opened anew, it would be written from its
// start.
int inherited(const fs::path& path) {
    const std::string_view name = path.native();
    if (name == "/dev/stdout") return STDOUT_FILENO;
    if (name == "/dev/stderr") return STDERR_FILENO;
    int number = -1;
    for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"})
        if (name.starts_with(folder)) std::from_chars(name.data() + folder.size(), name.data() + name.size(), number);
    return number;
}

// Over which nothing may be renamed.
bool is_stream(const fs::path& path) {
    std::error_code ignored;
    return inherited(path) >= 0 || fs::is_other(fs::status(path, ignored));
}

// Empty for a stream.
fs::path temporary_of(const fs::path& path, Exit exit) {
    std::error_code ignored;
    FP_REQUIRE(!fs::is_directory(path, ignored), exit, shown(path), ": is a folder, not a file");
    return is_stream(path) ? fs::path() : temporary_beside(path);
}

int open_output(const fs::path& path, const fs::path& temporary) {
    if (!temporary.empty()) return open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (const int number = inherited(path); number >= 0) return fcntl(number, F_DUPFD_CLOEXEC, 0);
    return open(path.c_str(), O_WRONLY | O_CLOEXEC);
}

// Fails with the system's reason.
void check(bool done, const fs::path& path, std::string_view what, Exit exit) {
    if (!done) fail_system(path, what, errno, exit);
}

}  // namespace

size_t utf8_length(std::string_view s) {
    const auto byte = [&](size_t i) { return i < s.size() ? uint8_t(s[i]) : uint8_t(0); };
    const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
        return byte(1) >= low && byte(1) <= high && tail(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const uint8_t low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
        return byte(1) >= low && byte(1) <= high && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

// U+202A to U+202E and U+2066 to U+2069 change the direction of the text after them.
static bool turns_text(std::string_view character) {
    return (character >= "\u202a" && character <= "\u202e") || (character >= "\u2066" && character <= "\u2069");
}

std::string printable(std::string_view name, size_t longest) {
    std::string out;
    while (!name.empty()) {
        if (out.size() >= longest) return out + "...";
        const uint8_t c = uint8_t(name[0]);
        const size_t length = utf8_length(name);
        // C1 controls are the two-byte sequences C2 80 .. C2 9F.
        const bool control = c < 0x20 || c == 0x7F || (length == 2 && c == 0xC2 && uint8_t(name[1]) < 0xA0) ||
                             turns_text(name.substr(0, length));
        const bool legible = length > 0 && !control;
        if (legible)
            out += name.substr(0, length);
        else
            out += {'\\', 'x', kHex[c >> 4], kHex[c & 15]};
        name.remove_prefix(legible ? length : 1);
    }
    return out;
}

std::string shown(const fs::path& path) { return printable(path.native(), 4096); }

void fail_system(const fs::path& path, std::string_view what, int error, Exit exit) {
    fail_with(exit, shown(path), ": ", what, ": ", std::generic_category().message(error));
}

Descriptor::~Descriptor() {
    if (number_ >= 0) ::close(number_);
}

int Descriptor::close() { return ::close(std::exchange(number_, -1)); }

InputFile::InputFile(fs::path path, Exit exit)
    : path_(std::move(path)), exit_(exit), file_(opened(path_, exit)), bytes_(size_of_regular(file_, path_, exit)) {}

void InputFile::read(uint64_t offset, std::span<std::byte> out) const {
    FP_CHECK(offset <= bytes_ && out.size() <= bytes_ - offset, path_.native(), ": ", out.size(),
             " bytes asked for at ", offset, " of ", bytes_);
    while (!out.empty()) {
        const size_t got = transferred(path_, "cannot be read", exit_,
                                       [&] { return pread(file_.number(), out.data(), out.size(), off_t(offset)); });
        FP_REQUIRE(got > 0, exit_, shown(path_), ": ended at byte ", offset, " while it was read; it had ", bytes_);
        offset += got;
        out = out.subspan(got);
    }
}

std::string read_file(const fs::path& path, uint64_t most_bytes, Exit exit) {
    const Descriptor file = opened(path, exit);
    const struct stat status = status_of(file, path, exit);
    const uint64_t announced = S_ISREG(status.st_mode) ? uint64_t(status.st_size) : 0;  // a pipe announces no size
    if (!S_ISREG(status.st_mode)) most_bytes = std::min(most_bytes, kMostOfAPipe);
    const auto check = [&](uint64_t bytes, std::string_view more) {
        FP_REQUIRE(bytes <= most_bytes, exit, shown(path), ": has ", more, bytes, " bytes, more than the ", most_bytes,
                   " that are read");
    };
    check(announced, "");

    std::string text;
    constexpr size_t kPart = 1 << 16;
    size_t done = 0;
    for (;;) {
        // One byte more than the size, so that a file read to its end needs no second round.
        if (done == text.size()) text.resize(done == 0 && announced > 0 ? announced + 1 : done + std::max(done, kPart));
        const size_t got = transferred(path, "cannot be read", exit,
                                       [&] { return ::read(file.number(), text.data() + done, text.size() - done); });
        if (got == 0) break;
        done += got;
        check(done, "at least ");
    }
    text.resize(done);
    return text;
}

MappedFile::MappedFile(const fs::path& path, Exit exit) {
    const Descriptor file = opened(path, exit);
    const size_t bytes = size_of_regular(file, path, exit);
    if (bytes == 0) return;
    void* start = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file.number(), 0);
    if (start == MAP_FAILED) fail_system(path, "cannot be mapped", errno, exit);
    bytes_ = {static_cast<const std::byte*>(start), bytes};
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

AtomicFile::AtomicFile(fs::path path, Exit exit)
    : path_(std::move(path)),
      temporary_(temporary_of(path_, exit)),
      exit_(exit),
      file_(open_output(path_, temporary_)) {
    check(file_.number() >= 0, path_, "cannot be created", exit_);
    if (temporary_.empty()) return;
    flock(file_.number(), LOCK_EX | LOCK_NB);  // without locks, nobody takes it for stale either
    place_ = note_temporary(temporary_);
}

AtomicFile::~AtomicFile() {
    if (!temporary_.empty()) unlink(temporary_.c_str());
    forget_temporary(place_);
}

void AtomicFile::write(std::span<const std::byte> bytes) { write_all(file_, bytes, path_, exit_); }

void AtomicFile::commit() {
    if (temporary_.empty()) return check(file_.close() == 0, path_, "cannot be closed", exit_);
    check(fsync(file_.number()) == 0, path_, "cannot be flushed to the disk", exit_);
    check(file_.close() == 0, path_, "cannot be closed", exit_);
    check(rename(temporary_.c_str(), path_.c_str()) == 0, path_, "cannot be put in place", exit_);
    temporary_.clear();
    const fs::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
    const Descriptor entries = opened(folder, exit_, O_RDONLY | O_DIRECTORY);
    // EINVAL: this file system cannot flush a folder, so there is nothing to wait for.
    check(fsync(entries.number()) == 0 || errno == EINVAL, folder, "cannot be flushed to the disk", exit_);
}

void write_file(const fs::path& path, std::string_view text, Exit exit) {
    AtomicFile file(path, exit);
    file.write(text);
    file.commit();
}

void require_creatable(const fs::path& path, Exit exit) {
    if (!is_stream(path)) AtomicFile file(path, exit);
}

void append_file(const fs::path& path, std::string_view text, Exit exit) {
    Descriptor file = opened(path, exit, O_WRONLY | O_APPEND | O_CREAT);
    write_all(file, as_bytes(text), path, exit);
    check(fsync(file.number()) == 0, path, "cannot be flushed to the disk", exit);
    check(file.close() == 0, path, "cannot be closed", exit);
}

void remove_open_temporaries() {
    for (const OpenTemporary& place : open_temporaries)
        if (place.written) unlink(place.path);
}

}  // namespace fp
