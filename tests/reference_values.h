// Weights and inputs by formula, so that values computed elsewhere can be met without files
// (tests/golden/README.md).
//
//   u(name, i) = splitmix64(h(name) + seed G + (i + 1) G) / 2^64 to 53 bits,  h = FNV-1a,  s = 2 u - 1
#pragma once

#include <cstdint>
#include <string>

namespace fp::testing {

class Formula {
public:
    explicit Formula(const std::string& name, uint64_t seed = 0) : start_(hash(name) + seed * kG) {}

    double u(uint64_t i) const {
        uint64_t z = start_ + (i + 1) * kG;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        z ^= z >> 31;
        return double(z >> 11) * 0x1p-53;
    }
    double s(uint64_t i) const { return 2 * u(i) - 1; }

private:
    static constexpr uint64_t kG = 0x9E3779B97F4A7C15u;
    static uint64_t hash(const std::string& name) {
        uint64_t h = 0xcbf29ce484222325u;
        for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001b3u;
        return h;
    }
    uint64_t start_;
};

}  // namespace fp::testing
