#include "kernels/tcp/tcp.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/error.h"
#include "kernels/tcp/control.h"
#include "kernels/tcp/join.h"
#include "kernels/tcp/message.h"

namespace fp::tcp {
namespace {

struct Mesh {
    TcpSettings settings;
    std::vector<Peer> peers;
    uint64_t calls = 0;                  // begun
    std::atomic<uint64_t> completed{0};  // the last of these that was
    std::atomic<bool> aborted{false};
    std::mutex mutex;          // of what follows
    std::string lost = {};     // the rank whose end has ended this one's calls
    std::vector<Heard> heard;  // on each peer's control connection; the first that is not nothing stays

    std::string who(int r) const { return text("rank ", r, " on ", peers[size_t(r)].host); }
    Heard known_of(int r) {
        const std::lock_guard lock(mutex);
        return heard[size_t(r)];
    }
    Heard hear_of(int r) {
        const std::lock_guard lock(mutex);
        Heard& of = heard[size_t(r)];
        if (of.is == Heard::Is::nothing) of = hear(peers[size_t(r)].control, settings.ranks);
        return of;
    }
    void bid_farewell(int first, End how) const {
        const Farewell farewell{.rank = uint32_t(first), .end = how, .calls = completed};
        for (const Peer& peer : peers) say(peer.control, farewell);
    }
};

void shut_down(const Mesh& mesh) {
    for (const Peer& peer : mesh.peers)
        for (const Socket* s : {&peer.socket, &peer.control})
            if (s->is_open()) ::shutdown(s->fd(), SHUT_RDWR);
}

// Who was the first to end, as rank `by` has said, and how. Where it says this of the rank that reads it, the two have
// lost each other, and `by` is the one that is missed here.
struct First {
    int rank = -1;  // -1: none but this rank itself
    End how = End::failed;
    std::string why = {};
};
First first_of(const Mesh& mesh, int by, const Farewell& farewell) {
    const int rank = int(farewell.rank);
    if (rank == mesh.settings.rank)
        return {.rank = by, .how = End::gone, .why = mesh.who(by) + " has lost its connection to this rank"};
    return {.rank = rank,
            .how = farewell.end,
            .why = mesh.who(rank) + (farewell.end == End::failed ? " has failed" : " has gone")};
}

// What goes to a peer and comes from it in one call: a message and `bytes` each. Null: nothing.
struct Transfer {
    const char* send = nullptr;
    char* receive = nullptr;
    std::array<char, kMessageBytes> out, in;
    size_t sent = 0, received = 0;  // of message and bytes
};

class Call {
public:
    Call(Mesh& mesh, Kind kind, size_t bytes)
        : mesh_(mesh), message_{.kind = kind, .number = ++mesh.calls, .bytes = bytes}, transfers_(mesh.peers.size()) {
        const auto out = encode(message_);
        for (Transfer& t : transfers_) t.out = out;
    }

    Transfer& with(int rank) { return transfers_[size_t(rank)]; }

    // Moves all that there is to move, whichever peer is ready first, and listens to all peers meanwhile: where one of
    // them has ended, this call or the next cannot be completed.
    void run() {
        if (mesh_.aborted) end({});
        const size_t ranks = transfers_.size();
        std::vector<pollfd> fds(2 * ranks);  // of each rank: its connection for calls, and for control
        Deadline limit = seconds_from_now(mesh_.settings.seconds);
        while (prepare(fds)) {
            const int ready = ::poll(fds.data(), nfds_t(fds.size()), milliseconds_until(limit));
            if (ready < 0 && errno != EINTR) end({.why = text("poll: ", std::strerror(errno))});
            if (ready == 0) end({.why = not_in_time()});
            if (ready < 0) continue;
            bool moved = false;
            for (size_t r = 0; r < ranks; ++r)
                if (fds[2 * r].revents != 0) moved = move(int(r)) || moved;
            if (moved) limit = seconds_from_now(mesh_.settings.seconds);
            for (size_t r = 0; r < ranks && awaits_any(); ++r)
                if (fds[2 * r + 1].revents != 0) heed(int(r));
        }
        mesh_.completed = message_.number;
    }

private:
    size_t whole() const { return kMessageBytes + message_.bytes; }
    bool sends(int r) const { return transfers_[size_t(r)].send && transfers_[size_t(r)].sent < whole(); }
    bool receives(int r) const { return transfers_[size_t(r)].receive && transfers_[size_t(r)].received < whole(); }
    bool awaits(int r) const { return sends(r) || receives(r); }
    bool awaits_any() const {
        for (int r = 0; r < int(transfers_.size()); ++r)
            if (awaits(r)) return true;
        return false;
    }

    // What to wait for, if anything.
    bool prepare(std::vector<pollfd>& fds) {
        if (!awaits_any()) return false;
        for (int r = 0; r < int(transfers_.size()); ++r) {
            const Peer& peer = mesh_.peers[size_t(r)];
            const bool silent = mesh_.known_of(r).is == Heard::Is::nothing;
            if (!silent) heed(r);
            const short events = short((sends(r) ? POLLOUT : 0) | (receives(r) ? POLLIN : 0));
            fds[2 * size_t(r)] = {.fd = events ? peer.socket.fd() : -1, .events = events, .revents = 0};
            fds[2 * size_t(r) + 1] = {.fd = silent ? peer.control.fd() : -1, .events = POLLIN, .revents = 0};
        }
        return true;
    }

