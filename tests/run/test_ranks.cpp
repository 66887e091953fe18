// A run folder of several ranks: the first writes, the others read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/parallel/agree.h"
#include "engine/run/checkpoint_folder.h"
#include "engine/run/run_folder.h"
#include "kernels/kernels.h"
#include "tests/expect_error.h"
#include "tests/parallel/thread_ranks.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using testing::expect_error;
using testing::run_ranks;
using testing::TemporaryFolder;

std::string content(const fs::path& path) { return read_file(path, 1 << 20); }

std::vector<std::string> files_in(const fs::path& folder) {
    std::vector<std::string> out;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) out.push_back(entry.path().filename());
    std::ranges::sort(out);
    return out;
}

Checkpoint checkpoint(int64_t step) { return {.step = step, .progress = "{\"epoch\":" + std::to_string(step) + "}"}; }

TEST(RanksOfRun, the_first_alone_writes) {
    const TemporaryFolder folder;
    const fs::path path = folder / "runs" / "a";
    run_ranks(3, [&](const Comm& comm) {
        const RunFolder run(path, IfRunIsThere::refuse, {}, comm);
        EXPECT_EQ(run.writes(), comm.first());
        EXPECT_FALSE(run.holds_run());
        const std::string mine = "rank " + std::to_string(comm.rank());
        for (int rank = 2; rank >= 0; --rank) {  // the first last, and then the others again
            if (rank == comm.rank()) run.write("own.txt", mine);
            comm.wait_for_all();
        }
        if (!comm.first()) run.write("own.txt", mine);
        run.append("own.txt", "!");
        run.write_with("with.txt", [&](const fs::path& file) { write_file(file, mine); });
        const Caller caller{.config = mine + "\n", .ranks = {{0, "node1", "cpu: a"}, {1, "node2", "cpu: b"}}};
        record_settings(run, caller, kernels(Backend::cpu));
        Metrics metrics(run, -1);
        metrics.append({{"step", 1}, {"rank", comm.rank()}}, ordered_json::object());
        CheckpointFolder(run, {}, {}).save(checkpoint(comm.rank() + 1), true);
        comm.wait_for_all();
    });
    EXPECT_EQ(content(path / "own.txt"), "rank 0!");
    EXPECT_EQ(content(path / "with.txt"), "rank 0");
    EXPECT_EQ(content(path / "config.toml"), "rank 0\n");
    EXPECT_EQ(content(path / "metrics.csv"), "step,rank\n1,0\n");
    const ordered_json ranks = ordered_json::parse(content(path / "environment.json")).at("ranks");
    ASSERT_EQ(ranks.size(), 2u);
    EXPECT_EQ(ranks[1].dump(), "{\"rank\":1,\"host\":\"node2\",\"device\":\"cpu: b\"}");
    EXPECT_THAT(files_in(path), ::testing::ElementsAre(".lock", "best.safetensors", "config.toml", "environment.json",
                                                       "last.json", "last.safetensors", "metrics.csv", "metrics.jsonl",
                                                       "own.txt", "step-1.safetensors", "step-1.state", "with.txt"));
}

TEST(RanksOfRun, all_load_what_the_first_has_saved_and_none_repairs_it) {
    const TemporaryFolder folder;
    {
        CheckpointFolder run(FolderWriter(folder.path()), {}, {});
        run.save(checkpoint(3), true);
        run.save(checkpoint(4), false);
    }
    std::ofstream(folder / "step-4.state", std::ios::app) << "damage";
    fs::remove(folder / "last.safetensors");
    run_ranks(3, [&](const Comm& comm) {
        const RunFolder run(folder.path(), IfRunIsThere::resume, {}, comm);
        EXPECT_TRUE(run.holds_run());
        if (comm.first()) return;  // what the others do alone changes nothing
        CheckpointFolder checkpoints(run, {}, {});
        const auto found = checkpoints.load();
        ASSERT_TRUE(found);
        EXPECT_EQ(found->step, 3);
        checkpoints.save(checkpoint(5), true);
    });
    EXPECT_FALSE(fs::exists(folder / "last.safetensors"));
    EXPECT_FALSE(fs::exists(folder / "step-5.state"));
}

TEST(RanksOfRun, what_the_first_refuses_all_refuse) {
    const TemporaryFolder folder;
    write_file(folder / "metrics.jsonl", "{\"step\":1}\n");
    std::atomic<int> refused = 0;
    run_ranks(3, [&](const Comm& comm) {
        try {
            RunFolder(folder.path(), IfRunIsThere::refuse, {}, comm);
        } catch (const SharedError& error) {
            EXPECT_EQ(error.exit, Exit::usage);
            EXPECT_THAT(error.what(), ::testing::HasSubstr("--resume"));
            ++refused;
        }
    });
    EXPECT_EQ(refused, 3);
}

TEST(RanksOfRun, the_first_holds_the_lock_for_all) {
    const TemporaryFolder folder;
    run_ranks(2, [&](const Comm& comm) {
        const RunFolder run(folder.path(), IfRunIsThere::resume, {}, comm);
        comm.wait_for_all();
        expect_error(
            Exit::usage, [&] { RunFolder(folder.path(), IfRunIsThere::resume); }, "another process");
        comm.wait_for_all();
    });
}

TEST(RanksOfRun, a_folder_that_is_not_shared_is_named) {
    const TemporaryFolder folder;
    write_file(folder / "mark", "of the first");
    EXPECT_NO_THROW(require_seen(folder / "mark", "of the first", 60));
    expect_error(
        Exit::data, [&] { require_seen(folder / "mark", "of another run", 0.1); }, folder.path().string(), "share");
    expect_error(
        Exit::data, [&] { require_seen(folder / "none", "", 0.1); }, "not seen on this host");
}

}  // namespace
}  // namespace fp
