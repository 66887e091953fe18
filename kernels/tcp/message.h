// What ranks that have joined tell each other, as bytes. These come from the network: anything may come.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace fp::tcp {

enum class Kind : uint32_t { all_to_all, all_gather, broadcast };
const char* name_of(Kind);

// In front of what a rank sends in a call.
struct Message {
    Kind kind = Kind::all_to_all;
    uint64_t number = 0;  // of the call: 1, 2, ...
    uint64_t bytes = 0;   // that follow
    bool operator==(const Message&) const = default;
};
constexpr size_t kMessageBytes = 24;
std::array<char, kMessageBytes> encode(const Message&);
bool decode(std::span<const char, kMessageBytes>, Message& to);  // false: no message

// The last words of a rank.
enum class End : uint32_t {
    left,    // its work is done
    failed,  // it ends with an error of its own
    gone     // it has lost `rank`
};
struct Farewell {
    uint32_t rank = 0;  // that was the first to end
    End end = End::left;
    uint64_t calls = 0;  // that the rank which says this has completed
    bool operator==(const Farewell&) const = default;
};
constexpr size_t kFarewellBytes = 24;
std::array<char, kFarewellBytes> encode(const Farewell&);
bool decode(std::span<const char, kFarewellBytes>, Farewell& to);  // false: no farewell

// Numbers, little-endian.
void put(char*& to, uint64_t value, int bytes);
uint64_t take(const char*& from, int bytes);

}  // namespace fp::tcp
