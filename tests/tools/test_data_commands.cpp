#include "tools/data_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/data/decode/decode.h"
#include "engine/io/csv.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

// What a command printed on stdout.
std::string output(int (*command)(const DataRequest&, const Options&), const DataRequest& request, bool json = false) {
    Options options("fp_data", "Tests.");
    const char* const words[] = {"fp_data", "--quiet", json ? "--json" : "--no-json"};
    FP_CHECK(options.parse(3, words), "help?");
    std::ostringstream out;
    struct Redirected {
        std::streambuf* const before;
        ~Redirected() { std::cout.rdbuf(before); }
    } const redirected{std::cout.rdbuf(out.rdbuf())};
    try {
        EXPECT_EQ(command(request, options), 0);
    } catch (Error& error) {
        throw Error(error.what() + ("\t" + out.str()).substr(0, 20), error.exit);
    }
    return out.str();
}

struct Files {
    TemporaryFolder folder;
    DataRequest request;

    // Images a to f of which a and d are equal, listed by `rows`.
    explicit Files(const std::string& rows) {
        for (const char name : {'a', 'b', 'c', 'd', 'e', 'f'}) {
            const std::vector<uint8_t> rgb(2 * 2 * 3, name == 'd' ? 'a' : uint8_t(name));
            write_png(folder / (std::string(1, name) + ".png"), {2, 2, rgb.data()});
        }
        Table table = parse_csv("image,label,split,sex,lesion_id\n" + rows, "rows");
        write_csv(folder / "t.csv", table);
        request.spec = "csv:" + (folder / "t.csv").string();
    }
};

TEST(DataCommands, check_passes_what_is_sound) {
    const Files files("a.png,x,train,m,1\nd.png,x,train,m,2\nb.png,y,val,f,3\nc.png,y,test,f,4\n");
    const auto json = nlohmann::json::parse(output(check_data, files.request, true));
    EXPECT_EQ(json["images"], 4);
    EXPECT_THAT(json["duplicates"][0], ElementsAre("a.png", "d.png"));
    EXPECT_TRUE(json["missing"].empty());
    EXPECT_TRUE(json["duplicates_in_two_splits"].empty());
    EXPECT_TRUE(json["units_in_two_splits"].empty());
    EXPECT_EQ(json["splits"]["train"]["attributes"]["sex"]["x"]["m"], 2);
    EXPECT_THAT(output(check_data, files.request), HasSubstr("sets of equal files"));
}

TEST(DataCommands, counts_as_json) {
    Files files("a.png,nv,train,male,L1\nb.png,nv,train,,L1\nc.png,mel,train,female,\nd.png,nv,test,male,L1\n");
    const auto json = nlohmann::json::parse(output(count_data, files.request, true));
    EXPECT_EQ(json["images"], 4);
    EXPECT_EQ(json["units"], 2);
    EXPECT_EQ(json["split_hash"], split_hash(open_dataset(files.request.spec, {.allow_leak = true})));
    const auto& train = json["splits"]["train"];
    EXPECT_EQ(train["units"], 2);
    EXPECT_EQ(train["classes"]["nv"], 2);
    EXPECT_EQ(train["attributes"]["sex"]["nv"], (nlohmann::json{{"male", 1}, {"female", 0}, {"unknown", 1}}));
    EXPECT_EQ(train["attributes"]["sex"]["mel"]["female"], 1);
    EXPECT_FALSE(train.contains("images_shared_with_train"));
    EXPECT_EQ(json["splits"]["val"]["images"], 0);
    EXPECT_EQ(json["splits"]["val"]["images_shared_with_train"], 0);
    EXPECT_EQ(json["splits"]["test"]["images_shared_with_train"], 1);
}

TEST(DataCommands, check_stops_at_a_lesion_on_two_sides) {
    Files files("a.png,x,train,m,1\nb.png,x,test,m,1\nc.png,y,val,f,3\n");
    expect_error(
        Exit::data, [&] { output(check_data, files.request); }, "1 lesions or patients and 0 sets of equal files",
        "--allow-leak", "\t3 images of 2");
    files.request.dataset.allow_leak = true;
    EXPECT_THAT(output(check_data, files.request), HasSubstr("lesions or patients in two splits"));
}

