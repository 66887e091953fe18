#include "engine/run/checkpoint_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

#include "engine/io/files.h"
#include "engine/io/hash.h"
#include "kernels/random.h"
#include "tests/broken_disk.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using testing::BrokenDisk;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

const Identity kIdentity{.settings = {{"--model", "\"resnet18\""}, {"--lr", "0.05"}, {"--seed", "1"}},
                         .noted = {{"--data", "csv:a.csv"}}};

// What a run would hold after `step`: other numbers in every tensor at every step.
Checkpoint after(int64_t step) {
    const auto numbers = [&](uint64_t stream, size_t count) {
        std::vector<float> out(count);
        for (size_t i = 0; i < count; ++i) out[i] = uniform(key_of(uint64_t(step), stream), i);
        return out;
    };
    const std::vector<float> weight = numbers(1, 600), momentum = numbers(2, 600);
    const std::vector<int64_t> seen{step};
    return {.step = step,
            .model = {.metadata = {{"format", "pt"}, {"note", std::to_string(step)}},
                      .tensors = {tensor_of<int64_t>("bn1.num_batches_tracked", {}, seen),
                                  tensor_of<float>("conv1.weight", {20, 30}, weight)}},
            .state = {tensor_of<float>("momentum.conv1.weight", {20, 30}, momentum)},
            .progress = "{\"epoch\":" + std::to_string(step / 10) + R"(,"best":0.30000000000000004,"list":[1,"two"]})"};
}

void expect_equal(const Checkpoint& found, const Checkpoint& wanted) {
    EXPECT_EQ(found.step, wanted.step);
    EXPECT_EQ(found.model, wanted.model);
    EXPECT_EQ(found.state, wanted.state);
    EXPECT_EQ(found.progress, wanted.progress);
}

struct Folder {
    explicit Folder(const fs::path& folder, Identity identity = kIdentity)
        : checkpoints(
              FolderWriter(folder), std::move(identity), [this](const std::string& line) { log << line << "\n"; }) {}
    std::ostringstream log;
    CheckpointFolder checkpoints;
};

// The folder of a run that has saved steps 9 and 10.
struct TwoSaved : TemporaryFolder {
    explicit TwoSaved(bool best = false) {
        Folder run(path());
        run.checkpoints.save(after(9), best);
        run.checkpoints.save(after(10), false);
    }
};

std::vector<std::string> names_in(const fs::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
}

void flip_bit(const fs::path& path, int64_t from_end) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-from_end, std::ios::end);
    const char byte = char(file.get() ^ 4);
    file.seekp(-from_end, std::ios::end);
    file.put(byte);
}

TEST(CheckpointFolder, a_checkpoint_comes_back_as_it_was) {
    const TemporaryFolder folder;
    EXPECT_FALSE(Folder(folder.path()).checkpoints.load().has_value());
    Folder(folder.path()).checkpoints.save(after(7), true);
    Folder again(folder.path());
    expect_equal(again.checkpoints.load().value(), after(7));
    expect_equal(again.checkpoints.load_best().value(), after(7));
    EXPECT_EQ(again.log.str(), "");
    EXPECT_EQ(read_safetensors(folder / "last.safetensors").metadata, after(7).model.metadata);
}

TEST(CheckpointFolder, last_previous_and_best_are_kept_and_no_other) {
    const TemporaryFolder folder;
    Folder run(folder.path());
    for (const int64_t step : {8, 9, 10, 11}) run.checkpoints.save(after(step), step == 9);
    EXPECT_EQ(names_in(folder.path()),
              (std::vector<std::string>{"best.safetensors", "last.json", "last.safetensors", "step-10.safetensors",
                                        "step-10.state", "step-11.safetensors", "step-11.state", "step-9.safetensors",
                                        "step-9.state"}));
    EXPECT_EQ(read_safetensors(folder / "best.safetensors").metadata.at("note"), "9");
    EXPECT_EQ(read_safetensors(folder / "last.safetensors").metadata.at("note"), "11");
    Folder again(folder.path());
    expect_equal(again.checkpoints.load().value(), after(11));
    expect_equal(again.checkpoints.load_best().value(), after(9));
    again.checkpoints.save(after(12), true);
    EXPECT_EQ(read_safetensors(folder / "best.safetensors").metadata.at("note"), "12");
}

TEST(CheckpointFolder, saving_a_step_again_keeps_the_one_before) {
    const TemporaryFolder folder;
    Folder run(folder.path());
    for (const int64_t step : {1, 2, 2}) run.checkpoints.save(after(step), false);
    flip_bit(folder / "step-2.state", 1);
    expect_equal(Folder(folder.path()).checkpoints.load().value(), after(1));
}

TEST(CheckpointFolder, any_damaged_byte_is_found_and_previous_is_taken) {
    for (const char* name : {"step-10.safetensors", "step-10.state"}) {
        const TwoSaved folder;
        const int64_t bytes = int64_t(fs::file_size(folder / name));
        for (int64_t at = 1; at <= bytes; at += at < 40 ? 1 : 41) {
            flip_bit(folder / name, at);
            Folder again(folder.path());
            expect_equal(again.checkpoints.load().value(), after(9));
            EXPECT_THAT(again.log.str(), HasSubstr(name));
            EXPECT_THAT(again.log.str(), HasSubstr("step 9"));
            flip_bit(folder / name, at);
        }
        expect_equal(Folder(folder.path()).checkpoints.load().value(), after(10));
    }
}

