// Random rearrangements of the units (lesions) of a set of predictions. Each is a function of (seed, r) alone:
// it does not matter who draws it, in which order, or on how many threads.
#pragma once

#include <cstdint>
#include <vector>

namespace fp {

// Resample r of the stratified bootstrap: as many units of each stratum as it has, with replacement.
class Bootstrap {
public:
    Bootstrap(const std::vector<int>& stratum_of_unit, uint64_t seed);
    void draw(uint64_t r, std::vector<uint16_t>& times_of_unit) const;

private:
    std::vector<std::vector<int>> strata_;
    uint64_t seed_;
};

// Permutation r of the labels of the units within each stratum; units of stratum -1 keep theirs.
class Permutation {
public:
    Permutation(const std::vector<int>& stratum_of_unit, std::vector<uint16_t> label_of_unit, uint64_t seed);
    void draw(uint64_t r, std::vector<uint16_t>& label_of_unit) const;

private:
    std::vector<std::vector<int>> strata_;
    std::vector<uint16_t> label_;
    uint64_t seed_;
};

// Swap r: for each unit, whether the two models exchange their predictions, with probability 1/2.
void draw_swaps(uint64_t seed, uint64_t r, std::vector<uint8_t>& swap_of_unit);

}  // namespace fp
