// A control connection: what it says of the rank at its other end. Nothing goes over it but a farewell, so its buffers
// are never full, and whether the other host still answers can be told at any time (socket.h, prepare).
#pragma once

#include <string>

#include "kernels/tcp/message.h"
#include "kernels/tcp/socket.h"

namespace fp::tcp {

struct Heard {
    enum class Is { nothing, farewell, closed /* without a word */, lost } is = Is::nothing;
    Farewell farewell = {};
    std::string why = {};  // where it is lost
};

// At once, and without taking it away: the next call hears it again, except `lost`, which the system tells once. A
// farewell of a rank that is not one of `ranks` counts as lost.
Heard hear(const Socket& control, int ranks);
void say(const Socket& control, const Farewell&);

}  // namespace fp::tcp
