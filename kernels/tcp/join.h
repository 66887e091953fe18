// Joining: from an address and a number to a connection with every other rank.
#pragma once

#include <string>
#include <vector>

#include "kernels/tcp/socket.h"
#include "kernels/tcp/tcp.h"

namespace fp::tcp {

struct Peer {
    Socket socket, control;  // for calls, and the other one (tcp.h); not open: this rank itself
    std::string host;
};

// By rank. Exit::device where ranks do not come in time, where a port is in use, where a rank is refused.
std::vector<Peer> join(const TcpSettings&);

}  // namespace fp::tcp
