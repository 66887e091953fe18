#include "kernels/tcp/hello.h"

#include <algorithm>
#include <cstring>

#include "kernels/error.h"

namespace fp::tcp {
namespace {

constexpr uint64_t kHello = 0x6F6C'6C65'6872'7066;   // "fprhello"
constexpr uint64_t kAnswer = 0x7265'7773'6E61'7066;  // "fpanswer"
constexpr uint32_t kVersion = 3;

void put_host(char*& to, const std::string& host) {
    std::memcpy(to, host.data(), std::min(host.size(), kHostBytes));
    to += kHostBytes;
}

// Letters, digits, dots, dashes: what names of hosts are made of and messages may show.
std::string take_host(const char*& from) {
    std::string host(from, ::strnlen(from, kHostBytes));
    for (char& c : host) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '-' && c != '_') c = '?';
    }
    from += kHostBytes;
    return host;
}

}  // namespace

uint64_t hash_of(const std::string& run) {
    uint64_t hash = 0xCBF29CE484222325;
    for (const char c : run) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
    return hash;
}

std::array<char, kHelloBytes> encode(const Hello& hello) {
    std::array<char, kHelloBytes> bytes{};
    char* to = bytes.data();
    put(to, kHello, 8);
    put(to, kVersion, 4);
    put(to, hello.rank, 4);
    put(to, hello.ranks, 4);
    put(to, uint64_t(hello.port), 2);
    put(to, uint64_t(hello.link), 2);
    put(to, hello.run, 8);
    put_host(to, hello.host);
    return bytes;
}

Read decode(std::span<const char, kHelloBytes> bytes, Hello& hello) {
    const char* from = bytes.data();
    if (take(from, 8) != kHello) return Read::stranger;
    if (take(from, 4) != kVersion) return Read::version;
    hello.rank = uint32_t(take(from, 4));
    hello.ranks = uint32_t(take(from, 4));
    hello.port = int(take(from, 2));
    const uint64_t link = take(from, 2);
    if (link > uint64_t(Link::control)) return Read::stranger;
    hello.link = Link(link);
    hello.run = take(from, 8);
    hello.host = take_host(from);
    return Read::hello;
}

std::string_view words(Answer answer) {
    switch (answer) {
        case Answer::welcome:
            return "welcome";
        case Answer::version:
            return "it is of another version of this program";
        case Answer::run:
            return "it is of another run";
        case Answer::ranks:
            return "it is of another number of ranks";
        case Answer::rank:
            return "a process of the same rank has come before";
    }
    return "for no known reason";
}

std::array<char, kAnswerBytes> encode(Answer answer) {
    std::array<char, kAnswerBytes> bytes{};
    char* to = bytes.data();
    put(to, kAnswer, 8);
    put(to, uint64_t(answer), 8);
    return bytes;
}

bool decode(std::span<const char, kAnswerBytes> bytes, Answer& answer) {
    const char* from = bytes.data();
    if (take(from, 8) != kAnswer) return false;
    const uint64_t said = take(from, 8);
    if (said > uint64_t(Answer::rank)) return false;
    answer = Answer(said);
    return true;
}

std::string encode(const std::vector<Place>& places) {
    std::string bytes(places.size() * kPlaceBytes, '\0');
    for (size_t i = 0; i < places.size(); ++i) {
        char* to = bytes.data() + i * kPlaceBytes;
        std::copy(places[i].address.ip.begin(), places[i].address.ip.end(), to);
        to += places[i].address.ip.size();
        put(to, uint64_t(places[i].address.port), 8);
        put_host(to, places[i].host);
    }
    return bytes;
}

std::vector<Place> decode_places(std::span<const char> bytes) {
    FP_REQUIRE(bytes.size() % kPlaceBytes == 0, Exit::device, "rank 0 has told ", bytes.size(),
               " bytes of where ranks listen, which are no places");
    std::vector<Place> places(bytes.size() / kPlaceBytes);
    for (size_t i = 0; i < places.size(); ++i) {
        const char* from = bytes.data() + i * kPlaceBytes;
        std::memcpy(places[i].address.ip.data(), from, 16);
        from += 16;
        const uint64_t port = take(from, 8);
        FP_REQUIRE(port <= 0xFFFF, Exit::device, "rank 0 has told that rank ", i, " listens at port ", port);
        places[i].address.port = int(port);
        places[i].host = take_host(from);
    }
    return places;
}

}  // namespace fp::tcp
