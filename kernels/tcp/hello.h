// What ranks tell each other while they join, as bytes. These come from the network: anything may come.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/tcp/message.h"
#include "kernels/tcp/socket.h"

namespace fp::tcp {

constexpr size_t kHelloBytes = 88, kAnswerBytes = 16, kPlaceBytes = 80;
constexpr size_t kHostBytes = 56;  // longer names of hosts are cut

// Which of a pair's two connections this is (tcp.h).
enum class Link : uint16_t { calls, control };

struct Hello {
    uint32_t rank = 0, ranks = 0;
    int port = 0;  // that it listens at
    Link link = Link::calls;
    uint64_t run = 0;
    std::string host = {};
    bool operator==(const Hello&) const = default;
};
std::array<char, kHelloBytes> encode(const Hello&);

enum class Answer : uint32_t { welcome, version, run, ranks, rank };
std::string_view words(Answer);  // why a rank is refused
std::array<char, kAnswerBytes> encode(Answer);

// What came instead of a hello: no bytes of ours, or a version of ours that is another.
enum class Read { hello, stranger, version };
Read decode(std::span<const char, kHelloBytes>, Hello& to);
// False where these are no answer.
bool decode(std::span<const char, kAnswerBytes>, Answer& to);

// Where each rank listens.
struct Place {
    Address address;
    std::string host;
};
std::string encode(const std::vector<Place>&);
// Exit::device where the bytes are no places.
std::vector<Place> decode_places(std::span<const char>);

// A run's words as a number (FNV-1a).
uint64_t hash_of(const std::string& run);

}  // namespace fp::tcp
