// Exchanges over TCP: a connection between each pair of ranks. Built in always, for hosts without MPI.
//
// Joining. Rank 0 listens at `port` of `address`; every other rank listens at a free port, connects to rank 0 and says who
// it is. Once all have come, rank 0 tells each where the others listen, and they connect to one another. Then nobody
// listens any more. The network is trusted: ranks are told from strangers, not from enemies, and nothing is encrypted.
// Where `address` is localhost or 127.0.0.1, ranks listen on the loopback interface alone.
//
// On the wire (hello.h, tcp.cpp), all numbers little-endian:
//   hello     88 bytes   magic, version, rank, ranks, port that it listens at, hash of the run, host's name
//   answer    16 bytes   magic, 0 or why it is refused; rank 0 adds 80 bytes per rank: address, port, host's name
//   message   24 bytes   magic, kind of call, number of the call, bytes that follow; then these
// Nothing is allocated by a size from the wire: a message of another size than this rank expects is an error.
//
// Time limits. 60 s to join; 10 s for a hello; in a call, `seconds` without a byte from anyone. A rank that ends closes its
// connections, which the others notice at once; a host that vanishes is noticed within 10 s by a rank that only waits for
// it (keep-alive), and by the limit otherwise. One call at a time, from any thread.
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
