#include "engine/run/signals.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "engine/io/files.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr unsigned kGraceSeconds = 1;
constexpr std::array kStopping{SIGINT, SIGTERM, SIGHUP, SIGALRM};  // the last is our own clock's

std::atomic<int> received = 0, unsaved = 0;
std::atomic<bool> tells_of_it = true;
static_assert(std::atomic<int>::is_always_lock_free);  // so that handlers may use them
std::array<struct sigaction, kStopping.size()> before;

// These call only what may run inside a signal handler: write, alarm, unlink and _exit.
[[noreturn]] void leave(int signal) {
    remove_open_temporaries();
    _exit(128 + signal);
}

void on_alarm(int) {
    if (received == 0) return;
    if (unsaved == 0) leave(received);
    alarm(kGraceSeconds);
}

void on_signal(int signal) {
    if (received != 0) leave(signal);
    received = signal;
    const int error = errno;
    constexpr std::string_view words = "\nstopping; again to stop at once\n";
    const ssize_t written = tells_of_it ? ::write(STDERR_FILENO, words.data(), words.size()) : 0;
    static_cast<void>(written);
    alarm(kGraceSeconds);
    errno = error;
}

}  // namespace

StopSignals::StopSignals(bool tells) {
    received = 0;
    tells_of_it = tells;
    for (size_t i = 0; i < kStopping.size(); ++i) {
        struct sigaction action {};
        action.sa_handler = kStopping[i] == SIGALRM ? on_alarm : on_signal;
        action.sa_flags = SA_RESTART;  // reads and writes in progress go on
        sigemptyset(&action.sa_mask);
        FP_CHECK(sigaction(kStopping[i], &action, &before[i]) == 0, "signal ", kStopping[i], " cannot be caught");
        // nohup: the terminal's end is to be outlived.
        if (kStopping[i] == SIGHUP && before[i].sa_handler == SIG_IGN) sigaction(SIGHUP, &before[i], nullptr);
    }
}

StopSignals::~StopSignals() {
    alarm(0);
    for (size_t i = 0; i < kStopping.size(); ++i) sigaction(kStopping[i], &before[i], nullptr);
}

bool StopSignals::requested() { return received != 0; }
int StopSignals::exit_code() { return received == 0 ? 0 : 128 + received; }

StopSignals::Unsaved::Unsaved() { ++unsaved; }
StopSignals::Unsaved::~Unsaved() { --unsaved; }

}  // namespace fp
