#include "engine/run/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace fp {
namespace {

// How a child ends that gets this signal so many times while it works.
int status_after(int signal, int times) {
    const pid_t child = fork();
    if (child == 0) {
        const int silent = dup(STDERR_FILENO);
        close(silent);
        close(STDERR_FILENO);
        const StopSignals signals;
        if (StopSignals::requested() || StopSignals::exit_code() != 0) _exit(99);
        for (int i = 0; i < times; ++i) raise(signal);
        // The step goes on to its end.
        _exit(StopSignals::requested() ? StopSignals::exit_code() + 50 : 98);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

TEST(Signals, the_first_one_asks_the_run_to_stop) {
    const int interrupted = status_after(SIGINT, 1), terminated = status_after(SIGTERM, 1);
    ASSERT_TRUE(WIFEXITED(interrupted) && WIFEXITED(terminated));
    EXPECT_EQ(WEXITSTATUS(interrupted), 130 + 50);
    EXPECT_EQ(WEXITSTATUS(terminated), 143 + 50);
}

TEST(Signals, the_second_one_leaves_at_once) {
    EXPECT_EQ(WEXITSTATUS(status_after(SIGINT, 2)), 130);
    EXPECT_EQ(WEXITSTATUS(status_after(SIGTERM, 2)), 143);
}

TEST(Signals, afterwards_a_signal_does_what_it_did_before) {
    const pid_t child = fork();
    if (child == 0) {
        { const StopSignals signals; }
        raise(SIGTERM);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status));
}

}  // namespace
}  // namespace fp
