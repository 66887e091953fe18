// Hashes of bytes, as lower-case hex. XXH3-128 finds damage, fast; SHA-256 (FIPS 180-4) is the identity
// of a published file.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "kernels/error.h"

namespace fp {

class Xxh3 {
public:
    Xxh3();
    ~Xxh3();
    void add(std::span<const std::byte> bytes);
    std::string hex() const;  // 32 digits, the number's highest first

private:
    struct State;
    std::unique_ptr<State> state_;
};

class Sha256 {
public:
    void add(std::span<const std::byte> bytes);
    std::string hex();  // 64 digits; nothing can be added afterwards

private:
    void add_block(const std::byte* block);

    std::array<uint32_t, 8> h_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                               0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    std::array<std::byte, 64> block_{};
    uint64_t bytes_ = 0;
};

std::string xxh3(std::span<const std::byte> bytes);
uint64_t xxh3_64(std::span<const std::byte> bytes, uint64_t seed);
std::string sha256(std::span<const std::byte> bytes);
std::string sha256_of_file(const std::filesystem::path& path, Exit exit = Exit::data);

}  // namespace fp
