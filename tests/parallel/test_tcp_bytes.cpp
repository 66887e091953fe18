#include <gmock/gmock.h>

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include "kernels/error.h"
#include "kernels/tcp/control.h"
#include "kernels/tcp/hello.h"

namespace fp::testing {
namespace {

using namespace tcp;

// ---- The connection for control

// Its two ends.
std::pair<Socket, Socket> pair_of_sockets() {
    const Socket listening = listen_at(0, true, 1);
    std::string why;
    Socket one = connect_to(resolve("127.0.0.1", port_of(listening))[0], seconds_from_now(5), why), other;
    while (!other.is_open()) other = accept_from(listening);
    return {std::move(one), std::move(other)};
}

Heard heard_at(const Socket& control) {
    Heard heard;
    for (int i = 0; i < 2000 && heard.is == Heard::Is::nothing; ++i) {
        heard = hear(control, 4);
        if (heard.is == Heard::Is::nothing) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return heard;
}

TEST(TcpControl, SaysFarewellOnceForAll) {
    auto [here, there] = pair_of_sockets();
    EXPECT_EQ(hear(here, 4).is, Heard::Is::nothing);
    say(there, {.rank = 3, .end = End::failed});
    there.close();
    for (int i = 0; i < 2; ++i) {
        const Heard heard = heard_at(here);
        EXPECT_EQ(heard.is, Heard::Is::farewell);
        EXPECT_EQ(heard.farewell, (Farewell{.rank = 3, .end = End::failed}));
    }
}

TEST(TcpControl, AnEndWithoutWordsIsAnEnd) {
    auto [here, there] = pair_of_sockets();
    there.close();
    EXPECT_EQ(heard_at(here).is, Heard::Is::closed);
    say(here, {.rank = 0});  // to nobody: no signal, no error
}

TEST(TcpControl, NoFarewellIsTakenFromStrangers) {
    for (const std::string& bytes : {std::string(kFarewellBytes, 'x'), [] {
                                         const auto good = encode(Farewell{.rank = 4});  // of 0 .. 3
                                         return std::string(good.data(), good.size());
                                     }()}) {
        auto [here, there] = pair_of_sockets();
        std::string why;
        send_all(there, bytes.data(), bytes.size(), seconds_from_now(5), why);
        const Heard heard = heard_at(here);
        EXPECT_EQ(heard.is, Heard::Is::lost);
        EXPECT_EQ(heard.why, "it sends what is no farewell");
    }
    auto [here, there] = pair_of_sockets();
    std::string why;
    send_all(there, "fare", 4, seconds_from_now(5), why);
    there.close();
    EXPECT_EQ(heard_at(here).is, Heard::Is::closed);
}

// ---- Bytes from the network

TEST(TcpBytes, AreReadAsTheyWereWritten) {
    const Hello hello{.rank = 3,
                      .ranks = 70'000,
                      .port = 65535,
                      .link = Link::control,
                      .run = 0x0123456789ABCDEF,
                      .host = "node-7.cluster"};
    Hello read;
    EXPECT_EQ(decode(encode(hello), read), Read::hello);
    EXPECT_EQ(read, hello);
    EXPECT_EQ(encode(hello)[0], 'f');  // "fprhello"
    Hello long_name = hello;
    long_name.host = std::string(300, 'n');
    EXPECT_EQ(decode(encode(long_name), read), Read::hello);
    EXPECT_EQ(read.host, std::string(kHostBytes, 'n'));

    Place place{.address = resolve("127.0.0.1", 1234)[0], .host = "a"};
    const std::string bytes = encode(std::vector<Place>{place, place});
    const auto places = decode_places(bytes);
    ASSERT_EQ(places.size(), 2u);
    EXPECT_EQ(to_text(places[1].address), "127.0.0.1:1234");
    EXPECT_TRUE(places[1].address.is_loopback());
    EXPECT_EQ(places[1].host, "a");
    EXPECT_NE(hash_of("a run"), hash_of("another run"));

    const Message message{.kind = Kind::broadcast, .number = 1ull << 40, .bytes = 0xFEDCBA9876543210};
    Message message_read;
    EXPECT_TRUE(decode(encode(message), message_read));
    EXPECT_EQ(message_read, message);
    const Farewell farewell{.rank = 70'000, .end = End::failed, .calls = 1ull << 40};
    Farewell farewell_read;
    EXPECT_TRUE(decode(encode(farewell), farewell_read));
    EXPECT_EQ(farewell_read, farewell);
}

// Every value of every byte, one at a time: whatever is read is in range, and no name can move a terminal's cursor.
TEST(TcpBytes, ChangedBytesAreReadOrRefused) {
    const auto good = encode(Hello{.rank = 1, .ranks = 2, .port = 80, .run = 7, .host = "host"});
    int refused = 0;
    for (size_t i = 0; i < good.size(); ++i)
        for (int value = 0; value < 256; ++value) {
            auto bytes = good;
            bytes[i] = char(value);
            Hello hello;
            const Read read = decode(bytes, hello);
            if (bytes == good) continue;
            EXPECT_EQ(read == Read::stranger, i < 8 || (i == 22 && value > 1) || i == 23) << i;
            EXPECT_EQ(read == Read::version, i >= 8 && i < 12) << i;
            refused += read != Read::hello;
            if (read != Read::hello) continue;
            EXPECT_LE(hello.host.size(), kHostBytes);
            EXPECT_THAT(hello.host, ::testing::Each(::testing::AllOf(::testing::Gt(' '), ::testing::Lt('\x7F'))));
        }
    EXPECT_EQ(refused, 14 * 255 - 1);
    const auto welcome = encode(Answer::welcome);
    for (size_t i = 0; i < welcome.size(); ++i)
        for (int value = 0; value < 256; ++value) {
            auto bytes = welcome;
            bytes[i] = char(value);
            Answer answer = Answer::welcome;
            const bool is_answer = decode(bytes, answer);
            EXPECT_EQ(is_answer, bytes == welcome || (i == 8 && value <= int(Answer::rank))) << i << " " << value;
            EXPECT_FALSE(words(answer).empty());
        }
    const std::string places = encode(std::vector<Place>{{.address = resolve("127.0.0.1", 1)[0], .host = "h"}});
    for (size_t length = 1; length < places.size(); ++length)
        EXPECT_THROW(decode_places({places.data(), length}), Error) << length;
    std::string port = places;
    port[18] = 1;
    EXPECT_THROW(decode_places(port), Error);
    EXPECT_TRUE(decode_places({}).empty());
}

}  // namespace
}  // namespace fp::testing
