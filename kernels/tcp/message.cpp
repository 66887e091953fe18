#include "kernels/tcp/message.h"

namespace fp::tcp {
namespace {

constexpr uint32_t kCall = 0x6D72'7066;                // "fprm"
constexpr uint64_t kFarewell = 0x6C6C'6577'6572'6166;  // "farewell"

}  // namespace

const char* name_of(Kind kind) {
    switch (kind) {
        case Kind::all_to_all:
            return "all_to_all";
        case Kind::all_gather:
            return "all_gather";
        case Kind::broadcast:
            return "broadcast";
    }
    return "no call";
}

void put(char*& to, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) *to++ = char(value >> (8 * i));
}

uint64_t take(const char*& from, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint64_t(static_cast<unsigned char>(*from++)) << (8 * i);
    return value;
}

std::array<char, kMessageBytes> encode(const Message& message) {
    std::array<char, kMessageBytes> bytes;
    char* to = bytes.data();
    put(to, kCall, 4);
    put(to, uint64_t(message.kind), 4);
    put(to, message.number, 8);
    put(to, message.bytes, 8);
    return bytes;
}

bool decode(std::span<const char, kMessageBytes> bytes, Message& message) {
    const char* from = bytes.data();
    if (take(from, 4) != kCall) return false;
    const uint64_t kind = take(from, 4);
    if (kind > uint64_t(Kind::broadcast)) return false;
    message.kind = Kind(kind);
    message.number = take(from, 8);
    message.bytes = take(from, 8);
    return true;
}

std::array<char, kFarewellBytes> encode(const Farewell& farewell) {
    std::array<char, kFarewellBytes> bytes;
    char* to = bytes.data();
    put(to, kFarewell, 8);
    put(to, farewell.rank, 4);
    put(to, uint64_t(farewell.end), 4);
    put(to, farewell.calls, 8);
    return bytes;
}

bool decode(std::span<const char, kFarewellBytes> bytes, Farewell& farewell) {
    const char* from = bytes.data();
    if (take(from, 8) != kFarewell) return false;
    farewell.rank = uint32_t(take(from, 4));
    const uint64_t end = take(from, 4);
    if (end > uint64_t(End::gone)) return false;
    farewell.end = End(end);
    farewell.calls = take(from, 8);
    return true;
}

}  // namespace fp::tcp
