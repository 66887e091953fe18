#include "engine/io/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "engine/io/files.h"

namespace fp {
namespace {

std::string hex_of(std::span<const unsigned char> bytes) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string out;
    for (const unsigned char b : bytes) out += {kHex[b >> 4], kHex[b & 15]};
    return out;
}

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

}  // namespace

struct Xxh3::State {
    XXH3_state_t state;
};

Xxh3::Xxh3() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->state); }
Xxh3::~Xxh3() = default;

void Xxh3::add(std::span<const std::byte> bytes) {
    if (!bytes.empty()) XXH3_128bits_update(&state_->state, bytes.data(), bytes.size());
}

std::string Xxh3::hex() const {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->state));
    return hex_of(canonical.digest);
}

// FIPS 180-4, 6.2.2; the letters are the standard's.
void Sha256::add_block(const std::byte* block) {
    uint32_t w[64];
    for (int t = 0; t < 16; ++t) {
        w[t] = 0;
        for (int i = 0; i < 4; ++i) w[t] = (w[t] << 8) | uint32_t(block[4 * t + i]);
    }
    for (int t = 16; t < 64; ++t) {
        const uint32_t x = w[t - 15], y = w[t - 2];
        const uint32_t s0 = std::rotr(x, 7) ^ std::rotr(x, 18) ^ (x >> 3);
        const uint32_t s1 = std::rotr(y, 17) ^ std::rotr(y, 19) ^ (y >> 10);
        w[t] = s1 + w[t - 7] + s0 + w[t - 16];
    }
    auto [a, b, c, d, e, f, g, h] = h_;
    for (int t = 0; t < 64; ++t) {
        const uint32_t t1 =
            h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + kRound[t] + w[t];
        const uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    const uint32_t sums[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) h_[i] += sums[i];
}

void Sha256::add(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const size_t used = bytes_ % 64;
        const size_t part = std::min(64 - used, bytes.size());
        std::memcpy(block_.data() + used, bytes.data(), part);
        bytes_ += part;
        bytes = bytes.subspan(part);
        if (used + part == 64) add_block(block_.data());
    }
}

std::string Sha256::hex() {
    const uint64_t bits = bytes_ * 8;
    add(std::array{std::byte{0x80}});
    while (bytes_ % 64 != 56) add(std::array{std::byte{0}});
    std::array<std::byte, 8> length;
    for (int i = 0; i < 8; ++i) length[i] = std::byte(bits >> (56 - 8 * i));
    add(length);
    unsigned char digest[32];
    for (int i = 0; i < 32; ++i) digest[i] = static_cast<unsigned char>(h_[i / 4] >> (24 - 8 * (i % 4)));
    return hex_of(digest);
}

std::string xxh3(std::span<const std::byte> bytes) {
    Xxh3 hash;
    hash.add(bytes);
    return hash.hex();
}

uint64_t xxh3_64(std::span<const std::byte> bytes, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::string sha256(std::span<const std::byte> bytes) {
    Sha256 hash;
    hash.add(bytes);
    return hash.hex();
}

std::string sha256_of_file(const std::filesystem::path& path, Exit exit) {
    const InputFile file(path, exit);
    Sha256 hash;
    Bytes part(1 << 16);
    for (uint64_t at = 0; at < file.bytes(); at += part.size()) {
        const std::span<std::byte> now(part.data(), std::min<uint64_t>(part.size(), file.bytes() - at));
        file.read(at, now);
        hash.add(now);
    }
    return hash.hex();
}

}  // namespace fp
