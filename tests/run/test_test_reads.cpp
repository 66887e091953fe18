#include "engine/run/test_reads.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/io/files.h"
#include "engine/run/run_folder.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TemporaryFolder;

// The value of an environment variable for the life of the object; null: it is not set.
class Environment {
public:
    Environment(const char* name, const char* value) : name_(name) {
        if (const char* before = std::getenv(name)) before_ = before;
        set(value);
    }
    ~Environment() { set(before_ ? before_->c_str() : nullptr); }

private:
    void set(const char* value) { value ? setenv(name_, value, 1) : unsetenv(name_); }

    const char* name_;
    std::optional<std::string> before_;
};

// A record of its own.
struct State {
    TemporaryFolder folder;
    Environment moved{kStateVariable, folder.path().c_str()};

    fs::path file() const { return folder / "test_reads.jsonl"; }
};

const TestSplit kSplit{.hash = "0123456789abcdef", .images = 504};

TestReads read_by(const std::string& tool, const std::vector<std::string>& models, const fs::path& folder = {}) {
    return record_test_read({.split = kSplit, .models = models, .folder = folder},
                            {.tool = tool, .command_line = tool + " --split test"});
}

TEST(TestReads, EveryCommandIsCountedWhateverTheFolderAndTheTool) {
    const State state;
    const TemporaryFolder first, second;
    EXPECT_EQ(read_by("fp_eval", {"a"}).count, 1);
    EXPECT_EQ(read_by("fp_eval", {"a"}).count, 2);  // without a folder each is one
    read_by("fp_prune", {"a", "b"}, first.path());
    const TestReads all = read_by("fp_prune", {"c"}, second.path());
    EXPECT_EQ(all.count, 4);
    EXPECT_EQ(all.models, 3);
    EXPECT_EQ(all.by, (std::map<std::string, int64_t>{{"fp_eval", 2}, {"fp_prune", 2}}));
    EXPECT_EQ(sentence(all), "the test split (n=504, 01234567) was read 4 times on record since " +
                                 date_now().substr(0, 10) + " (fp_eval 2, fp_prune 2; 3 models)");
    const TestReads other =
        record_test_read({.split = {.hash = "f", .images = 1}, .models = {"a"}}, {.tool = "fp_eval"});
    EXPECT_EQ(other.count, 1) << "another test split";
    EXPECT_THAT(sentence(other), HasSubstr("read 1 time on record"));
}

