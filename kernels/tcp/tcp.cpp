#include "kernels/tcp/tcp.h"

#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/error.h"
#include "kernels/tcp/hello.h"
#include "kernels/tcp/join.h"

namespace fp::tcp {
namespace {

constexpr uint32_t kMessage = 0x6D72'7066;  // "fprm"
constexpr size_t kHeaderBytes = 24;

enum class Kind : uint32_t { all_to_all, all_gather, broadcast };
std::string name_of(uint64_t kind) {
    switch (kind) {
        case uint64_t(Kind::all_to_all):
            return "all_to_all";
        case uint64_t(Kind::all_gather):
            return "all_gather";
        case uint64_t(Kind::broadcast):
            return "broadcast";
    }
    return "no call";
}

struct Mesh {
    TcpSettings settings;
    std::vector<Peer> peers;
    uint64_t calls = 0;
    std::atomic<bool> aborted{false};
};

// What goes to a peer and comes from it in one call: a header and `bytes` each. Null: nothing.
struct Transfer {
    const char* send = nullptr;
    char* receive = nullptr;
    char out[kHeaderBytes], in[kHeaderBytes];
    size_t sent = 0, received = 0;  // of header and bytes
};

class Call {
public:
    Call(Mesh& mesh, Kind kind, size_t bytes) : mesh_(mesh), kind_(kind), bytes_(bytes), transfers_(mesh.peers.size()) {
        ++mesh.calls;
        char header[kHeaderBytes], *to = header;
        put(to, kMessage, 4);
        put(to, uint64_t(kind), 4);
        put(to, mesh.calls, 8);
        put(to, bytes, 8);
        for (Transfer& t : transfers_) std::memcpy(t.out, header, sizeof header);
    }
    Transfer& with(int rank) { return transfers_[size_t(rank)]; }

    // Moves all that there is to move, whichever peer is ready first.
    void run() {
        Deadline limit = seconds_from_now(mesh_.settings.seconds);
        for (;;) {
            std::vector<pollfd> fds;
            std::vector<int> ranks;
            for (int r = 0; r < int(transfers_.size()); ++r) {
                const short events = short((sends(r) ? POLLOUT : 0) | (receives(r) ? POLLIN : 0));
                if (events == 0) continue;
                fds.push_back({.fd = mesh_.peers[size_t(r)].socket.fd(), .events = events, .revents = 0});
                ranks.push_back(r);
            }
            if (fds.empty()) return;
            const int ready = ::poll(fds.data(), nfds_t(fds.size()), milliseconds_until(limit));
            if (ready < 0 && errno != EINTR) end(text("poll: ", std::strerror(errno)));
            bool moved = false;
            for (size_t i = 0; ready > 0 && i < fds.size(); ++i)
                if (fds[i].revents != 0) moved = move(ranks[i]) || moved;
            if (moved)
                limit = seconds_from_now(mesh_.settings.seconds);
            else if (ready == 0)
                end(awaited());
        }
    }

private:
    size_t whole() const { return kHeaderBytes + bytes_; }
    bool sends(int r) const { return transfers_[size_t(r)].send && transfers_[size_t(r)].sent < whole(); }
    bool receives(int r) const { return transfers_[size_t(r)].receive && transfers_[size_t(r)].received < whole(); }

    // As much as can be moved now; whether anything was.
    bool move(int r) {
        Transfer& t = transfers_[size_t(r)];
        const Socket& socket = mesh_.peers[size_t(r)].socket;
        std::string why;
        bool moved = false;
        std::ptrdiff_t n = 1;
        for (; receives(r) && n > 0; moved = moved || n > 0) {
            const bool header = t.received < kHeaderBytes;
            n = header ? receive_some(socket, t.in + t.received, kHeaderBytes - t.received, why)
                       : receive_some(socket, t.receive + (t.received - kHeaderBytes), whole() - t.received, why);
            if (n < 0) end(text(who(r), " ", why));
            t.received += size_t(n);
            if (header && t.received == kHeaderBytes) check(r);
        }
        for (n = 1; sends(r) && n > 0; moved = moved || n > 0) {
            n = t.sent < kHeaderBytes
                    ? send_some(socket, t.out + t.sent, kHeaderBytes - t.sent, true, why)
                    : send_some(socket, t.send + (t.sent - kHeaderBytes), whole() - t.sent, false, why);
            if (n < 0) end(text(who(r), " ", why));
            t.sent += size_t(n);
        }
        return moved;
    }

    // Ranks that have lost step with each other must not take one another's numbers.
    void check(int r) {
        const char* from = transfers_[size_t(r)].in;
        const uint64_t magic = take(from, 4), kind = take(from, 4), number = take(from, 8), bytes = take(from, 8);
        if (magic == kMessage && kind == uint64_t(kind_) && number == mesh_.calls && bytes == bytes_) return;
        if (magic != kMessage) end(text(who(r), " sends what is no message"));
        end(text(who(r), " is at call ", number, ", ", name_of(kind), " of ", bytes, " bytes, and this rank sends ",
                 bytes_));
    }