TEST(DataCommands, check_stops_at_equal_files_on_two_sides) {
    Files files("a.png,x,train,m,1\nd.png,y,test,m,2\nc.png,y,val,f,3\n");
    expect_error(
        Exit::data, [&] { output(check_data, files.request); }, "and 1 sets of equal files");
    files.request.dataset.allow_leak = true;
    const auto json = nlohmann::json::parse(output(check_data, files.request, true));
    EXPECT_THAT(json["duplicates_in_two_splits"][0], ElementsAre("a.png", "d.png"));
    EXPECT_THAT(json["duplicates_of_two_classes"][0], ElementsAre("a.png", "d.png"));
}

TEST(DataCommands, check_stops_at_bad_images) {
    Files files("a.png,x,train,m,1\nz.png,x,train,m,2\nt.csv,y,val,f,3\n");
    expect_error(
        Exit::data, [&] { output(check_data, files.request); }, "1 images missing, 1 unreadable", "--allow-bad");
    files.request.allow_bad = true;
    const auto json = nlohmann::json::parse(output(check_data, files.request, true));
    EXPECT_EQ(json["missing"][0]["image"], "z.png");
    EXPECT_EQ(json["unreadable"][0]["image"], "t.csv");
    EXPECT_THAT(std::string(json["unreadable"][0]["reason"]), HasSubstr("t.csv: text, not an image"));
}

TEST(DataCommands, split_keeps_equal_files_together) {
    Files files("a.png,x,,m,\nd.png,x,,m,\nb.png,x,,f,\nc.png,x,,f,\ne.png,x,,f,\n");
    files.request.spec += ",split=none";
    bool parted = false;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        files.request.dataset.split_seed = seed;
        const auto sides = [&](bool duplicates) {
            files.request.duplicates = duplicates;
            const Table table = parse_csv(output(split_data, files.request), "split");
            return std::pair(std::string(table.rows[0][2]), std::string(table.rows[1][2]));
        };
        EXPECT_EQ(sides(true).first, sides(true).second);
        parted = parted || sides(false).first != sides(false).second;
    }
    EXPECT_TRUE(parted);
    files.request.out = (files.folder / "s.csv").string();
    EXPECT_EQ(output(split_data, files.request), "");
    EXPECT_EQ(read_csv(files.folder / "s.csv").rows.size(), 5u);
}

TEST(DataCommands, synth_writes_what_it_opens) {
    const TemporaryFolder folder;
    DataRequest request{.spec = "synth:n=60,size=16,seed=3", .out = (folder / "new").string()};
    EXPECT_THAT(output(write_synth, request), HasSubstr("new/dataset.csv"));
    const DataRequest written{.spec = "csv:" + (folder / "new" / "dataset.csv").string()};
    const auto from_files = nlohmann::json::parse(output(count_data, written, true));
    const auto generated = nlohmann::json::parse(output(count_data, request, true));
    EXPECT_EQ(from_files["split_hash"], generated["split_hash"]);
    EXPECT_EQ(from_files["splits"], generated["splits"]);
    const Pixels image = decode_file(folder / "new" / "images" / "00000007.png");
    std::vector<uint8_t> rgb(16 * 16 * 3);
    render(parse_synth("n=60,size=16,seed=3"), 7, rgb.data());
    EXPECT_EQ(image.rgb, rgb);
    expect_error(
        Exit::data, [&] { output(write_synth, request); }, "exists and is not empty");
    request.spec = written.spec;
    expect_error(
        Exit::usage, [&] { output(write_synth, request); }, "is not synth:");
}

TEST(DataCommands, stats_measures_pixels) {
    Files files("a.png,x,train,m,1\nb.png,y,train,f,2\nc.png,y,test,f,2\n");
    files.request.pixels = true;
    const auto json = nlohmann::json::parse(output(count_data, files.request, true));
    EXPECT_EQ(json["pixels"]["images"], 2);
    EXPECT_NEAR(double(json["pixels"]["mean"][0]), ('a' + 'b') / 2.0 / 255, 1e-12);
    EXPECT_THAT(output(count_data, files.request), HasSubstr("--normalize 0.3824,0.3824,0.3824/0.0020"));
}

TEST(DataCommands, cache_is_written_once) {
    Files files("a.png,x,train,m,1\nb.png,y,train,f,2\n");
    files.request.out = (files.folder / "cache").string();
    files.request.image_size = 8;
    const std::string path = output(cache_data, files.request);
    EXPECT_TRUE(std::filesystem::exists(path.substr(0, path.size() - 1)));
    EXPECT_EQ(output(cache_data, files.request), path);
    files.request.out = "";
    expect_error(
        Exit::usage, [&] { output(cache_data, files.request); }, "--out DIR");
}

}  // namespace
}  // namespace fp