TEST(TestReads, ARunThatIsResumedIsTheSameReadAndOtherModelsAreAnother) {
    const State state;
    const TemporaryFolder run;
    EXPECT_EQ(read_by("fp_prune", {"a", "b"}, run.path()).count, 1);
    EXPECT_EQ(read_by("fp_prune", {"b", "a", "a"}, run.path()).count, 1);
    EXPECT_EQ(read_by("fp_prune", {"a", "b", "c"}, run.path()).count, 2);
    const std::string rows = read_file(run / "test_reads.jsonl", 1 << 20);
    EXPECT_EQ(std::ranges::count(rows, '\n'), 2);
    const auto row = nlohmann::json::parse(rows.substr(0, rows.find('\n')));
    EXPECT_EQ(row.at("split"), kSplit.hash);
    EXPECT_EQ(row.at("models"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(row.at("command_line"), "fp_prune --split test");
}

TEST(TestReads, ReadsSideBySideAreAllThere) {
    const State state;
    std::vector<std::thread> readers;
    for (int i = 0; i < 8; ++i)
        readers.emplace_back([] {
            for (int k = 0; k < 10; ++k) read_by("fp_eval", {"a"});
        });
    for (std::thread& t : readers) t.join();
    EXPECT_EQ(read_by("fp_eval", {"a"}).count, 81);
}

TEST(TestReads, ARecordThatCannotBeWrittenIsSaidAndIsNoError) {
    const TemporaryFolder folder;
    write_file(folder / "file", "");
    const Environment moved(kStateVariable, (folder / "file" / "state").c_str());
    const TestReads reads = read_by("fp_eval", {"a"});
    EXPECT_FALSE(reads.count);
    EXPECT_THAT(reads.fault, HasSubstr("cannot be made"));
    EXPECT_THAT(sentence(reads), HasSubstr("is not on record: "));
    EXPECT_TRUE(to_json(reads).at("count").is_null());
    EXPECT_THAT(to_json(reads).at("reason"), HasSubstr("state: "));
}

TEST(TestReads, TurnedOffNothingIsWrittenAndThatIsSaid) {
    const Environment off(kStateVariable, "off");
    const TemporaryFolder home;
    const Environment at(("HOME"), home.path().c_str()), state("XDG_STATE_HOME", nullptr);
    const TestReads reads = read_by("fp_eval", {"a"});
    EXPECT_EQ(sentence(reads),
              "how often the test split (n=504, 01234567) was read is not on record: FAIRPRUNE_STATE=off");
    EXPECT_EQ(reads.fault, "");
    EXPECT_TRUE(fs::is_empty(home.path()));
}

TEST(TestReads, TheRecordIsWhereTheEnvironmentSays) {
    const TemporaryFolder home, state;
    const Environment none(kStateVariable, nullptr), at("HOME", home.path().c_str());
    {
        const Environment unset("XDG_STATE_HOME", nullptr);
        read_by("fp_eval", {"a"});
        EXPECT_TRUE(fs::exists(home / ".local/state/fairprune/test_reads.jsonl"));
    }
    const Environment moved("XDG_STATE_HOME", state.path().c_str());
    read_by("fp_eval", {"a"});
    EXPECT_TRUE(fs::exists(state / "fairprune/test_reads.jsonl"));
}

TEST(TestReads, ALineThatWasCutOffIsNoRowAndLosesNoOther) {
    const State state;
    read_by("fp_eval", {"a"});
    append_file(state.file(), R"({"date":"2026-)");
    const TestReads reads = read_by("fp_eval", {"b"});
    EXPECT_EQ(reads.count, 2);
    EXPECT_THAT(reads.fault, HasSubstr("test_reads.jsonl: 1 line of reads"));
}

Dataset images(const std::string& folder) {
    Dataset out{.classes = {"no", "yes"}};
    for (int i = 0; i < 6; ++i)
        out.samples.push_back({.image = folder + std::to_string(i) + ".jpg", .label = i % 2, .split = Split(i % 3)});
    return out;
}

Predictions predicted(const std::vector<std::string>& images, const std::vector<int>& labels) {
    Predictions out;
    out.classes = {"no", "yes"};
    out.image = images;
    out.label = labels;
    out.pred = std::vector<int>(images.size(), 1);
    return out;
}

TEST(TestSplits, AreTheImagesThatJudgeWhereverTheyLie) {
    const std::vector<int64_t> all{0, 1, 2, 3, 4, 5};
    const Dataset here = images("a/"), there = images("b/c/");
    const TestSplit split = test_split(here, all);
    EXPECT_EQ(split.images, 2);  // 2 and 5
    EXPECT_EQ(test_split(here, {2, 5}).hash, split.hash);
    EXPECT_EQ(test_split(there, {5, 2}).hash, split.hash);
    EXPECT_NE(test_split(here, {2}).hash, split.hash);
    EXPECT_EQ(test_split(here, {0, 1}).images, 0);  // train and val

    Predictions rows = predicted({"5", "2", "0"}, {1, 0, 0});
    rows.split = {"test", "testing", "train"};
    EXPECT_EQ(test_split(rows).hash, split.hash);
    rows.split = {"external", "external", "val"};
    EXPECT_EQ(test_split(rows).images, 2);
    rows.split = {"train", "val", "train"};
    EXPECT_EQ(test_split(rows).images, 0);
    rows.split.clear();
    EXPECT_EQ(test_split(rows).images, 3);
}

TEST(TestSplits, GeneratedImagesAreKnownByTheirSpecification) {
    const Dataset one = open_dataset("synth:n=100,size=16"), other = open_dataset("synth:n=100,size=16,seed=2");
    const std::vector<int64_t> test = members(one, Split::test);
    EXPECT_GT(test.size(), 0u);
    EXPECT_NE(test_split(one, test).hash, test_split(other, test).hash);
}

TEST(TestSplits, PredictionsAreKnownByWhatIsPredicted) {
    Predictions rows = predicted({"5", "2"}, {1, 0});
    const std::string hash = predictions_hash(rows);
    rows.pred[0] = 0;
    EXPECT_NE(predictions_hash(rows), hash);
}

}  // namespace
}  // namespace fp
