#include "engine/core/memory.h"

#include <algorithm>
#include <atomic>

namespace fp {

namespace {
std::atomic<int64_t> bytes_on_devices = 0, most_bytes_on_devices = 0;
}

int64_t device_bytes_in_use() { return bytes_on_devices; }
int64_t most_device_bytes() { return most_bytes_on_devices; }
void count_device_bytes(int64_t more) {
    const int64_t now = bytes_on_devices += more;
    int64_t most = most_bytes_on_devices;
    while (now > most && !most_bytes_on_devices.compare_exchange_weak(most, now)) {}
}

constexpr size_t kAlign = 256;  // bytes: enough for vector loads, and what copies are fastest with
constexpr size_t kSlab = size_t(32) << 20;

void* Arena::take(size_t wanted) {
    const size_t bytes = std::max(kAlign, size_t(round_up(int64_t(wanted), kAlign)));
    // Best fit: the smallest block that holds it, the first of those.
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it)
        if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
    if (best == free_.end()) {
        const Buffer& slab = slabs_.emplace_back(memory_, std::max(bytes, kSlab));
        ++generation_;
        best = free_.emplace(slab.as<char>(), slab.bytes()).first;
    }
    const auto [block, size] = *best;
    free_.erase(best);
    if (size > bytes) free_.emplace(block + bytes, size - bytes);
    taken_.emplace(block, bytes);
    return block;
}

void Arena::give(void* block) {
    const auto found = taken_.find(block);
    FP_CHECK(found != taken_.end(), "arena: a block was given back that was not taken");
    char* start = static_cast<char*>(block);
    size_t bytes = found->second;
    taken_.erase(found);

    // Join with free neighbours of the same slab.
    const auto next = free_.lower_bound(start);
    if (next != free_.end() && start + bytes == next->first && !starts_slab(next->first)) {
        bytes += next->second;
        free_.erase(next);
    }
    const auto here = free_.lower_bound(start);
    if (here != free_.begin() && !starts_slab(start)) {
        const auto before = std::prev(here);
        if (before->first + before->second == start) {
            before->second += bytes;
            return;
        }
    }
    free_.emplace(start, bytes);
}

// Replaces slabs that were added while the step grew by one that holds them all.
void Arena::reset() {
    free_.clear();
    taken_.clear();
    if (slabs_.size() > 1) {
        const size_t total = capacity_bytes();
        slabs_.clear();  // before the new one is allocated, since both may not fit
        slabs_.emplace_back(memory_, total);
        ++generation_;
    }
    if (!slabs_.empty()) free_.emplace(slabs_.front().as<char>(), slabs_.front().bytes());
}

size_t Arena::capacity_bytes() const {
    size_t total = 0;
    for (const Buffer& slab : slabs_) total += slab.bytes();
    return total;
}

bool Arena::starts_slab(const char* address) const {
    return std::ranges::any_of(slabs_, [&](const Buffer& slab) { return slab.data() == address; });
}

}  // namespace fp
