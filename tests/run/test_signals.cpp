#include "engine/run/signals.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <optional>

#include "engine/io/files.h"
#include "tests/temporary_folder.h"

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
    const int interrupted = status_after(SIGINT, 1), terminated = status_after(SIGTERM, 1),
              hung_up = status_after(SIGHUP, 1);
    ASSERT_TRUE(WIFEXITED(interrupted) && WIFEXITED(terminated) && WIFEXITED(hung_up));
    EXPECT_EQ(WEXITSTATUS(interrupted), 130 + 50);
    EXPECT_EQ(WEXITSTATUS(terminated), 143 + 50);
    EXPECT_EQ(WEXITSTATUS(hung_up), 129 + 50);
}

// How a child ends that works on for so many seconds after a signal without asking.
int status_of_deaf(double seconds, bool unsaved) {
    const pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        const StopSignals signals;
        std::optional<StopSignals::Unsaved> guard;
        if (unsaved) guard.emplace();
        raise(SIGTERM);
        for (int i = 0; i < int(seconds * 100); ++i) usleep(10'000);
        _exit(77);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
}

TEST(Signals, work_that_does_not_ask_is_ended_unless_it_has_something_to_save) {
    EXPECT_EQ(WEXITSTATUS(status_of_deaf(60, false)), 143);
    EXPECT_EQ(WEXITSTATUS(status_of_deaf(2.5, true)), 77);
}

TEST(Signals, a_process_that_is_ended_leaves_no_temporary_file) {
    const testing::TemporaryFolder folder;
    for (const bool twice : {false, true}) {
        const pid_t child = fork();
        if (child == 0) {
            close(STDERR_FILENO);
            const StopSignals signals;
            AtomicFile file(folder / "images.cache");
            file.write("part");
            raise(SIGTERM);
            if (twice) raise(SIGTERM);
            for (int i = 0; i < 6000; ++i) usleep(10'000);
            _exit(77);
        }
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT_EQ(WEXITSTATUS(status), 143);
        EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    }
}

TEST(Signals, nohup_stays_in_force) {
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGHUP, SIG_IGN);
        const StopSignals signals;
        raise(SIGHUP);
        _exit(StopSignals::requested() ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
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
