#include "engine/run/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <fstream>

#include "engine/io/csv.h"
#include "engine/io/files.h"
#include "engine/io/temporaries.h"
#include "engine/run/checkpoint_folder.h"
#include "kernels/kernels.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

std::string content(const fs::path& path) { return read_file(path, 1 << 20); }

void record(const RunFolder& run, const std::string& config, const std::string& command_line) {
    record_settings(run, {.tool = "fp_train", .command_line = command_line, .config = config}, kernels(Backend::cpu));
}

TEST(RunFolder, a_new_folder_is_made_and_holds_its_settings) {
    const TemporaryFolder folder;
    const fs::path path = folder / "runs" / "a";
    RunFolder run(path, IfRunIsThere::refuse);
    EXPECT_FALSE(run.holds_run());
    record(run, "epochs = 3\n", "fp_train --epochs 3");
    EXPECT_EQ(content(path / "config.toml"), "epochs = 3\n");
    const ordered_json written = ordered_json::parse(content(path / "environment.json"));
    for (const char* key :
         {"tool", "version", "commit", "compiler", "build_type", "processor", "cores", "command_line", "date"})
        EXPECT_TRUE(written.contains(key)) << key;
    EXPECT_EQ(written.at("command_line"), "fp_train --epochs 3");
    EXPECT_GE(written.at("cores"), 1);
    EXPECT_EQ(written.at("device"), "cpu") << "what computes, whatever the build holds";
    EXPECT_GE(written.at("threads"), 1);
    EXPECT_THAT(written.at("device_text").get<std::string>(), HasSubstr("-bit vectors"));
    EXPECT_FALSE(written.contains("gpu"));
    EXPECT_FALSE(written.contains("earlier"));
}

// Leaves what a run leaves that has come far enough to be worth something.
void run_in(const fs::path& folder) {
    RunFolder run(folder, IfRunIsThere::refuse);
    record(run, "seed = 1\n", "");
    Metrics(FolderWriter(folder), -1).append({{"step", 1}}, {});
}

TEST(RunFolder, a_folder_that_holds_a_run_is_refused) {
    const TemporaryFolder folder;
    run_in(folder.path());
    expect_error(
        Exit::usage, [&] { RunFolder(folder.path(), IfRunIsThere::refuse); }, folder.path().string(), "--resume",
        "--force");
    EXPECT_EQ(content(folder / "config.toml"), "seed = 1\n");
}

TEST(RunFolder, a_run_that_had_worked_out_nothing_is_none) {
    const TemporaryFolder folder;
    record(RunFolder(folder.path(), IfRunIsThere::refuse), "seed = 1\n", "");
    write_file(folder / "metrics.jsonl", "");
    EXPECT_FALSE(RunFolder(folder.path(), IfRunIsThere::refuse).holds_run());
    write_file(folder / "scores.json", "{}");
    expect_error(
        Exit::usage, [&] { RunFolder(folder.path(), IfRunIsThere::refuse); }, "--force");
}

TEST(RunFolder, files_of_others_are_no_run) {
    const TemporaryFolder folder;
    write_file(folder / "notes.txt", "mine");
    EXPECT_FALSE(RunFolder(folder.path(), IfRunIsThere::refuse).holds_run());
    EXPECT_FALSE(RunFolder(folder.path(), IfRunIsThere::resume).holds_run());
}

TEST(RunFolder, resuming_keeps_what_the_run_was_started_with) {
    const TemporaryFolder folder;
    for (const char* command : {"first", "second", "third"}) {
        RunFolder run(folder.path(), IfRunIsThere::resume);
        EXPECT_EQ(run.holds_run(), command != std::string("first"));
        record(run, "x = 1\n", command);
        if (!run.holds_run()) Metrics(FolderWriter(folder.path()), -1).append({{"step", 1}}, {});
    }
    const ordered_json written = ordered_json::parse(content(folder / "environment.json"));
    EXPECT_EQ(written.at("command_line"), "third");
    ASSERT_EQ(written.at("earlier").size(), 2u);
    EXPECT_EQ(written.at("earlier")[0].at("command_line"), "first");
    EXPECT_EQ(written.at("earlier")[1].at("command_line"), "second");
    EXPECT_FALSE(written.at("earlier")[1].contains("earlier"));
}

TEST(RunFolder, a_damaged_note_of_the_environment_keeps_no_run_from_going_on) {
    for (const char* damaged : {"", "{", "3", R"({"earlier":3})"}) {
        const TemporaryFolder folder;
        run_in(folder.path());
        write_file(folder / "environment.json", damaged);
        record(RunFolder(folder.path(), IfRunIsThere::resume), "seed = 1\n", "again");
        EXPECT_EQ(ordered_json::parse(content(folder / "environment.json")).at("command_line"), "again") << damaged;
    }
}

