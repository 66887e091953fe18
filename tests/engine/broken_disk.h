// A disk that fails on demand: this program's own write, fsync, close and rename, linked before the system's.
#pragma once

#include <string>

namespace fp::testing {

// From now to the end of its life, the call named ("write", "fsync", "close", "rename") fails with
// `error` from its `after`-th use on (0: at once), on files whose path contains `part`.
class BrokenDisk {
public:
    BrokenDisk(std::string call, int error, int after = 0, std::string part = ".tmp.");
    ~BrokenDisk();
};

}  // namespace fp::testing
