#include "engine/io/hash.h"

#include <fmt/format.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace fp {

struct Xxh3::State {
    XXH3_state_t state;
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->state); }
Xxh3::~Xxh3() = default;

void Xxh3::add(std::span<const std::byte> bytes) {
    if (!bytes.empty()) XXH3_128bits_update(&state_->state, bytes.data(), bytes.size());
}

std::string Xxh3::hex() const {
    const XXH128_hash_t digest = XXH3_128bits_digest(&state_->state);
    return fmt::format("{:016x}{:016x}", digest.high64, digest.low64);
}

std::string xxh3(std::span<const std::byte> bytes) {
    Xxh3 hash;
    hash.add(bytes);
    return hash.hex();
}

uint64_t xxh3_64(std::span<const std::byte> bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace fp