    std::string who(int r) const { return text("rank ", r, " on ", mesh_.peers[size_t(r)].host); }
    std::string awaited() const {
        std::string all;
        for (int r = 0; r < int(transfers_.size()); ++r)
            if (sends(r) || receives(r)) all += text(all.empty() ? "" : ", ", who(r));
        return text("nothing has come or gone for ", mesh_.settings.seconds, " s (FAIRPRUNE_TIMEOUT); awaited: ", all);
    }
    // A rank whose call has failed is of no use to the others: they are told by closed connections.
    [[noreturn]] void end(const std::string& why) {
        const bool aborted = mesh_.aborted.exchange(true);
        for (const Peer& peer : mesh_.peers)
            if (peer.socket.is_open()) ::shutdown(peer.socket.fd(), SHUT_RDWR);
        fail_with(Exit::device, name_of(uint64_t(kind_)), ", call ", mesh_.calls, ": ",
                  aborted ? "ended by this process" : why);
    }

    Mesh& mesh_;
    Kind kind_;
    size_t bytes_;
    std::vector<Transfer> transfers_;
};

Mesh& of(void* state) { return *static_cast<Mesh*>(state); }

void all_to_all(void* state, const void* send, void* receive, size_t bytes, Stream) {
    Mesh& mesh = of(state);
    Call call(mesh, Kind::all_to_all, bytes);
    const int me = mesh.settings.rank;
    for (int r = 0; r < mesh.settings.ranks; ++r) {
        const char* const from = static_cast<const char*>(send) + size_t(r) * bytes;
        char* const to = static_cast<char*>(receive) + size_t(r) * bytes;
        if (r == me)
            std::memmove(to, from, bytes);
        else
            call.with(r).send = from, call.with(r).receive = to;
    }
    call.run();
}

void all_gather(void* state, const void* send, void* receive, size_t bytes, Stream) {
    Mesh& mesh = of(state);
    Call call(mesh, Kind::all_gather, bytes);
    for (int r = 0; r < mesh.settings.ranks; ++r) {
        char* const to = static_cast<char*>(receive) + size_t(r) * bytes;
        if (r == mesh.settings.rank)
            std::memmove(to, send, bytes);
        else
            call.with(r).send = static_cast<const char*>(send), call.with(r).receive = to;
    }
    call.run();
}

void broadcast(void* state, void* data, size_t bytes, int from, Stream) {
    Mesh& mesh = of(state);
    Call call(mesh, Kind::broadcast, bytes);
    if (mesh.settings.rank != from)
        call.with(from).receive = static_cast<char*>(data);
    else
        for (int r = 0; r < mesh.settings.ranks; ++r)
            if (r != from) call.with(r).send = static_cast<const char*>(data);
    call.run();
}

// From any thread: a call in progress wakes up and fails.
void abort(void* state) {
    Mesh& mesh = of(state);
    mesh.aborted = true;
    for (const Peer& peer : mesh.peers)
        if (peer.socket.is_open()) ::shutdown(peer.socket.fd(), SHUT_RDWR);
}

// A rank closes its connections when it has ended.
std::string lost(void* state) {
    std::vector<pollfd> fds;
    std::vector<size_t> ranks;
    const Mesh& mesh = of(state);
    for (size_t r = 0; r < mesh.peers.size(); ++r) {
        if (!mesh.peers[r].socket.is_open()) continue;
        fds.push_back({.fd = mesh.peers[r].socket.fd(), .events = POLLRDHUP, .revents = 0});
        ranks.push_back(r);
    }
    if (::poll(fds.data(), nfds_t(fds.size()), 0) <= 0) return "";
    for (size_t i = 0; i < fds.size(); ++i)
        if (fds[i].revents != 0)
            return text("rank ", ranks[i], " on ", mesh.peers[ranks[i]].host, " has closed its connection");
    return "";
}

}  // namespace
}  // namespace fp::tcp

namespace fp {

Collectives open_tcp(const TcpSettings& settings) {
    auto mesh = std::make_unique<tcp::Mesh>();
    mesh->settings = settings;
    mesh->peers = tcp::join(settings);
    return {.name = "tcp",
            .state = mesh.release(),
            .all_to_all = tcp::all_to_all,
            .all_gather = tcp::all_gather,
            .broadcast = tcp::broadcast,
            .abort = tcp::abort,
            .lost = tcp::lost,
            .close = [](void* state) { delete static_cast<tcp::Mesh*>(state); }};
}

}  // namespace fp
