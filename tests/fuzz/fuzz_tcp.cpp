// Any bytes as what ranks tell each other over TCP: refused, or read into values that are in range and that are written as
// the same bytes, except the name of a host, which then has only characters that a message may show.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kernels/error.h"
#include "kernels/tcp/hello.h"

namespace {

using namespace fp::tcp;

// The start of what came, as long as To.
template <size_t bytes>
bool starts(std::span<const char> data, std::array<char, bytes>& to) {
    if (data.size() < bytes) return false;
    std::copy_n(data.begin(), bytes, to.begin());
    return true;
}

template <class Value, size_t bytes>
void read_and_write(std::span<const char> data) {
    std::array<char, bytes> front;
    Value value{};
    if (starts(data, front) && decode(front, value) && encode(value) != front) std::abort();
}

void check_host(const std::string& host) {
    const auto plain = [](char c) { return c > ' ' && c < '\x7F'; };
    if (host.size() > kHostBytes || !std::all_of(host.begin(), host.end(), plain)) std::abort();
}

void read_hello(std::span<const char> data) {
    std::array<char, kHelloBytes> front;
    Hello hello, again;
    if (!starts(data, front) || decode(front, hello) != Read::hello) return;
    check_host(hello.host);
    const auto written = encode(hello);
    if (!std::equal(written.begin(), written.end() - kHostBytes, front.begin())) std::abort();
    if (decode(written, again) != Read::hello || again != hello) std::abort();
}

void read_places(std::span<const char> data) {
    try {
        const auto places = decode_places(data);
        if (places.size() * kPlaceBytes != data.size()) std::abort();
        for (const Place& place : places) {
            check_host(place.host);
            if (place.address.port < 0 || place.address.port > 0xFFFF || to_text(place.address).empty()) std::abort();
        }
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::device) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::span<const char> bytes(reinterpret_cast<const char*>(data), size);
    read_hello(bytes);
    read_places(bytes);
    read_and_write<Answer, kAnswerBytes>(bytes);
    read_and_write<Message, kMessageBytes>(bytes);
    read_and_write<Farewell, kFarewellBytes>(bytes);
    return 0;
}
