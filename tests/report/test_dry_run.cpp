// --dry-run leaves the disk as it was, whatever stands there and however it ends.
#include "engine/report/dry_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/io/files.h"
#include "models/models.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryFolder;
using ::testing::UnorderedElementsAre;

struct DryRuns : ::testing::Test {
    ImageData data = open_images("synth:n=80,size=16,classes=2,groups=2", {.image_size = 16});
    std::unique_ptr<Network> network =
        models::build({.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.05}, *find_kernels(Backend::cpu));
    TemporaryFolder folder;

    DryRun run(const fs::path& out, const Observer& observer = {}, double max_minutes = 0) {
        const auto options = [](const Dataset& set) { return fit_options({}, {}, 8, 1, set); };
        return dry_run(*network, {.image_size = 16}, data, options,
                       {.folder = out, .max_minutes = max_minutes, .observer = observer});
    }
    std::vector<std::string> left() const {
        std::vector<std::string> out;
        for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
            out.push_back(entry.path().lexically_relative(folder.path()));
        return out;
    }
};

TEST_F(DryRuns, what_stands_beside_is_kept) {
    fs::create_directory(folder / "a.dry-run");
    write_file(folder / "a.dry-run" / "mine.txt", "mine");
    EXPECT_GT(run(folder / "a").updates, 0);
    EXPECT_THAT(left(), UnorderedElementsAre("a.dry-run", "a.dry-run/mine.txt"));
}

TEST_F(DryRuns, a_time_limit_of_the_real_run_does_not_end_it) { EXPECT_GT(run(folder / "a", {}, 1e-9).updates, 0); }

TEST_F(DryRuns, folders_that_are_made_for_it_go_unless_others_use_them) {
    run(folder / "new" / "deep" / "a");
    EXPECT_THAT(left(), ElementsAre());
    const Observer other{.progress = [&](const ProgressState&) {
        if (fs::is_directory(folder / "new") && !fs::exists(folder / "new" / "results.txt"))
            write_file(folder / "new" / "results.txt", "of another process");
    }};
    run(folder / "new" / "deep" / "a", other);
    EXPECT_THAT(left(), UnorderedElementsAre("new", "new/results.txt"));
}

TEST_F(DryRuns, one_that_is_stopped_says_so_and_leaves_nothing) {
    int reports = 0;
    for (int stops = 1; stops < 4; ++stops) {
        int asked = 0;
        EXPECT_THROW(run(folder / "new" / "a", {.stop = [&] { return ++asked >= stops; }}), Stopped) << stops;
        reports += asked;
        EXPECT_THAT(left(), ElementsAre()) << stops;
    }
    EXPECT_GE(reports, 6);
}

TEST_F(DryRuns, a_folder_that_cannot_be_made_is_an_error) {
    write_file(folder / "file", "");
    expect_error(
        Exit::data, [&] { run(folder / "file" / "a"); }, "file");
    EXPECT_THAT(left(), ElementsAre("file"));
}

}  // namespace
}  // namespace fp