TEST(CheckpointFolder, a_shortened_or_missing_file_gives_way_to_previous) {
    for (const char* name : {"step-10.safetensors", "step-10.state"}) {
        const TwoSaved folder;
        fs::resize_file(folder / name, fs::file_size(folder / name) - 1);
        expect_equal(Folder(folder.path()).checkpoints.load().value(), after(9));
        fs::remove(folder / name);
        Folder again(folder.path());
        expect_equal(again.checkpoints.load().value(), after(9));
        EXPECT_EQ(read_safetensors(folder / "last.safetensors").metadata.at("note"), "9");
        again.checkpoints.save(after(10), false);
        expect_equal(Folder(folder.path()).checkpoints.load().value(), after(10));
    }
}

TEST(CheckpointFolder, a_model_of_one_step_with_the_state_of_another_is_damage) {
    const TwoSaved folder;
    fs::copy_file(folder / "step-9.safetensors", folder / "step-10.safetensors", fs::copy_options::overwrite_existing);
    expect_equal(Folder(folder.path()).checkpoints.load().value(), after(9));
    fs::copy_file(folder / "step-9.state", folder / "step-10.state", fs::copy_options::overwrite_existing);
    Folder again(folder.path());
    expect_equal(again.checkpoints.load().value(), after(9));
    EXPECT_THAT(again.log.str(), HasSubstr("holds step 9"));
}

TEST(CheckpointFolder, both_damaged_is_an_error) {
    const TwoSaved folder;
    flip_bit(folder / "step-10.safetensors", 1);
    flip_bit(folder / "step-9.state", 1);
    expect_error(
        Exit::model, [&] { Folder(folder.path()).checkpoints.load(); }, "no checkpoint can be read",
        "step-10.safetensors: conv1.weight is damaged", "step-9.state: momentum.conv1.weight is damaged");
}

TEST(CheckpointFolder, without_last_json_the_highest_number_is_taken) {
    for (const bool damaged : {false, true}) {
        const TwoSaved folder(true);
        fs::remove(folder / "last.json");
        if (damaged) std::ofstream(folder / "last.json") << "{\"format\":1,\"last\":";
        Folder again(folder.path());
        expect_equal(again.checkpoints.load().value(), after(10));
        expect_equal(again.checkpoints.load_best().value(), after(9));
        EXPECT_EQ(again.log.str().find("last.json") != std::string::npos, damaged);
    }
}

TEST(CheckpointFolder, other_settings_are_refused_with_both_values) {
    const TemporaryFolder folder;
    Folder(folder.path()).checkpoints.save(after(3), false);
    Identity other = kIdentity;
    other.settings[1].value = "0.1";
    const auto load = [&] { Folder(folder.path(), other).checkpoints.load(); };
    expect_error(Exit::model, load, "--resume: --lr was 0.05, is 0.1");
    other.settings[2].value = "7";
    other.settings.push_back({"--new", "1"});
    expect_error(Exit::model, load, "--lr was 0.05, is 0.1, and 2 more settings differ");
    other = kIdentity;
    other.settings.erase(other.settings.begin());
    expect_error(Exit::model, load, "--model was \"resnet18\", is not set");
}

TEST(CheckpointFolder, another_noted_setting_is_said_and_allowed) {
    const TemporaryFolder folder;
    Folder(folder.path()).checkpoints.save(after(3), false);
    Identity other = kIdentity;
    other.noted[0].value = "csv:b.csv";
    Folder again(folder.path(), other);
    expect_equal(again.checkpoints.load().value(), after(3));
    EXPECT_EQ(again.log.str(), "--resume: --data was csv:a.csv, is csv:b.csv\n");
}

TEST(CheckpointFolder, a_run_of_the_version_before_is_refused_in_words) {
    const TemporaryFolder folder;
    Folder(folder.path()).checkpoints.save(after(3), false);
    // The same file with a description in the older form.
    TensorFile state = read_safetensors(folder / "step-3.state");
    std::string& description = state.metadata.at("checkpoint");
    const size_t begin = description.find("\"settings\""), end = description.find("\"progress\"");
    description.replace(begin, end - begin, "\"identity\":{\"seed\":1},");
    state.metadata.at("xxh3") = xxh3(as_bytes(description));
    write_safetensors(folder / "step-3.state", state);
    expect_error(
        Exit::model, [&] { Folder(folder.path()).checkpoints.load(); }, "step-3.state: has no `settings`");
}

