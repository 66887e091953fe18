// The images of a run that could not be read.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace fp {

// Filled by several threads at once.
class UnreadableImages {
public:
    void add(int64_t sample, const std::string& reason) {
        const std::lock_guard lock(mutex_);
        reasons_.emplace(sample, reason);
    }
    std::map<int64_t, std::string> reasons() const {  // by sample
        const std::lock_guard lock(mutex_);
        return reasons_;
    }

private:
    mutable std::mutex mutex_;
    std::map<int64_t, std::string> reasons_;
};

}  // namespace fp
