#include "kernels/tcp/join.h"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "kernels/error.h"
#include "kernels/tcp/control.h"
#include "kernels/tcp/hello.h"

namespace fp::tcp {
namespace {

constexpr double kHelloSeconds = 10;  // from a connection to its hello
constexpr size_t kMostPending = 256;  // connections without a hello, beside one per rank

// Somebody who has connected and has not yet said who it is.
struct Pending {
    Socket socket;
    Deadline deadline;
    std::array<char, kHelloBytes> bytes{};
    size_t came = 0;
};

// Every other rank takes two connections.
void allow_files(int ranks) {
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    const rlim_t wanted = 2 * rlim_t(ranks) + 512;  // and those that are pending, and files
    if (files.rlim_cur >= wanted) return;
    files.rlim_cur = std::min(wanted, files.rlim_max);
    FP_REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur == wanted, Exit::device, ranks, " ranks need ",
               wanted, " open files, and a process may have ", files.rlim_max, " here (ulimit -Hn)");
}

class Joining {
public:
    explicit Joining(const TcpSettings& s)
        : s_(s), deadline_(seconds_from_now(s.join_seconds)), peers_(size_t(s.ranks)), places_(size_t(s.ranks)) {
        allow_files(s.ranks);
        const bool loopback = s.address == "localhost" || s.address == "127.0.0.1";
        listener_ = listen_at(s.rank == 0 ? s.port : 0, loopback, s.ranks + 16);
        me_ = {.rank = uint32_t(s.rank),
               .ranks = uint32_t(s.ranks),
               .port = port_of(listener_),
               .run = hash_of(s.run),
               .host = s.host};
        places_[size_t(s.rank)].host = s.host;  // rank 0 tells it to the others with theirs
    }

    std::vector<Peer> run() {
        if (s_.rank == 0) {
            accept_others(1);
            for (size_t r = 1; r < peers_.size(); ++r) welcome(peers_[r].socket, encode(places_));
        } else {
            meet_first();
            for (int r = 1; r < s_.rank; ++r) {
                const Place& there = places_[size_t(r)];
                knock(peers_[size_t(r)], {there.address}, text("rank ", r, " on ", there.host));
            }
            accept_others(s_.rank + 1);
        }
        for (size_t r = 0; r < peers_.size(); ++r) peers_[r].host = places_[r].host;
        return std::move(peers_);
    }

private:
    // ---- The side that knocks

    // Learns from rank 0 where the others listen.
    void meet_first() {
        const Socket& socket = peers_[0].socket;
        knock(peers_[0], resolve(s_.address, s_.port), "rank 0");
        std::vector<char> bytes(peers_.size() * kPlaceBytes);
        std::string why;
        FP_REQUIRE(receive_all(socket, bytes.data(), bytes.size(), deadline_, why), Exit::device, "rank 0 at ",
                   to_text(peer_of(socket)), " does not tell where the other ranks are: ", why);
        places_ = decode_places(bytes);
        const Address first = peer_of(socket);
        for (Place& place : places_)  // a rank of rank 0's host, which rank 0 knows by an address for itself alone
            if (place.address.is_loopback()) place.address.ip = first.ip;
    }

    // Connects, again and again until the deadline where nobody listens yet, and says who this is. The connection for
    // calls comes last: rank 0 answers on it when all have come with both.
    void knock(Peer& peer, const std::vector<Address>& addresses, const std::string& who) {
        std::string why = "it has no address";
        for (auto pause = std::chrono::milliseconds(10);; pause = std::min(2 * pause, std::chrono::milliseconds(500))) {
            for (const Address& address : addresses) {
                peer.control.close();  // of a try whose second connection failed
                peer.control = introduced(address, Link::control, who, why);
                if (peer.control.is_open()) peer.socket = introduced(address, Link::calls, who, why);
                if (peer.socket.is_open()) return;
                why = text(to_text(address), ": ", why);
            }
            FP_REQUIRE(Clock::now() + pause < deadline_, Exit::device, who, " does not answer within ", s_.join_seconds,
                       " s: ", why);
            std::this_thread::sleep_for(pause);
        }
    }

    Socket introduced(const Address& address, Link link, const std::string& who, std::string& why) {
        Socket socket = connect_to(address, deadline_, why);
        if (socket.is_open() && !introduce(socket, link, who, why)) socket.close();
        return socket;
    }

    // False where the other side closes without an answer: it may be one that is about to end, before the right one.
    bool introduce(const Socket& socket, Link link, const std::string& who, std::string& why) {
        Hello me = me_;
        me.link = link;
        const auto hello = encode(me);
        std::array<char, kAnswerBytes> bytes;
        if (!send_all(socket, hello.data(), hello.size(), deadline_, why) ||
            !receive_all(socket, bytes.data(), bytes.size(), deadline_, why))
            return false;
        Answer answer;
        FP_REQUIRE(decode(bytes, answer), Exit::device, who, " at ", to_text(peer_of(socket)),
                   " is another program; FAIRPRUNE_PORT names another port");
        FP_REQUIRE(answer == Answer::welcome, Exit::device, who, " at ", to_text(peer_of(socket)),
                   " refuses this process: ", words(answer));
        return true;
    }