TEST(CheckpointFolder, what_a_tool_wrote_into_a_named_model_stays) {
    const TemporaryFolder folder;
    Folder(folder.path()).checkpoints.save(after(1), true);
    TensorFile best = read_safetensors(folder / "best.safetensors");
    best.metadata["threshold"] = "0.3";
    write_safetensors(folder / "best.safetensors", best);
    Folder again(folder.path());
    expect_equal(again.checkpoints.load().value(), after(1));
    again.checkpoints.save(after(2), false);
    EXPECT_EQ(read_safetensors(folder / "best.safetensors"), best);
    again.checkpoints.save(after(3), true);
    EXPECT_EQ(read_safetensors(folder / "best.safetensors"), after(3).model);
}

TEST(CheckpointFolder, clear_removes_the_run_and_nothing_else) {
    const TemporaryFolder folder;
    Folder(folder.path()).checkpoints.save(after(3), true);
    write_file(folder / "step-by-step.state", "mine");
    write_file(folder / "notes.txt", "mine");
    CheckpointFolder::clear(folder.path());
    EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"notes.txt", "step-by-step.state"}));
}

// Every file that a run still needs is whole, whatever happened while step 3 was saved over 1 and 2.
void expect_usable(const fs::path& folder, bool saved) {
    Folder run(folder);
    const std::optional<Checkpoint> found = run.checkpoints.load();
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(run.log.str(), "") << "an interrupted save has damaged something";
    EXPECT_TRUE(found->step == 3 || (found->step == 2 && !saved)) << found->step;
    expect_equal(*found, after(found->step));
    const std::string note = read_safetensors(folder / "last.safetensors").metadata.at("note");
    EXPECT_EQ(note, std::to_string(found->step));
    const std::optional<Checkpoint> best = run.checkpoints.load_best();
    ASSERT_TRUE(best.has_value());
    EXPECT_EQ(read_safetensors(folder / "best.safetensors").metadata, best->model.metadata);
    run.checkpoints.save(after(4), false);
    for (const std::string& name : names_in(folder)) EXPECT_THAT(name, ::testing::Not(HasSubstr(".tmp.")));
}

TEST(CheckpointFolder, a_kill_at_any_system_call_leaves_a_checkpoint_to_resume) {
    bool finished = false;
    int calls = 0;
    for (; !finished && calls < 1000; ++calls) {
        const TemporaryFolder folder;
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            Folder run(folder.path());
            run.checkpoints.save(after(1), true);
            run.checkpoints.save(after(2), false);
            const BrokenDisk broken("any", BrokenDisk::kKill, calls, folder.path());
            run.checkpoints.save(after(3), true);
            _exit(0);
        }
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        finished = WIFEXITED(status);
        if (!finished) {
            ASSERT_EQ(WTERMSIG(status), SIGKILL);
        }
        expect_usable(folder.path(), finished);
        ASSERT_FALSE(HasFailure()) << "killed at call " << calls;
    }
    EXPECT_GT(calls, 20);
    EXPECT_LT(calls, 1000);
}

TEST(CheckpointFolder, a_failing_disk_is_an_error_and_leaves_a_checkpoint_to_resume) {
    for (const char* call : {"write", "fsync", "close", "rename", "link"}) {
        bool saved = false;
        for (int uses = 0; !saved && uses < 100; ++uses) {
            const TemporaryFolder folder;
            Folder run(folder.path());
            run.checkpoints.save(after(1), true);
            run.checkpoints.save(after(2), false);
            try {
                const BrokenDisk broken(call, uses % 2 ? ENOSPC : EIO, uses, folder.path());
                run.checkpoints.save(after(3), true);
                saved = true;
            } catch (const Error& error) {
                EXPECT_EQ(error.exit, Exit::model);
                EXPECT_THAT(error.what(), HasSubstr(folder.path().string()));
            }
            expect_usable(folder.path(), saved);
            ASSERT_FALSE(HasFailure()) << call << " failed from use " << uses;
        }
        EXPECT_TRUE(saved) << call;
    }
}

TEST(CheckpointFolder, a_run_goes_on_after_a_failed_save) {
    const TemporaryFolder folder;
    Folder run(folder.path());
    run.checkpoints.save(after(1), true);
    {
        const BrokenDisk broken("rename", ENOSPC, 2, folder.path());
        EXPECT_THROW(run.checkpoints.save(after(2), false), Error);
    }
    run.checkpoints.save(after(3), false);
    flip_bit(folder / "step-3.state", 1);
    expect_equal(Folder(folder.path()).checkpoints.load().value(), after(1));
}

TEST(CheckpointFolder, a_file_system_without_links_gets_copies) {
    for (const int reason : {EPERM, EOPNOTSUPP, EMLINK, ENOSYS, EACCES, EXDEV, EINVAL}) {
        const TemporaryFolder folder;
        Folder run(folder.path());
        {
            const BrokenDisk broken("link", reason, 0, folder.path());
            run.checkpoints.save(after(1), true);
            run.checkpoints.save(after(2), true);
        }
        EXPECT_EQ(read_safetensors(folder / "last.safetensors"), read_safetensors(folder / "step-2.safetensors"));
        EXPECT_EQ(fs::hard_link_count(folder / "last.safetensors"), 1u);
        const std::string log = run.log.str();
        EXPECT_THAT(log, HasSubstr("models are copied instead"));
        EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
    }
}

}  // namespace
}  // namespace fp