TEST(RunFolder, files_that_a_killed_process_was_writing_are_removed) {
    const TemporaryFolder folder;
    fs::create_directory(folder / "scores");
    const fs::path files[] = {temporary_beside(folder / "config.toml"), temporary_beside(folder / "scores" / "x.json")};
    for (const fs::path& file : files) write_file(file, "");
    const RunFolder run(folder.path(), IfRunIsThere::resume);
    for (const fs::path& file : files) EXPECT_FALSE(fs::exists(file)) << file;
}

TEST(RunFolder, starting_over_removes_the_run_and_not_the_record_of_test_reads) {
    const TemporaryFolder folder;
    {
        RunFolder run(folder.path(), IfRunIsThere::refuse);
        record(run, "x = 1\n", "");
        Metrics metrics(FolderWriter(folder.path()), -1);
        metrics.append({{"step", 1}}, {});
        CheckpointFolder(FolderWriter(folder.path()), {}, {}).save({.step = 1}, true);
        write_file(folder / "test_reads.jsonl", "{}\n");
        write_file(folder / "notes.txt", "mine");
        write_file(folder / "scores-of-mine.json", "mine");
        write_file(folder / "scores-2.json", "{}");
    }
    EXPECT_FALSE(RunFolder(folder.path(), IfRunIsThere::overwrite).holds_run());
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder.path())) names.push_back(entry.path().filename());
    EXPECT_THAT(names,
                ::testing::UnorderedElementsAre(".lock", "notes.txt", "scores-of-mine.json", "test_reads.jsonl"));
}

TEST(RunFolder, what_is_read_is_neither_deleted_nor_replaced) {
    const TemporaryFolder folder;
    const fs::path run = folder / "run";
    fs::create_directory(run);
    const auto expect_kept = [&](const fs::path& file, IfRunIsThere then) {
        expect_error(
            Exit::usage,
            [&] {
                RunFolder(run, then, {"", file.string()});
            },
            file.string(), "--out");
        EXPECT_EQ(content(file), "mine");
    };
    for (const char* name : {"split.csv", "best.safetensors", "step-7.safetensors"}) {
        write_file(run / name, "mine");
        expect_kept(run / name, IfRunIsThere::refuse);  // a run would replace it
        expect_kept(run / name, IfRunIsThere::resume);
    }
    fs::create_directory(run / "scores");  // of a search
    write_file(run / "scores" / "l1.json", "mine");
    expect_kept(run / "scores" / "l1.json", IfRunIsThere::overwrite);
    expect_kept(run / "split.csv", IfRunIsThere::overwrite);
    expect_kept(run / ".." / "run" / "best.safetensors", IfRunIsThere::overwrite);
    fs::create_symlink(run / "split.csv", folder / "link.csv");
    expect_kept(folder / "link.csv", IfRunIsThere::overwrite);

    EXPECT_TRUE(RunFolder(run, IfRunIsThere::resume, {(run / "split.csv").string()}).holds_run());
    for (const fs::path& other : {folder / "split.csv", run / "notes.csv"}) write_file(other, "mine");
    RunFolder(run, IfRunIsThere::overwrite, {(folder / "split.csv").string(), (run / "notes.csv").string()});
    EXPECT_FALSE(fs::exists(run / "split.csv"));
    for (const fs::path& other : {folder / "split.csv", run / "notes.csv"}) EXPECT_EQ(content(other), "mine");
}

TEST(RunFolder, two_processes_do_not_write_to_one_folder) {
    const TemporaryFolder folder;
    const RunFolder run(folder.path(), IfRunIsThere::resume);
    expect_error(
        Exit::usage, [&] { RunFolder(folder.path(), IfRunIsThere::resume); }, "another process");
}

TEST(RunFolder, a_folder_that_cannot_be_written_fails_at_the_start) {
    const TemporaryFolder folder;
    write_file(folder / "file", "");
    expect_error(
        Exit::data, [&] { RunFolder(folder / "file" / "run", IfRunIsThere::refuse); }, "file/run");
}

// Root writes to read-only folders, so while this lives the process is nobody's. False where that is not allowed.
class NotRoot {
public:
    NotRoot() : was_root_(geteuid() == 0), is_other_(!was_root_ || seteuid(65534) == 0) {}
    ~NotRoot() {
        if (was_root_ && seteuid(0) != 0) std::abort();
    }
    NotRoot(const NotRoot&) = delete;
    NotRoot& operator=(const NotRoot&) = delete;
    explicit operator bool() const { return is_other_; }

private:
    bool was_root_, is_other_;
};

TEST(RunFolder, a_read_only_folder_fails_at_the_start) {
    const NotRoot user;
    if (!user) GTEST_SKIP() << "root writes to read-only folders, and may not become nobody here";
    const TemporaryFolder folder;
    fs::permissions(folder.path(), fs::perms::owner_read | fs::perms::owner_exec);
    expect_error(
        Exit::data, [&] { RunFolder(folder.path(), IfRunIsThere::refuse); }, "Permission denied");
}

ordered_json row(int64_t step, double loss) {
    return {{"step", step}, {"epoch", step / 10}, {"loss", loss}, {"val", {{"accuracy", {{"value", 0.5}}}}}};
}

