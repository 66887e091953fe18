// XXH3, a fast hash that detects damage and change, but not a deliberate forgery.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace fp {

// XXH3-128 of bytes that come in parts.
class Xxh3 {
public:
    Xxh3();
    ~Xxh3();
    void add(std::span<const std::byte> bytes);
    std::string hex() const;  // 32 lower-case hex digits, the most significant first

private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string xxh3(std::span<const std::byte> bytes);
uint64_t xxh3_64(std::span<const std::byte> bytes, uint64_t seed);

}  // namespace fp
