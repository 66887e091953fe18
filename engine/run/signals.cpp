#include "engine/run/signals.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string_view>

#include "kernels/error.h"

namespace fp {
namespace {

volatile std::sig_atomic_t received = 0;
struct sigaction before_int, before_term;

// Only what may run inside a signal handler: write and _exit.
void on_signal(int signal) {
    if (received != 0) _exit(128 + signal);
    received = signal;
    const int error = errno;
    constexpr std::string_view words = "\nstopping after this step, once it is saved; again to stop at once\n";
    const ssize_t written = ::write(STDERR_FILENO, words.data(), words.size());
    static_cast<void>(written);
    errno = error;
}

}  // namespace

StopSignals::StopSignals() {
    received = 0;
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;  // reads and writes in progress go on
    sigemptyset(&action.sa_mask);
    const bool set = sigaction(SIGINT, &action, &before_int) == 0 && sigaction(SIGTERM, &action, &before_term) == 0;
    FP_CHECK(set, "SIGINT and SIGTERM cannot be caught");
}

StopSignals::~StopSignals() {
    sigaction(SIGINT, &before_int, nullptr);
    sigaction(SIGTERM, &before_term, nullptr);
}

bool StopSignals::requested() { return received != 0; }
int StopSignals::exit_code() { return received == 0 ? 0 : 128 + received; }

}  // namespace fp
