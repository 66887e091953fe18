// A disk that fails on demand: this program's own write, fsync, close, rename, link and unlink, linked
// before the system's.
#pragma once

#include <string>

namespace fp::testing {

// From now to the end of its life, on files whose path contains `part`, the call named (or "any") fails
// with `error` from its `after`-th use on (0: at once). kKill instead ends the process there, by SIGKILL.
class BrokenDisk {
public:
    static constexpr int kKill = -1;

    BrokenDisk(std::string call, int error, int after = 0, std::string part = ".tmp.");
    ~BrokenDisk();
};

}  // namespace fp::testing
