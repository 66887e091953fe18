#include "engine/io/tensorboard.h"

#include <array>
#include <bit>

namespace fp {
namespace {

// Little endian, as the host is and as both the frames and protocol buffers want it.
template <class T>
void put_fixed(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_varint(std::string& out, uint64_t value) {
    for (; value >= 0x80; value >>= 7) out.push_back(char(value | 0x80));
    out.push_back(char(value));
}

enum Wire { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
void put_key(std::string& out, int field, Wire wire) { put_varint(out, uint64_t(field << 3 | wire)); }
template <class T>  // double or float
void put_real(std::string& out, int field, T value) {
    put_key(out, field, sizeof value == 8 ? kFixed64 : kFixed32);
    put_fixed(out, value);
}
void put_bytes(std::string& out, int field, std::string_view value) {
    put_key(out, field, kBytes);
    put_varint(out, value.size());
    out += value;
}

// length, masked checksum of the length, the event, masked checksum of the event
std::string frame(const std::string& event) {
    const auto masked = [](std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; };
    std::string out;
    static_assert(std::endian::native == std::endian::little);
    put_fixed(out, uint64_t(event.size()));
    put_fixed(out, masked(out));
    out += event;
    put_fixed(out, masked(event));
    return out;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
    static constexpr std::array<uint32_t, 256> kTable = [] {
        std::array<uint32_t, 256> table{};
        for (uint32_t i = 0; i < 256; ++i) {
            uint32_t r = i;
            for (int bit = 0; bit < 8; ++bit) r = r >> 1 ^ (r & 1 ? 0x82f63b78u : 0);
            table[i] = r;
        }
        return table;
    }();
    uint32_t r = ~0u;
    for (const char c : bytes) r = r >> 8 ^ kTable[(r ^ uint8_t(c)) & 0xff];
    return ~r;
}

std::string event_file_header(double seconds_since_1970) {
    std::string event;
    put_real(event, 1, seconds_since_1970);
    put_bytes(event, 3, "brain.Event:2");
    return frame(event);
}

std::string scalar_event(double seconds_since_1970,
                         int64_t step,
                         const std::vector<std::pair<std::string, double>>& values) {
    std::string summary;
    for (const auto& [tag, number] : values) {
        std::string value;
        put_bytes(value, 1, tag);
        put_real(value, 2, float(number));
        put_bytes(summary, 1, value);
    }
    std::string event;
    put_real(event, 1, seconds_since_1970);
    put_key(event, 2, kVarint);
    put_varint(event, uint64_t(step));
    put_bytes(event, 5, summary);
    return frame(event);
}

}  // namespace fp
