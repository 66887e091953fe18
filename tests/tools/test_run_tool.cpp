// A whole main: exit codes, messages, --help and --version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <sstream>

#include "engine/run/version.h"
#include "kernels/isa.h"
#include "kernels/kernels.h"
#include "tools/options.h"

namespace fp {
namespace {

using ::testing::HasSubstr;

// Runs a tool with these arguments and this body.
struct Ended {
    int code;
    std::string out, err;
};
int nothing(const Options&) { return 0; }
Ended run(std::vector<const char*> words, const std::function<int(const Options&)>& body = nothing) {
    words.insert(words.begin(), "build/bin/fp_train");
    int epochs = 30;
    std::ostringstream out, err;
    auto* const old_out = std::cout.rdbuf(out.rdbuf());
    auto* const old_err = std::cerr.rdbuf(err.rdbuf());
    const auto declare = [&](Options& o) { o.add("epochs N", epochs, "how often every image is seen"); };
    const int code = run_tool(int(words.size()), words.data(), "Trains.", declare, body);
    std::cout.rdbuf(old_out);
    std::cerr.rdbuf(old_err);
    return {code, out.str(), err.str()};
}

TEST(RunTool, every_way_to_end_has_its_exit_code_and_one_line) {
    EXPECT_EQ(run({}).code, 0);
    EXPECT_EQ(run({}, [](const Options&) { return 143; }).code, 143);
    for (const Exit exit : {Exit::bug, Exit::usage, Exit::data, Exit::device, Exit::diverged, Exit::model}) {
        const Ended ended = run({}, [&](const Options&) -> int { throw Error("a.csv: has\n3 rows", exit); });
        EXPECT_EQ(ended.code, int(exit));
        EXPECT_EQ(ended.err, "fp_train: a.csv: has 3 rows\n");
        EXPECT_EQ(ended.out, "");
    }
    EXPECT_EQ(run({}, [](const Options&) -> int { throw Error("\x1b[31m\r"); }).err, "fp_train: \\x1b[31m\\x0d\n");
    EXPECT_EQ(run({}, [](const Options&) -> int { throw std::runtime_error("x"); }).code, 1);
    EXPECT_EQ(run({}, [](const Options&) -> int { throw std::bad_alloc(); }).code, 4);
    const Ended usage = run({"--epohcs"});
    EXPECT_EQ(usage.code, 2);
    EXPECT_THAT(usage.err, ::testing::StartsWith("fp_train: --epohcs: "));
}

TEST(RunTool, words_of_the_command_line_end_an_error_of_the_library) {
    const auto fails = [](const char* text) {
        return run({}, [text](const Options& o) -> int {
            o.explain("; may be skipped", ": --skip-bad");
            throw Error(text, Exit::data);
        });
    };
    EXPECT_EQ(fails("a.png: torn; may be skipped").err, "fp_train: a.png: torn; may be skipped: --skip-bad\n");
    EXPECT_EQ(fails("a.png: torn; may be skipped, or not").err, "fp_train: a.png: torn; may be skipped, or not\n");
}

TEST(RunTool, help_and_version_go_to_stdout_and_run_nothing) {
    const auto never = [](const Options&) -> int { throw Error("ran"); };
    for (const char* flag : {"--help", "-h"}) {
        const Ended help = run({flag}, never);
        EXPECT_EQ(help.code, 0);
        EXPECT_THAT(help.out, HasSubstr("--epochs N"));
        EXPECT_EQ(help.err, "");
    }
    const Ended shown = run({"--version"}, never);
    EXPECT_EQ(shown.code, 0);
    EXPECT_EQ(shown.out, version_line("fp_train") + ", " + std::string(host_isa()) + (gpu().empty() ? "" : ", " + gpu()) + "\n");
    EXPECT_THAT(shown.out, HasSubstr(", commit "));
    EXPECT_THAT(shown.out, HasSubstr(std::string(version().build_type) + ", "));
}

TEST(Nearest, counts_letters_and_swaps) {
    EXPECT_EQ(nearest("epohcs", {"batch", "epochs", "echo"}), "epochs");
    EXPECT_EQ(nearest("", {"abc", "x"}), "x");
    EXPECT_EQ(nearest("seeds", {"split-seed", "seed"}), "seed");
}

}  // namespace
}  // namespace fp
