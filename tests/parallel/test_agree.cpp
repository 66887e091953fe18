// Failures that ranks share.
#include "engine/parallel/agree.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/expect_error.h"
#include "tests/parallel/thread_ranks.h"

namespace fp::testing {
namespace {

TEST(Agree, every_rank_has_what_all_returned) {
    run_ranks(3, [](const Comm& comm) {
        const auto told = agreed(comm, [&] { return std::string(size_t(comm.rank()), 'a') + '\0'; });
        for (size_t rank = 0; rank < 3; ++rank) EXPECT_EQ(told.at(rank), std::string(rank, 'a') + '\0');
    });
}

TEST(Agree, the_first_rank_that_fails_is_named_on_all) {
    std::atomic<int> failed = 0;
    run_ranks(4, [&](const Comm& comm) {
        try {
            agree(comm, [&] {
                if (comm.rank() == 2) fail_with(Exit::data, "a.jpg: no image");
                if (comm.rank() == 3) throw std::runtime_error("another");
            });
            ADD_FAILURE() << "rank " << comm.rank() << " has not noticed";
        } catch (const SharedError& error) {
            ++failed;
            EXPECT_EQ(error.exit, Exit::data);
            EXPECT_STREQ(error.what(), "a.jpg: no image");
            EXPECT_EQ(error.who, "rank 2 of 4 on threads");
        }
        agree(comm, [] {});  // they are still together
    });
    EXPECT_EQ(failed, 4);
}

TEST(Agree, what_is_no_error_of_ours_is_a_bug) {
    expect_error(
        Exit::bug, [] { run_ranks(2, [](const Comm& comm) { agree(comm, [] { throw std::runtime_error("odd"); }); }); },
        "odd");
}

TEST(Agree, alone_an_error_stays_as_it_is) {
    expect_error(
        Exit::model, [] { agree({}, [] { fail_with(Exit::model, "as it is"); }); }, "as it is");
    EXPECT_EQ(agreed({}, [] { return std::string("mine"); }), std::vector<std::string>{"mine"});
}

}  // namespace
}  // namespace fp::testing