    // As much as can be moved now; whether anything was.
    bool move(int r) {
        Transfer& t = transfers_[size_t(r)];
        const Socket& socket = mesh_.peers[size_t(r)].socket;
        std::string why;
        bool moved = false;
        std::ptrdiff_t n = 1;
        for (; receives(r) && n > 0; moved = moved || n > 0) {
            const bool front = t.received < kMessageBytes;
            n = front ? receive_some(socket, t.in.data() + t.received, kMessageBytes - t.received, why)
                      : receive_some(socket, t.receive + (t.received - kMessageBytes), whole() - t.received, why);
            if (n < 0) gone(r, why);
            t.received += size_t(n);
            if (front && t.received == kMessageBytes) check(r);
        }
        for (n = 1; sends(r) && n > 0; moved = moved || n > 0) {
            n = t.sent < kMessageBytes
                    ? send_some(socket, t.out.data() + t.sent, kMessageBytes - t.sent, true, why)
                    : send_some(socket, t.send + (t.sent - kMessageBytes), whole() - t.sent, false, why);
            if (n < 0) gone(r, why);
            t.sent += size_t(n);
        }
        return moved;
    }

    // Ranks that have lost step with each other must not take one another's numbers.
    void check(int r) {
        Message theirs;
        if (!decode(transfers_[size_t(r)].in, theirs)) end({.why = mesh_.who(r) + " sends what is no message"});
        if (theirs != message_)
            end({.why = text(mesh_.who(r), " is at call ", theirs.number, ", ", name_of(theirs.kind), " of ",
                             theirs.bytes, " bytes, and this rank sends ", message_.bytes)});
    }

    // Ends the call where the control connection of rank r says that it cannot be completed. What r has sent before may
    // still be on its way: its connection for calls ends where nothing more comes (`over`).
    void heed(int r, bool over = false) {
        const Heard heard = mesh_.hear_of(r);
        const Farewell& farewell = heard.farewell;
        const bool completes = farewell.end == End::left || (farewell.calls >= message_.number && !over);
        if (heard.is == Heard::Is::farewell && !completes) end(first_of(mesh_, r, farewell));
        if (heard.is == Heard::Is::lost) end(gone_first(r, "is lost: " + heard.why));
        if (heard.is == Heard::Is::closed && !awaits(r)) end(gone_first(r, "has closed its connection"));
    }

    First gone_first(int r, const std::string& why) const {
        return {.rank = r, .how = End::gone, .why = mesh_.who(r) + " " + why};
    }

    // Rank r's connection for calls has ended. Its farewell says which rank was the first, and may come a little later.
    [[noreturn]] void gone(int r, const std::string& why) {
        pollfd control{.fd = mesh_.peers[size_t(r)].control.fd(), .events = POLLIN, .revents = 0};
        if (!mesh_.aborted && ::poll(&control, 1, 1000) > 0) heed(r, true);
        end(gone_first(r, why));
    }

    std::string not_in_time() const {
        std::string all;
        for (int r = 0; r < int(transfers_.size()); ++r)
            if (awaits(r)) all += text(all.empty() ? "" : ", ", mesh_.who(r));
        return text("nothing has come or gone for ", mesh_.settings.seconds, " s (FAIRPRUNE_TIMEOUT); awaited: ", all);
    }

    // A rank whose call has failed is of no use to the others: they are told who was first, and the connections closed.
    [[noreturn]] void end(const First& first) {
        const bool aborted = mesh_.aborted.exchange(true);
        if (!aborted) {
            const std::lock_guard lock(mesh_.mutex);
            if (first.rank >= 0) mesh_.lost = first.why;
            mesh_.bid_farewell(first.rank >= 0 ? first.rank : mesh_.settings.rank, first.how);
        }
        shut_down(mesh_);
        fail_with(Exit::device, name_of(message_.kind), ", call ", message_.number, ": ",
                  aborted ? "ended by this process" : first.why);
    }

    Mesh& mesh_;
    Message message_;
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
    if (!mesh.aborted.exchange(true)) mesh.bid_farewell(mesh.settings.rank, End::failed);
    shut_down(mesh);
}

std::string lost(void* state) {
    Mesh& mesh = of(state);
    if (mesh.aborted) {
        const std::lock_guard lock(mesh.mutex);
        return mesh.lost;
    }
    for (int r = 0; r < mesh.settings.ranks; ++r) {
        if (r == mesh.settings.rank) continue;
        const Heard heard = mesh.hear_of(r);
        if (heard.is == Heard::Is::farewell && heard.farewell.end != End::left)
            return first_of(mesh, r, heard.farewell).why;
        if (heard.is == Heard::Is::lost) return text(mesh.who(r), " is lost: ", heard.why);
        if (heard.is == Heard::Is::closed) return text(mesh.who(r), " has closed its connection");
    }
    return "";
}

void close(void* state) {
    const std::unique_ptr<Mesh> mesh(&of(state));
    mesh->bid_farewell(mesh->settings.rank, End::left);
}

}  // namespace
}  // namespace fp::tcp

namespace fp {

Collectives open_tcp(const TcpSettings& settings) {
    auto mesh = std::make_unique<tcp::Mesh>();
    mesh->settings = settings;
    mesh->peers = tcp::join(settings);
    mesh->heard.resize(mesh->peers.size());
    return {.name = "tcp",
            .state = mesh.release(),
            .all_to_all = tcp::all_to_all,
            .all_gather = tcp::all_gather,
            .broadcast = tcp::broadcast,
            .abort = tcp::abort,
            .lost = tcp::lost,
            .close = tcp::close};
}

}  // namespace fp
