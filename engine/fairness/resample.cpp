#include "engine/fairness/resample.h"

#include <algorithm>
#include <utility>

#include "kernels/random.h"

namespace fp {
namespace {

enum Purpose : uint64_t { kBootstrap = 1, kPermutation, kSwap };

// The numbers of one rearrangement, four from each block of the counter.
class Draws {
public:
    explicit Draws(uint64_t key) : key_(key) {}
    uint32_t next() {
        if (left_ == 0) {
            block_ = philox(key_, counter_++);
            left_ = 4;
        }
        return block_.word[--left_];
    }
    // 0 .. bound - 1; the bias of the multiply-shift is below bound / 2^32.
    uint32_t below(uint32_t bound) { return uint32_t((uint64_t(next()) * bound) >> 32); }

private:
    uint64_t key_, counter_ = 0;
    Philox block_{};
    int left_ = 0;
};

std::vector<std::vector<int>> by_stratum(const std::vector<int>& stratum_of_unit) {
    std::vector<std::vector<int>> strata;
    for (size_t u = 0; u < stratum_of_unit.size(); ++u) {
        const int s = stratum_of_unit[u];
        if (s < 0) continue;
        if (size_t(s) >= strata.size()) strata.resize(s + 1);
        strata[s].push_back(int(u));
    }
    return strata;
}

}  // namespace

Bootstrap::Bootstrap(const std::vector<int>& stratum_of_unit, uint64_t seed)
    : strata_(by_stratum(stratum_of_unit)), seed_(seed) {}

void Bootstrap::draw(uint64_t r, std::vector<uint16_t>& times_of_unit) const {
    std::fill(times_of_unit.begin(), times_of_unit.end(), uint16_t(0));
    Draws draws(key_of(seed_, kBootstrap, r));
    for (const auto& units : strata_)
        for (size_t i = 0; i < units.size(); ++i) ++times_of_unit[units[draws.below(uint32_t(units.size()))]];
}

Permutation::Permutation(const std::vector<int>& stratum_of_unit, std::vector<uint16_t> label_of_unit, uint64_t seed)
    : strata_(by_stratum(stratum_of_unit)), label_(std::move(label_of_unit)), seed_(seed) {}

void Permutation::draw(uint64_t r, std::vector<uint16_t>& label_of_unit) const {
    label_of_unit = label_;
    Draws draws(key_of(seed_, kPermutation, r));
    for (const auto& units : strata_)
        for (size_t i = units.size(); i > 1; --i)
            std::swap(label_of_unit[units[i - 1]], label_of_unit[units[draws.below(uint32_t(i))]]);
}

void draw_swaps(uint64_t seed, uint64_t r, std::vector<uint8_t>& swap_of_unit) {
    Draws draws(key_of(seed, kSwap, r));
    uint32_t bits = 0;
    for (size_t u = 0; u < swap_of_unit.size(); ++u) {
        if (u % 32 == 0) bits = draws.next();
        swap_of_unit[u] = (bits >> (u % 32)) & 1;
    }
}

}  // namespace fp
