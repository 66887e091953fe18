#include "tests/broken_disk.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <utility>

namespace {

struct Plan {
    std::string call, part;
    int error = 0;
    int after = 0;
};
Plan* plan = nullptr;

std::string path_of(int file) {
    char path[PATH_MAX];
    const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path, sizeof path);
    return length > 0 ? std::string(path, size_t(length)) : "";
}

// Sets errno where the call is to fail.
bool fails(const char* call, const std::string& path) {
    if (plan->call != call && plan->call != "any") return false;
    if (path.find(plan->part) == path.npos) return false;
    if (plan->after > 0) {
        --plan->after;
        return false;
    }
    if (plan->error == fp::testing::BrokenDisk::kKill) raise(SIGKILL);
    errno = plan->error;
    return true;
}

template <class Call>
Call* system_call(const char* name) {
    return reinterpret_cast<Call*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

namespace fp::testing {

BrokenDisk::BrokenDisk(std::string call, int error, int after, std::string part) {
    plan = new Plan{std::move(call), std::move(part), error, after};
}
BrokenDisk::~BrokenDisk() { delete std::exchange(plan, nullptr); }

}  // namespace fp::testing

extern "C" ssize_t write(int file, const void* bytes, size_t count) {
    static auto* const real = system_call<ssize_t(int, const void*, size_t)>("write");
    if (plan && fails("write", path_of(file))) return -1;
    return real(file, bytes, count);
}

extern "C" int fsync(int file) {
    static auto* const real = system_call<int(int)>("fsync");
    if (plan && fails("fsync", path_of(file))) return -1;
    return real(file);
}

extern "C" int close(int file) {
    static auto* const real = system_call<int(int)>("close");
    const bool failed = plan && fails("close", path_of(file));
    const int error = errno;
    const int result = real(file);
    if (!failed) return result;
    errno = error;
    return -1;
}

extern "C" int rename(const char* from, const char* to) noexcept {
    static auto* const real = system_call<int(const char*, const char*)>("rename");
    if (plan && fails("rename", from)) return -1;
    return real(from, to);
}

extern "C" int link(const char* from, const char* to) noexcept {
    static auto* const real = system_call<int(const char*, const char*)>("link");
    if (plan && fails("link", to)) return -1;
    return real(from, to);
}

extern "C" int unlink(const char* path) noexcept {
    static auto* const real = system_call<int(const char*)>("unlink");
    if (plan && fails("unlink", path)) return -1;
    return real(path);
}
