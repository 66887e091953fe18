#include "engine/data/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "engine/data/decode/decode.h"
#include "engine/data/split.h"
#include "tests/data/folder.h"
#include "tests/source_dir.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string grey(uint8_t level) {
    const std::vector<uint8_t> rgb(4 * 3 * 3, level);
    return encode_png({4, 3, rgb.data()});
}

TEST(Png, ReadsBackWhatWasWritten) {
    const Folder folder;
    std::vector<uint8_t> rgb(5 * 7 * 3);
    for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = uint8_t(i * 37);
    write_png(folder / "x.png", {7, 5, rgb.data()});
    const Pixels back = decode_file(folder / "x.png");
    EXPECT_EQ(back.width, 7);
    EXPECT_EQ(back.height, 5);
    EXPECT_EQ(back.rgb, rgb);
    EXPECT_THROW(write_png(folder / "none" / "x.png", {7, 5, rgb.data()}), Error);
}

TEST(FileScan, FindsWhatIsMissingBrokenAndTwice) {
    const Folder folder;
    folder.write("a.png", grey(1));
    folder.write("b.png", grey(2));
    folder.write("c.png", grey(1));
    folder.write("d.png", "<html>");
    folder.write("e.png", grey(3).substr(0, 60));
    folder.write("f.png", grey(2));
    folder.write("g.png", grey(1));
    const std::string file = folder.write("t.csv",
                                          "image,label,split\n"
                                          "a.png,x,train\nb.png,x,train\nc.png,x,train\nd.png,x,train\n"
                                          "e.png,x,test\nf.png,y,train\ng.png,x,test\nh.png,x,val\n");
    const Dataset data = open_dataset("csv:" + file);
    for (const int threads : {1, 3}) {
        const FileScan scan = scan_files(data, {.threads = threads});
        ASSERT_EQ(scan.bad.size(), 3u);
        EXPECT_EQ(scan.bad[0].sample, 3);
        EXPECT_FALSE(scan.bad[0].missing);
        EXPECT_THAT(scan.bad[0].reason, HasSubstr("d.png: an HTML page"));
        EXPECT_EQ(scan.bad[1].sample, 4);
        EXPECT_TRUE(scan.bad[2].missing);
        EXPECT_THAT(scan.duplicates, ElementsAre(ElementsAre(0, 2, 6), ElementsAre(1, 5)));
        EXPECT_THAT(scan.parted, ElementsAre(ElementsAre(0, 2, 6)));
        EXPECT_THAT(scan.contradicting, ElementsAre(ElementsAre(1, 5)));
    }
    EXPECT_EQ(scan_files(data, {.decode_images = false}).bad.size(), 1u);
}

TEST(FileScan, CountsWhatItDid) {
    const Folder folder;
    std::string text = "image,label\n";
    for (int i = 0; i < 150; ++i) text += std::to_string(i) + ".png,x\n";
    const Dataset data = open_dataset("csv:" + folder.write("t.csv", text));
    std::vector<int64_t> seen;
    const auto progress = [&](int64_t done) { seen.push_back(done); };
    EXPECT_EQ(scan_files(data, {.threads = 1, .progress = progress}).bad.size(), 150u);
    EXPECT_EQ(seen.size(), 19u);  // pieces of 8 images, between which it can be stopped
    EXPECT_TRUE(std::ranges::is_sorted(seen));
    EXPECT_EQ(seen.back(), 150);
    const auto broken = [](int64_t) { fail("no line"); };
    EXPECT_THROW(scan_files(data, {.threads = 2, .progress = broken}), Error);
    EXPECT_THAT(scan_files(open_dataset("synth:n=10")).bad, IsEmpty());
}

// Every file of the hostile set, as its list says: what must load is not bad, what must fail is.
TEST(FileScan, BadImages) {
    const auto folder = source_dir() / "tests" / "data" / "bad-images";
    const Table expected = read_csv(folder / "expected.csv");
    const int file = expected.column("image"), must = expected.column("expect");
    ASSERT_GE(file, 0);
    ASSERT_GE(must, 0);
    Table table{.header = {"image", "label"}};
    for (const auto& row : expected.rows) table.rows.push_back({row[size_t(file)], "x"});
    const Folder own;
    write_csv(own / "t.csv", table);
    const Dataset data =
        open_dataset("csv:" + (own / "t.csv").string() + ",images=" + folder.string(), {.allow_absolute = true});
    const FileScan scan = scan_files(data);
    std::map<int64_t, std::string> bad;
    for (const BadImage& image : scan.bad) bad[image.sample] = image.reason;
    for (size_t i = 0; i < expected.rows.size(); ++i) {
        const std::string_view wanted = expected.rows[i][size_t(must)];
        const bool is_bad = bad.contains(int64_t(i));
        EXPECT_FALSE(wanted == "ok" && is_bad) << bad[int64_t(i)];
        EXPECT_FALSE(wanted == "error" && !is_bad) << data.samples[i].image;
    }
}

}  // namespace
}  // namespace fp
