#include "kernels/tcp/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "kernels/error.h"

namespace fp::tcp {
namespace {

constexpr std::array<uint8_t, 12> kVersion4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

bool is_version4(const Address& a) { return std::equal(kVersion4.begin(), kVersion4.end(), a.ip.begin()); }

// An address in the form that the system's calls take.
struct Native {
    sockaddr_storage of{};
    socklen_t bytes = sizeof(sockaddr_storage);

    Native() = default;
    explicit Native(const Address& a) {
        if (is_version4(a)) {
            auto& in = reinterpret_cast<sockaddr_in&>(of);
            in.sin_family = AF_INET;
            in.sin_port = htons(uint16_t(a.port));
            std::memcpy(&in.sin_addr, a.ip.data() + 12, 4);
            bytes = sizeof in;
        } else {
            auto& in = reinterpret_cast<sockaddr_in6&>(of);
            in.sin6_family = AF_INET6;
            in.sin6_port = htons(uint16_t(a.port));
            std::memcpy(&in.sin6_addr, a.ip.data(), 16);
            bytes = sizeof in;
        }
    }
    sockaddr* get() { return reinterpret_cast<sockaddr*>(&of); }
    int family() const { return of.ss_family; }

    Address address() const {
        Address a;
        if (of.ss_family == AF_INET) {
            const auto& in = reinterpret_cast<const sockaddr_in&>(of);
            std::copy(kVersion4.begin(), kVersion4.end(), a.ip.begin());
            std::memcpy(a.ip.data() + 12, &in.sin_addr, 4);
            a.port = ntohs(in.sin_port);
        } else {
            const auto& in = reinterpret_cast<const sockaddr_in6&>(of);
            std::memcpy(a.ip.data(), &in.sin6_addr, 16);
            a.port = ntohs(in.sin6_port);
        }
        return a;
    }
};

void set(const Socket& s, int level, int option, int value) { setsockopt(s.fd(), level, option, &value, sizeof value); }

// Small messages are sent at once. Where nothing is on its way, a host that has vanished is noticed within 2 + 5 x 1 s of
// its last byte: its system, and not the program, answers to keep-alive. TCP_USER_TIMEOUT would bound the time where
// something is on its way too, but also that of a rank that does not read because it computes.
void prepare(const Socket& s) {
    set(s, IPPROTO_TCP, TCP_NODELAY, 1);
    set(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(s, IPPROTO_TCP, TCP_KEEPIDLE, 2);
    set(s, IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(s, IPPROTO_TCP, TCP_KEEPCNT, 5);
}

Socket open_socket(int family) { return Socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// Waits until the socket can move bytes.
bool wait_for(const Socket& s, short events, Deadline deadline, std::string& why) {
    for (;;) {
        pollfd p{.fd = s.fd(), .events = events, .revents = 0};
        const int ready = ::poll(&p, 1, milliseconds_until(deadline));
        if (ready > 0) return true;
        if (ready < 0 && errno == EINTR) continue;
        why = ready < 0 ? std::strerror(errno) : "no answer in time";
        return false;
    }
}

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Deadline seconds_from_now(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

int milliseconds_until(Deadline deadline) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return int(std::clamp<int64_t>(left, 0, 1 << 30));
}

void Socket::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool Address::is_loopback() const {
    static constexpr std::array<uint8_t, 16> one{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    return is_version4(*this) ? ip[12] == 127 : ip == one;
}

std::string to_text(const Address& a) {
    char words[INET6_ADDRSTRLEN] = "";
    if (is_version4(a)) {
        inet_ntop(AF_INET, a.ip.data() + 12, words, sizeof words);
        return text(words, ":", a.port);
    }
    inet_ntop(AF_INET6, a.ip.data(), words, sizeof words);
    return text("[", words, "]:", a.port);
}

std::vector<Address> resolve(const std::string& host, int port) {
    addrinfo wanted{};
    wanted.ai_family = AF_UNSPEC;
    wanted.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int failed = ::getaddrinfo(host.c_str(), nullptr, &wanted, &found);
    FP_REQUIRE(failed == 0, Exit::device, "the address `", host, "` of rank 0 is not known: ", ::gai_strerror(failed));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    std::vector<Address> out;
    for (const addrinfo* i = found; i; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6) continue;
        Native native;
        std::memcpy(&native.of, i->ai_addr, i->ai_addrlen);
        out.push_back(native.address());
        out.back().port = port;
    }
    return out;
}

Address peer_of(const Socket& s) {
    Native native;
    return ::getpeername(s.fd(), native.get(), &native.bytes) == 0 ? native.address() : Address{};
}

Socket listen_at(int port, bool loopback, int backlog) {
    Address any;  // of either version
    any.port = port;
    Socket s = open_socket(loopback ? AF_INET : AF_INET6);
    if (s.is_open() && !loopback) set(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (!s.is_open() || loopback) {  // no version 6 on this host, or not wanted
        if (!s.is_open()) s = open_socket(AF_INET);
        std::copy(kVersion4.begin(), kVersion4.end(), any.ip.begin());
        if (loopback) any.ip[12] = 127, any.ip[15] = 1;
    }
    FP_REQUIRE(s.is_open(), Exit::device, "no socket can be opened: ", std::strerror(errno));
    set(s, SOL_SOCKET, SO_REUSEADDR, 1);
    Native native(any);
    const bool bound = ::bind(s.fd(), native.get(), native.bytes) == 0;
    FP_REQUIRE(bound && ::listen(s.fd(), backlog) == 0, Exit::device, "cannot listen at port ", port, ": ",
               std::strerror(errno));
    return s;
}

int port_of(const Socket& listening) {
    Native native;
    FP_CHECK(::getsockname(listening.fd(), native.get(), &native.bytes) == 0, "getsockname: ", std::strerror(errno));
    return native.address().port;
}

Socket accept_from(const Socket& listening) {
    Socket s(::accept4(listening.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (s.is_open()) prepare(s);
    return s;
}

Socket connect_to(const Address& address, Deadline deadline, std::string& why) {
    Native native(address);
    Socket s = open_socket(native.family());
    if (!s.is_open()) return why = std::strerror(errno), Socket();
    if (::connect(s.fd(), native.get(), native.bytes) != 0) {
        if (errno != EINPROGRESS) return why = std::strerror(errno), Socket();
        if (!wait_for(s, POLLOUT, deadline, why)) return Socket();
        int failed = 0;
        socklen_t bytes = sizeof failed;
        ::getsockopt(s.fd(), SOL_SOCKET, SO_ERROR, &failed, &bytes);
        if (failed != 0) return why = std::strerror(failed), Socket();
    }
    prepare(s);
    return s;
}

std::ptrdiff_t receive_some(const Socket& s, void* to, size_t bytes, std::string& why) {
    const ssize_t got = ::recv(s.fd(), to, bytes, 0);
    if (got > 0) return got;
    if (got < 0 && would_wait()) return 0;
    why = got == 0 || errno == ECONNRESET ? "has closed its connection" : text("is lost: ", std::strerror(errno));
    return -1;
}

std::ptrdiff_t send_some(const Socket& s, const void* from, size_t bytes, bool more, std::string& why) {
    const ssize_t sent = ::send(s.fd(), from, bytes, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (sent >= 0) return sent;
    if (would_wait()) return 0;
    why = errno == EPIPE || errno == ECONNRESET ? "has closed its connection" : text("is lost: ", std::strerror(errno));
    return -1;
}

bool receive_all(const Socket& s, void* to, size_t bytes, Deadline deadline, std::string& why) {
    for (size_t done = 0; done < bytes;) {
        const std::ptrdiff_t got = receive_some(s, static_cast<char*>(to) + done, bytes - done, why);
        if (got < 0 || (got == 0 && !wait_for(s, POLLIN, deadline, why))) return false;
        done += size_t(got);
    }
    return true;
}

bool send_all(const Socket& s, const void* from, size_t bytes, Deadline deadline, std::string& why) {
    for (size_t done = 0; done < bytes;) {
        const std::ptrdiff_t sent = send_some(s, static_cast<const char*>(from) + done, bytes - done, false, why);
        if (sent < 0 || (sent == 0 && !wait_for(s, POLLOUT, deadline, why))) return false;
        done += size_t(sent);
    }
    return true;
}

}  // namespace fp::tcp