TEST(Metrics, a_row_is_a_line_of_json_with_its_times_last) {
    const TemporaryFolder folder;
    Metrics metrics(FolderWriter(folder.path()), -1);
    metrics.append(row(10, 0.5), {{"train_seconds", 1.5}});
    metrics.append(row(20, 0.25), {{"train_seconds", 2}});
    EXPECT_EQ(content(folder / "metrics.jsonl"),
              "{\"step\":10,\"epoch\":1,\"loss\":0.5,\"val\":{\"accuracy\":{\"value\":0.5}},"
              "\"times\":{\"train_seconds\":1.5}}\n"
              "{\"step\":20,\"epoch\":2,\"loss\":0.25,\"val\":{\"accuracy\":{\"value\":0.5}},"
              "\"times\":{\"train_seconds\":2}}\n");
    EXPECT_EQ(content(folder / "metrics.csv"),
              "step,epoch,loss,val.accuracy.value,times.train_seconds\n"
              "10,1,0.5,0.5,1.5\n"
              "20,2,0.25,0.5,2\n");
}

TEST(Metrics, a_later_column_gets_empty_cells_before_it) {
    const TemporaryFolder folder;
    Metrics metrics(FolderWriter(folder.path()), -1);
    metrics.append({{"step", 1}, {"note", nullptr}}, ordered_json::object());
    metrics.append({{"step", 2}, {"gap", 0.5}, {"note", "=a,\"b\""}}, ordered_json::object());
    const Table table = read_csv(folder / "metrics.csv");
    ASSERT_EQ(table.rows.size(), 2u);
    EXPECT_EQ(table.rows[0][size_t(table.column("gap"))], "");
    EXPECT_EQ(table.rows[1][size_t(table.column("gap"))], "0.5");
    EXPECT_EQ(table.rows[1][size_t(table.column("note"))], "'=a,\"b\"");
}

TEST(Metrics, resuming_drops_what_the_checkpoint_does_not_have) {
    const TemporaryFolder folder;
    {
        Metrics metrics(FolderWriter(folder.path()), -1);
        for (const int64_t step : {10, 20, 30}) metrics.append(row(step, 1.0 / double(step)), {});
    }
    const std::string whole = content(folder / "metrics.jsonl");
    std::ofstream(folder / "metrics.jsonl", std::ios::app) << "{\"step\":40,\"lo";  // cut off by a crash
    {
        Metrics metrics(FolderWriter(folder.path()), 20);
        EXPECT_EQ(metrics.rows().size(), 2u);
        EXPECT_EQ(read_csv(folder / "metrics.csv").rows.size(), 2u);
        metrics.append(row(30, 1.0 / 30), {});
    }
    EXPECT_EQ(content(folder / "metrics.jsonl"), whole);
    EXPECT_EQ(Metrics(FolderWriter(folder.path()), 1000).rows().size(), 3u);
    EXPECT_EQ(Metrics(FolderWriter(folder.path()), -1).rows().size(), 0u);
    EXPECT_EQ(content(folder / "metrics.jsonl"), "");
}

TEST(Metrics, what_is_not_ours_is_named_with_its_line) {
    const TemporaryFolder folder;
    write_file(folder / "metrics.jsonl", "{\"step\":1}\nnonsense\n");
    expect_error(
        Exit::data, [&] { Metrics(FolderWriter(folder.path()), 5); }, "metrics.jsonl:2");
    write_file(folder / "metrics.jsonl", "{\"epoch\":1}\n");
    expect_error(
        Exit::data, [&] { Metrics(FolderWriter(folder.path()), 5); }, "metrics.jsonl:1", "step");
}

TEST(Metrics, events_hold_every_row_once_after_going_on) {
    const TemporaryFolder folder;
    const fs::path events = folder / "events.out.tfevents.fairprune";
    const auto row = [](int step) {
        return ordered_json{{"step", step},
                            {"train", {{"loss", 1.0 / step}, {"name", "x"}}},
                            {"val", {{"attributes", {{"sex", {{"gaps", {{"eodd", 0.1}}}}}}}}}};
    };
    {
        Metrics metrics(FolderWriter(folder.path()), -1, true);
        metrics.append(row(1), {});
        metrics.append(row(2), {});
    }
    const size_t two = content(events).size();
    {
        Metrics metrics(FolderWriter(folder.path()), 1, true);  // the second row came after the checkpoint
        metrics.append(row(2), {});
    }
    EXPECT_EQ(content(events).size(), two);
    EXPECT_THAT(content(events), HasSubstr("train/loss"));
    EXPECT_THAT(content(events), HasSubstr("val by sex/gaps.eodd"));
    EXPECT_EQ(content(events).find("name"), std::string::npos);
    Metrics none(FolderWriter(folder.path()), -1);
    EXPECT_FALSE(none.rows().size());
}

}  // namespace
}  // namespace fp
