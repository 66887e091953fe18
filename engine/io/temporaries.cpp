#include "engine/io/temporaries.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "engine/io/files.h"

namespace fp {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigits = 16, kLongestHost = 32;
constexpr std::string_view kHexDigits = "0123456789abcdef", kMark = ".tmp.";
constexpr int64_t kSecondsUntilStale = 24 * 3600;  // of another host's

bool is_of_host(char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; }

// As it stands in names.
std::string this_host() {
    char host[HOST_NAME_MAX + 1] = "";
    gethostname(host, sizeof host - 1);
    std::string out = std::string(host).substr(0, kLongestHost);
    for (char& c : out)
        if (!is_of_host(c)) c = '-';
    return out;
}

struct Temporary {
    std::string_view of, host;  // NAME, HOST
};

// Nothing where `name` is none.
std::optional<Temporary> temporary_in(std::string_view name) {
    if (name.size() <= kDigits || name.find_last_not_of(kHexDigits) != name.size() - kDigits - 1) return std::nullopt;
    name.remove_suffix(kDigits);
    if (name.back() != '.') return std::nullopt;
    name.remove_suffix(1);
    const size_t mark = name.rfind(kMark);
    if (mark == name.npos || mark == 0) return std::nullopt;
    const std::string_view host = name.substr(mark + kMark.size());
    if (host.size() > kLongestHost || !std::ranges::all_of(host, is_of_host)) return std::nullopt;
    return Temporary{.of = name.substr(0, mark), .host = host};
}

// Whether its writer holds it locked. True too where that cannot be told: without locks, or without permission.
bool is_being_written(const fs::path& temporary) {
    const Descriptor file(open(temporary.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK));  // NFS locks no file read-only
    return file.number() < 0 || flock(file.number(), LOCK_EX | LOCK_NB) != 0;
}

// What the clock of the folder's file system shows, which may be another host's: the time of a new file, set by it. Nothing
// where none can be made.
std::optional<int64_t> time_in(const fs::path& folder) {
    const fs::path made = temporary_beside(folder / "clock");
    const Descriptor file(open(made.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.number() < 0) return std::nullopt;
    struct stat status {};
    const bool known = futimens(file.number(), nullptr) == 0 && fstat(file.number(), &status) == 0;
    unlink(made.c_str());
    return known ? std::optional<int64_t>(status.st_mtim.tv_sec) : std::nullopt;
}

bool is_old(const fs::path& path, int64_t now) {
    struct stat status {};
    return stat(path.c_str(), &status) == 0 && now - status.st_mtim.tv_sec > kSecondsUntilStale;
}

}  // namespace

fs::path temporary_beside(const fs::path& path) {
    std::array<uint8_t, kDigits / 2> random;
    FP_CHECK(getrandom(random.data(), random.size(), 0) == ssize_t(random.size()), "no random bytes");
    std::string out = path.native();
    out.append(kMark).append(this_host()).append(".");
    for (const uint8_t byte : random) out += {kHexDigits[byte >> 4], kHexDigits[byte & 15]};
    return out;
}

int remove_stale_temporaries(const fs::path& folder, Exit exit, std::string_view of) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error) fail_system(folder, "cannot be listed", error.value(), exit);
    std::vector<fs::path> own, others;
    const std::string host = this_host();
    for (const fs::directory_entry& entry : entries) {
        const std::string name = entry.path().filename().native();
        const std::optional<Temporary> found = temporary_in(name);
        if (found && found->of.ends_with(of)) (found->host == host ? own : others).push_back(entry.path());
    }
    int removed = 0;
    for (const fs::path& path : own) {
        if (is_being_written(path)) continue;
        if (unlink(path.c_str()) == 0)
            ++removed;
        else if (errno != ENOENT)  // another process has removed it
            fail_system(path, "cannot be removed", errno, exit);
    }
    const std::optional<int64_t> now = others.empty() ? std::nullopt : time_in(folder);
    for (const fs::path& path : others)
        if (now && is_old(path, *now) && !is_being_written(path) && unlink(path.c_str()) == 0) ++removed;
    return removed;
}

}  // namespace fp
