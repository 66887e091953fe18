// Exchanges over TCP. Built in always, for hosts without MPI.
//
// Joining. Rank 0 listens at `port` of `address`; every other rank listens at a free port, connects to rank 0 and says who
// it is. Once all have come, rank 0 tells each where the others listen, and they connect to one another. Then nobody
// listens any more. The network is trusted: ranks are told from strangers, not from enemies, and nothing is encrypted.
// Where `address` is localhost or 127.0.0.1, ranks listen on the loopback interface alone.
//
// Each pair of ranks has two connections. One is for calls. The other, for control, stays silent: its keep-alive probes
// are answered by the other host's system, whatever the program there does, and a rank that ends says farewell on it,
// even in the middle of a call. A rank in a call listens to all others. The two connections have no common order, so a
// farewell says how many calls that rank has completed: of these all bytes were sent before it, and they may come later.
// Such a call goes on, and the next one ends.
//
// On the wire (hello.h, message.h), all numbers little-endian:
//   hello     88 bytes   magic, version, rank, ranks, port that it listens at, which connection, hash of the run, host's name
//   answer    16 bytes   magic, 0 or why it is refused; for calls rank 0 adds 80 bytes per rank: address, port, host's name
//   message   24 bytes   magic, kind of call, number of the call, bytes that follow; then these
//   farewell  24 bytes   magic, the rank that was the first to end, and how; calls that the rank which says it has completed
// Nothing is allocated by a size from the wire: a message of another size than this rank expects is an error.
//
// A call ends with an error that names the rank:
//   - at once where another rank's process ends, however: its system closes its connections;
//   - within 7 s of the last sign of life where its host vanishes or the link to it is cut (socket.cpp, prepare), and
//     where it is another rank that has lost it, by that one's farewell;
//   - when `seconds` pass without a byte from anyone. This alone bounds a rank that computes, or is stopped (SIGSTOP, a
//     debugger): its host answers, so it is not taken for lost.
// A rank that makes no call notices at its next one. Other limits: 60 s to join, 10 s for a hello. One call at a time,
// from any thread.
#pragma once

#include <string>

#include "kernels/ops/collectives.h"

namespace fp {

struct TcpSettings {
    int rank = 0, ranks = 1;
    std::string host = {};     // this host's name, for messages of the others
    std::string address = {};  // rank 0's
    int port = 0;              // rank 0 listens at it
    std::string run = {};      // the same words on all ranks of a run
    double seconds = 600;      // limit of a call
    double join_seconds = 60;
};

// Exit::device where the ranks do not come together.
Collectives open_tcp(const TcpSettings&);

}  // namespace fp