    // ---- The side that opens

    void accept_others(int from) {
        missing_ = 2 * (s_.ranks - from);
        while (missing_ > 0) {
            const bool room = pending_.size() < kMostPending + peers_.size();
            std::vector<pollfd> fds{{.fd = listener_.fd(), .events = short(room ? POLLIN : 0), .revents = 0}};
            Deadline next = deadline_;
            for (const Pending& p : pending_) {
                fds.push_back({.fd = p.socket.fd(), .events = POLLIN, .revents = 0});
                next = std::min(next, p.deadline);
            }
            const int ready = ::poll(fds.data(), nfds_t(fds.size()), milliseconds_until(next));
            if (missing_ > 0 && Clock::now() >= deadline_) fail_with(Exit::device, late(from));
            if (ready > 0)
                for (size_t i = 1; i < fds.size(); ++i)
                    if (fds[i].revents != 0) hear(pending_[i - 1], from);
            std::erase_if(pending_, [](const Pending& p) { return !p.socket.is_open() || Clock::now() >= p.deadline; });
            if (ready > 0 && fds[0].revents != 0)
                if (Socket s = accept_from(listener_); s.is_open())
                    pending_.push_back({.socket = std::move(s), .deadline = seconds_from_now(kHelloSeconds)});
        }
    }

    std::string late(int from) const {
        std::string who;
        for (int r = from; r < s_.ranks; ++r)
            if (!peers_[size_t(r)].socket.is_open() || !peers_[size_t(r)].control.is_open())
                who += text(who.empty() ? "" : ", ", r);
        return text("of ", s_.ranks, " ranks these have not come to ", s_.host, ":", me_.port, " within ",
                    s_.join_seconds, " s: ", who, refused_.empty() ? "" : "; refused: " + refused_);
    }

    // Takes what has come of a hello; closes the connection where it is not one of the ranks awaited.
    void hear(Pending& p, int from) {
        std::string why;
        const std::ptrdiff_t got = receive_some(p.socket, p.bytes.data() + p.came, p.bytes.size() - p.came, why);
        if (got < 0) return p.socket.close();
        p.came += size_t(got);
        Hello hello;
        const Read read = decode(p.bytes, hello);  // of a part too: a stranger shows at once
        if (p.came >= sizeof(uint64_t) && read == Read::stranger) return refuse(p, "a stranger");
        if (p.came < p.bytes.size()) return;
        if (read == Read::hello && hello.rank < me_.ranks) forget_closed(link_of(hello));
        const Answer answer = read == Read::version      ? Answer::version
                              : hello.run != me_.run     ? Answer::run
                              : hello.ranks != me_.ranks ? Answer::ranks
                              : hello.rank < uint32_t(from) || hello.rank >= me_.ranks || link_of(hello).is_open()
                                  ? Answer::rank
                                  : Answer::welcome;
        const auto bytes = encode(answer);
        if (answer != Answer::welcome) {
            send_all(p.socket, bytes.data(), bytes.size(), seconds_from_now(0), why);
            return refuse(p, words(answer));
        }
        places_[hello.rank] = {.address = peer_of(p.socket), .host = hello.host};
        places_[hello.rank].address.port = hello.port;
        if (from > 1 || hello.link == Link::control) welcome(p.socket, "");  // rank 0 waits for all first
        link_of(hello) = std::move(p.socket);
        --missing_;
    }

    // Who comes again has closed its first connection.
    void forget_closed(Socket& link) {
        if (!link.is_open() || tcp::hear(link, s_.ranks).is != Heard::Is::closed) return;
        link.close();
        ++missing_;
    }

    Socket& link_of(const Hello& hello) {
        Peer& peer = peers_[hello.rank];
        return hello.link == Link::control ? peer.control : peer.socket;
    }

    void refuse(Pending& p, std::string_view what) {
        refused_ = text(to_text(peer_of(p.socket)), " (", what, ")");
        p.socket.close();
    }

    void welcome(const Socket& socket, const std::string& more) {
        const auto answer = encode(Answer::welcome);
        const std::string bytes = std::string(answer.data(), answer.size()) + more;
        std::string why;
        FP_REQUIRE(send_all(socket, bytes.data(), bytes.size(), deadline_, why), Exit::device, "a rank that has come ",
                   why, " before all ranks have");
    }

    const TcpSettings& s_;
    Deadline deadline_;
    Hello me_;
    Socket listener_;
    std::vector<Peer> peers_;
    std::vector<Place> places_;
    std::vector<Pending> pending_;
    int missing_ = 0;
    std::string refused_;  // the last one, for the message
};

}  // namespace

std::vector<Peer> join(const TcpSettings& settings) { return Joining(settings).run(); }

}  // namespace fp::tcp
