// Counter-based random numbers: Philox 4x32-10 (Salmon et al., 2011, https://doi.org/10.1145/2063384.2063405 ).
// The same key and counter give the same number on every machine and in any order, so there is
// no state to save. Plain constexpr: host, device and emulated code share it.
#pragma once

#include <cstdint>

namespace fp {

struct Philox {
    uint32_t word[4];
};

constexpr Philox philox(uint64_t key, uint64_t counter, uint64_t stream = 0) {
    uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
    uint32_t c0 = uint32_t(counter), c1 = uint32_t(counter >> 32);
    uint32_t c2 = uint32_t(stream), c3 = uint32_t(stream >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t(0xD2511F53u) * c0;
        const uint64_t b = uint64_t(0xCD9E8D57u) * c2;
        c0 = uint32_t(b >> 32) ^ c1 ^ k0;
        c1 = uint32_t(b);
        c2 = uint32_t(a >> 32) ^ c3 ^ k1;
        c3 = uint32_t(a);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// A 64-bit key from parts, so that (seed, epoch, op) and (seed, set, channel) do not coincide by accident.
constexpr uint64_t mix(uint64_t z) {
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
template <class... Rest>
constexpr uint64_t key_of(uint64_t first, Rest... rest) {
    if constexpr (sizeof...(rest) == 0) {
        return mix(first);
    } else {
        return mix(first ^ mix(key_of(uint64_t(rest)...) + 0x2545F4914F6CDD1Du));
    }
}

// Uniform in [0, 1): 24 bits, so float holds it exactly.
constexpr float uniform(uint32_t word) { return float(word >> 8) * 0x1p-24f; }
constexpr float uniform(uint64_t key, uint64_t index) {
    // Selected without an index, which would move the words from registers to memory on a GPU.
    const Philox p = philox(key, index >> 2);
    const uint32_t low = index & 1 ? p.word[1] : p.word[0];
    const uint32_t high = index & 1 ? p.word[3] : p.word[2];
    return uniform(index & 2 ? high : low);
}
// Uniform in [0, 1): 53 bits.
constexpr double uniform_double(uint64_t key, uint64_t index, uint64_t stream = 0) {
    const Philox p = philox(key, index, stream);
    return double(((uint64_t(p.word[0]) << 32) | p.word[1]) >> 11) * 0x1p-53;
}
// Uniform in 0 .. bound - 1, by multiply-shift: bias below bound / 2^64.
constexpr uint64_t uniform_below(uint64_t bound, uint64_t key, uint64_t index, uint64_t stream = 0) {
    const Philox p = philox(key, index, stream);
    const uint64_t bits = (uint64_t(p.word[0]) << 32) | p.word[1];
    return uint64_t((static_cast<unsigned __int128>(bits) * bound) >> 64);
}

}  // namespace fp
