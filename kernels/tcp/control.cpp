#include "kernels/tcp/control.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace fp::tcp {

Heard hear(const Socket& control, int ranks) {
    std::array<char, kFarewellBytes> bytes;
    const ssize_t came = ::recv(control.fd(), bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    if (came < 0) {
        const int error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK || error == EINTR) return {};
        if (error == ECONNRESET) return {.is = Heard::Is::closed};
        return {.is = Heard::Is::lost, .why = std::strerror(error)};
    }
    if (came < std::ptrdiff_t(bytes.size())) return {.is = Heard::Is::closed};  // or cut short: as good as closed
    Heard heard{.is = Heard::Is::farewell};
    if (decode(bytes, heard.farewell) && heard.farewell.rank < uint32_t(ranks)) return heard;
    return {.is = Heard::Is::lost, .why = "it sends what is no farewell"};
}

void say(const Socket& control, const Farewell& farewell) {
    if (!control.is_open()) return;
    const auto bytes = encode(farewell);
    std::string unheard;  // the other side may have gone too
    send_some(control, bytes.data(), bytes.size(), false, unheard);
}

}  // namespace fp::tcp
