#include "engine/data/counts.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <sstream>

#include "engine/data/check.h"
#include "engine/data/parallel.h"
#include "engine/data/split.h"
#include "kernels/error.h"
#include "tests/data/folder.h"

namespace fp {
namespace {

using ::testing::HasSubstr;

Dataset small(const Folder& folder) {
    return open_dataset("csv:" + folder.write("t.csv",
                                              "image,label,split,sex,lesion_id\n"
                                              "a.png,nv,train,male,L1\nb.png,nv,train,,L1\n"
                                              "c.png,mel,train,female,\nd.png,nv,test,male,L2\n"));
}

TEST(Counts, AsText) {
    const Folder folder;
    Dataset data = small(folder);
    data.classes[0] = "a\tvery long name of a class, longer than its column";
    const std::string text = counts_text(data, {group_by(data, "sex")});
    EXPECT_THAT(text, HasSubstr("4 images of 3 units"));
    EXPECT_THAT(text, HasSubstr("a\\x09very long name of a cla            1            0"));
    EXPECT_THAT(text, HasSubstr("sex in train                       female         male      unknown"));
    EXPECT_THAT(text, HasSubstr("all                                     3            0            1            4"));
}

TEST(Counts, ManyGroupsStandInBlocksWithin80Columns) {
    const Folder folder;
    std::string table = "image,label,split,tone,site\n";
    for (int i = 0; i < 40; ++i)
        table += fmt::format("{0}.png,a class of {1},train,{2},site number {0}\n", i, i % 2, 1 + i % 6);
    const Dataset data = open_dataset("csv:" + folder.write("t.csv", table));
    const std::string text = counts_text(data, {group_by(data, "tone"), group_by(data, "site")});
    std::istringstream lines(text);
    size_t blocks = 0;
    for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 80u) << line;
        blocks += line.starts_with("site in train");
    }
    EXPECT_EQ(blocks, 11u);  // 40 sites and unknown, four in a block
    EXPECT_THAT(text, HasSubstr("tone in train                      1       2       3       4       5       6\n"));
}

TEST(Counts, ImagesThatShareALesionOrPatientWithTrain) {
    const Folder folder;
    const Dataset data =
        open_dataset("csv:" + folder.write("t.csv",
                                           "image,label,split,lesion_id,patient_id\n"
                                           "a.png,nv,train,L1,P1\nb.png,nv,train,,P2\nc.png,mel,test,L1,P1\n"
                                           "d.png,nv,test,L1,P1\ne.png,nv,test,L3,P2\nf.png,nv,test,L4,\n"
                                           "g.png,mel,test,,\nh.png,mel,val,L4,\n"),
                     {.allow_leak = true});
    EXPECT_EQ(shared_images(data, Split::test, Split::train), 3);
    EXPECT_EQ(shared_images(data, Split::val, Split::train), 0);
    const std::string text = counts_text(data, {});
    EXPECT_THAT(text, HasSubstr("3 of 5 test images are of a lesion or patient that is in train too"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("val images are of")));
}

TEST(PixelStats, OfWhatCanBeRead) {
    const Folder folder;
    const Dataset data = small(folder);
    const std::vector<uint8_t> first(2 * 3 * 3, 51), second(4 * 3 * 3, 102);
    write_png(folder / "a.png", {2, 3, first.data()});
    write_png(folder / "b.png", {4, 3, second.data()});
    const PixelStats stats = measure_pixels(data, Split::train, {.threads = 2});
    EXPECT_EQ(stats.images, 2);
    EXPECT_EQ(stats.bad, 1);
    EXPECT_EQ(stats.least_width, 2);
    EXPECT_EQ(stats.most_width, 4);
    EXPECT_EQ(stats.least_height, 3);
    EXPECT_EQ(stats.most_height, 3);
    const double mean = (6 * 0.2 + 12 * 0.4) / 18;
    for (size_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(stats.mean[c], mean, 1e-12);
        EXPECT_NEAR(stats.std[c], std::sqrt((6 * 0.04 + 12 * 0.16) / 18 - mean * mean), 1e-12);
    }
    EXPECT_EQ(measure_pixels(data, Split::val).images, 0);
    EXPECT_EQ(measure_pixels(open_dataset("synth:n=50,size=16"), Split::train).images, 30);
}

TEST(ForEachSample, DoesEachOnceOnAnyNumberOfThreads) {
    for (const int threads : {0, 1, 5})
        for (const int64_t n : {0, 1, 64, 1000}) {
            std::vector<std::atomic<int>> times(size_t(n) + 1);
            int64_t last = 0;
            for_each_sample(
                n, threads, [&](int64_t i) { ++times[size_t(i)]; }, [&](int64_t done) { last = done; });
            for (int64_t i = 0; i < n; ++i) EXPECT_EQ(times[size_t(i)], 1);
            EXPECT_EQ(last, n);
        }
    const auto throws = [](int64_t i) { FP_REQUIRE(i != 500, Exit::data, "sample ", i); };
    EXPECT_THROW(for_each_sample(1000, 3, throws), Error);
}

}  // namespace
}  // namespace fp
