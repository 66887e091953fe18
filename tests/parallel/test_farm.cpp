// Work spread over ranks, and faults that they tell each other.
#include "engine/parallel/farm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "engine/parallel/agree.h"
#include "tests/parallel/thread_ranks.h"

namespace fp {
namespace {

using ::testing::HasSubstr;
using testing::run_ranks;

constexpr auto kAWhile = std::chrono::milliseconds(20);

// Which rank did each task, and how often.
struct Done {
    std::mutex mutex;
    std::vector<std::vector<int>> by;
    explicit Done(size_t tasks) : by(tasks) {}
    void add(int task, int rank) {
        const std::lock_guard lock(mutex);
        by[size_t(task)].push_back(rank);
    }
};

TEST(Farm, every_task_is_done_once_and_told_to_all_in_the_same_order) {
    for (const int ranks : {2, 3, 4}) {
        for (const size_t tasks : {0u, 1u, 2u, 7u}) {
            Done done(tasks);
            std::vector<std::vector<std::string>> told{size_t(ranks)};
            run_ranks(ranks, [&](const Comm& comm) {
                const bool whole =
                    farm_out(comm, {.tasks = std::vector<FarmTask>(tasks),
                                    .work =
                                        [&](int task, Farmhand&) {
                                            done.add(task, comm.rank());
                                            return std::optional("result of " + std::to_string(task));
                                        },
                                    .finished =
                                        [&](int task, int rank, const std::string& result) {
                                            EXPECT_EQ(result, "result of " + std::to_string(task));
                                            told[size_t(comm.rank())].push_back(text(task, " by ", rank));
                                        }});
                EXPECT_TRUE(whole);
            });
            for (const std::vector<int>& by : done.by) EXPECT_EQ(by.size(), 1u);
            for (const auto& one : told) {
                EXPECT_EQ(one.size(), tasks);
                EXPECT_EQ(one, told[0]);
            }
        }
    }
}

TEST(Farm, a_rank_that_is_done_takes_the_next_while_another_works) {
    Done done(5);
    std::atomic<int> finished = 0;
    run_ranks(2, [&](const Comm& comm) {
        farm_out(comm, {.tasks = std::vector<FarmTask>(5), .work = [&](int task, Farmhand& hand) {
                            // The first task lasts until all others are done: with turns it would never end.
                            while (task == 0 && finished < 4 && !hand.stopped()) std::this_thread::sleep_for(kAWhile);
                            ++finished;
                            done.add(task, comm.rank());
                            return std::optional<std::string>("");
                        }});
    });
    for (size_t task = 1; task < 5; ++task) EXPECT_NE(done.by[task], done.by[0]);
}

TEST(Farm, a_task_waits_for_another_until_it_is_released_or_finished) {
    std::atomic<bool> released = false, one_done = false;
    run_ranks(3, [&](const Comm& comm) {
        farm_out(comm, {.tasks = {{}, {.after = 0}, {}, {.after = 2}}, .work = [&](int task, Farmhand& hand) {
                            if (task == 0) {
                                std::this_thread::sleep_for(5 * kAWhile);
                                released = true;
                                hand.release();
                                while (!one_done && !hand.stopped()) std::this_thread::sleep_for(kAWhile);
                            }
                            if (task == 1) {
                                EXPECT_TRUE(released);
                                one_done = true;
                            }
                            return std::optional<std::string>("");
                        }});
    });
    EXPECT_TRUE(one_done);
}

TEST(Farm, a_task_of_one_rank_is_done_there) {
    Done done(4);
    run_ranks(3, [&](const Comm& comm) {
        farm_out(comm,
                 {.tasks = {{.rank = 2}, {.rank = 2}, {.rank = 0}, {.rank = 1}}, .work = [&](int task, Farmhand&) {
                      done.add(task, comm.rank());
                      return std::optional<std::string>("");
                  }});
        EXPECT_EQ(work_of_first(comm, [&] { return "by " + std::to_string(comm.rank()); }), "by 0");
    });
    EXPECT_EQ(done.by, (std::vector<std::vector<int>>{{2}, {2}, {0}, {1}}));
}

TEST(Farm, what_one_task_throws_all_ranks_throw_once_the_others_have_stopped) {
    std::atomic<int> thrown = 0, stopped = 0;
    run_ranks(3, [&](const Comm& comm) {
        try {
            farm_out(comm, {.tasks = std::vector<FarmTask>(6),
                            .work = [&](int task, Farmhand& hand) -> std::optional<std::string> {
                                if (task == 1) fail_with(Exit::diverged, "the loss is not finite");
                                while (!hand.stopped()) std::this_thread::sleep_for(kAWhile);
                                ++stopped;
                                return std::nullopt;
                            }});
            ADD_FAILURE() << "nothing was thrown";
        } catch (const SharedError& error) {
            EXPECT_EQ(error.exit, Exit::diverged);
            EXPECT_STREQ(error.what(), "the loss is not finite");
            EXPECT_EQ(error.who, "rank 1 of 3 on threads");
            ++thrown;
        }
    });
    EXPECT_EQ(thrown, 3);
    EXPECT_EQ(stopped, 2);
}

TEST(Farm, what_is_thrown_on_being_told_ends_all) {
    std::atomic<int> thrown = 0;
    run_ranks(2, [&](const Comm& comm) {
        try {
            farm_out(comm, {.tasks = std::vector<FarmTask>(3),
                            .work = [&](int, Farmhand&) { return std::optional<std::string>("x"); },
                            .finished =
                                [&](int, int, const std::string&) {
                                    if (comm.rank() == 1) fail_with(Exit::data, "the disk is full");
                                }});
        } catch (const SharedError& error) {
            EXPECT_EQ(error.who, "rank 1 of 2 on threads");
            ++thrown;
        }
    });
    EXPECT_EQ(thrown, 2);
}

TEST(Farm, a_stop_on_one_rank_stops_all) {
    std::atomic<int> begun = 0, stopped = 0;
    std::atomic<bool> asked = false;
    run_ranks(3, [&](const Comm& comm) {
        const bool whole = farm_out(comm, {.tasks = std::vector<FarmTask>(9),
                                           .work = [&](int, Farmhand& hand) -> std::optional<std::string> {
                                               if (++begun == 3) asked = true;
                                               while (!hand.stopped()) std::this_thread::sleep_for(kAWhile);
                                               ++stopped;
                                               return std::nullopt;
                                           },
                                           .stop = [&] { return comm.rank() == 2 && asked; }});
        EXPECT_FALSE(whole);
    });
    EXPECT_EQ(stopped, 3) << "no task begins after a stop";
}

TEST(Farm, a_rank_that_is_gone_ends_the_others) {
    std::atomic<int> ended = 0;
    EXPECT_THROW(run_ranks(3,
                           [&](const Comm& comm) {
                               if (comm.rank() == 1) fail("killed");
                               try {
                                   farm_out(comm, {.tasks = std::vector<FarmTask>(3),
                                                   .work = [&](int, Farmhand& hand) -> std::optional<std::string> {
                                                       while (!hand.stopped()) std::this_thread::sleep_for(kAWhile);
                                                       return std::nullopt;
                                                   }});
                               } catch (const Error& error) {
                                   EXPECT_EQ(error.exit, Exit::device);
                                   ++ended;
                               }
                           }),
                 Error);
    EXPECT_EQ(ended, 2);
}

TEST(Farm, alone_it_is_a_loop) {
    std::vector<int> order;
    const Farm farm{.tasks = {{}, {}, {.after = 0}},
                    .work = [&](int task, Farmhand&) { return std::optional(std::to_string(task)); },
                    .finished = [&](int task, int, const std::string&) { order.push_back(task); }};
    EXPECT_TRUE(farm_out({}, farm));
    EXPECT_EQ(order, (std::vector{0, 1, 2}));
    EXPECT_THROW(farm_out({}, {.tasks = {{}},
                               .work = [](int, Farmhand&) -> std::optional<std::string> {
                                   throw std::out_of_range("as it is");
                               }}),
                 std::out_of_range);
    EXPECT_THROW(farm_out({}, {.tasks = {{.after = 0}}, .work = {}}), Error);
}

TEST(Agreement, the_first_rank_works_for_all) {
    run_ranks(3, [](const Comm& comm) {
        EXPECT_EQ(from_first(comm, [&] { return "rank " + std::to_string(comm.rank()); }), "rank 0");
        EXPECT_EQ(from_first(comm, [] { return std::string(); }), "");
        try {
            from_first(comm, []() -> std::string { throw std::bad_alloc(); });
            ADD_FAILURE() << "nothing was thrown";
        } catch (const SharedError& error) {
            EXPECT_EQ(error.exit, Exit::device);
            EXPECT_EQ(error.who, "");
        }
    });
    EXPECT_THROW(from_first({}, []() -> std::string { throw std::bad_alloc(); }), std::bad_alloc);
}

}  // namespace
}  // namespace fp
