// Sockets of TCP: what join and calls need of them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace fp::tcp {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
Deadline seconds_from_now(double seconds);
int milliseconds_until(Deadline);  // for poll: rounded up, 0 once it has passed

// A descriptor, closed with its owner. It does not block and is not inherited by programs that this one starts.
class Socket {
public:
    explicit Socket(int fd = -1) : fd_(fd) {}
    ~Socket() { close(); }
    Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Socket& operator=(Socket&& other) noexcept {
        if (this != &other) close(), fd_ = std::exchange(other.fd_, -1);
        return *this;
    }
    int fd() const { return fd_; }
    bool is_open() const { return fd_ >= 0; }
    void close();

private:
    int fd_;
};

struct Address {
    std::array<uint8_t, 16> ip{};  // version 6; version 4 as ::ffff:a.b.c.d
    int port = 0;

    bool is_loopback() const;
};
std::string to_text(const Address&);

std::vector<Address> resolve(const std::string& host, int port);  // Exit::device where the name is not known
Address peer_of(const Socket&);                                   // zeros where the connection has ended

// A socket that listens at `port`, 0: a free one. Exit::device where it is in use.
Socket listen_at(int port, bool loopback, int backlog);
int port_of(const Socket& listening);
Socket accept_from(const Socket& listening);  // not open where nobody waits

// Not open where nobody answers until the deadline; `why` then says it.
Socket connect_to(const Address&, Deadline, std::string& why);

// How far a transfer came: bytes moved, or none because it would have to wait (0), or because the other side has closed
// or the connection failed (-1; `why` says it).
std::ptrdiff_t receive_some(const Socket&, void* to, size_t bytes, std::string& why);
// `more` follows: the system may wait for it, to send both at once.
std::ptrdiff_t send_some(const Socket&, const void* from, size_t bytes, bool more, std::string& why);
// All of them, or false until the deadline; `why` then says it.
bool receive_all(const Socket&, void* to, size_t bytes, Deadline, std::string& why);
bool send_all(const Socket&, const void* from, size_t bytes, Deadline, std::string& why);

}  // namespace fp::tcp
