#include <gtest/gtest.h>

#include <sstream>

#include "engine/data/decode/decode.h"
#include "engine/eval/predictions_file.h"
#include "engine/eval/unlabelled.h"
#include "engine/io/files.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace fp {
namespace {

using testing::expect_error;

class Unlabelled : public ::testing::Test {
protected:
    Unlabelled() {
        std::filesystem::create_directories(folder_ / "in/deep/.hidden");
        for (const char* name :
             {"in/b.png", "in/deep/a.PNG", "in/deep/no-ending", "in/.c.png", "in/deep/.hidden/d.png"})
            write_png(folder_ / name, black(2, 2));
        write_file(folder_ / "in/broken.jpg", "<html>");
        write_file(folder_ / "in/notes.txt", "words");
    }
    std::string at(const char* name) const { return (folder_ / name).string(); }
    std::vector<std::string> images(const std::vector<std::string>& words, const std::string& in = "") {
        std::istringstream lines(in);
        data_ = unlabelled_images(words, lines);
        std::vector<std::string> out;
        for (const Sample& sample : data_.samples) {
            EXPECT_EQ(sample.label, -1);
            out.push_back(sample.image);
        }
        return out;
    }

    const testing::TemporaryFolder folder_;
    Dataset data_;
};

TEST_F(Unlabelled, a_folder_gives_its_images_by_content_or_name) {
    EXPECT_EQ(images({at("in")}), (std::vector<std::string>{at("in/b.png"), at("in/broken.jpg"), at("in/deep/a.PNG"),
                                                            at("in/deep/no-ending")}));
    EXPECT_EQ(data_.notes, std::vector<std::string>{"skipped 1 file that is no JPEG, PNG or BMP: 1 .txt"});
}

TEST_F(Unlabelled, lists_and_files_keep_their_order_and_a_path_counts_once) {
    write_file(folder_ / "list", at("in/deep/a.PNG") + "\r\n\n" + at("in/b.png"));
    const std::string again = at("in/deep/../b.png");
    EXPECT_EQ(
        images({at("in/deep/no-ending"), at("list"), "-"}, again + "\n" + at("in/broken.jpg") + "\n"),
        (std::vector<std::string>{at("in/deep/no-ending"), at("in/deep/a.PNG"), at("in/b.png"), at("in/broken.jpg")}));
    EXPECT_EQ(data_.notes, std::vector<std::string>{"1 paths are named more than once"});
}

TEST_F(Unlabelled, a_list_may_have_a_byte_order_mark_and_no_endless_line) {
    EXPECT_EQ(images({"-"}, "\xef\xbb\xbf" + at("in/b.png")), std::vector<std::string>{at("in/b.png")});
    expect_error(
        Exit::data, [&] { images({"-"}, at("in/b.png") + "\n" + std::string(5000, 'a')); }, "standard input:2", "longer");
    expect_error(
        Exit::data, [&] { images({"-"}, std::string("a\0b", 3)); }, "standard input:1", "NUL");
}

TEST_F(Unlabelled, what_cannot_be_is_said) {
    const auto fails = [&](Exit exit, const std::string& word, const std::string& message) {
        expect_error(
            exit, [&] { images({word}); }, message);
    };
    write_file(folder_ / "list", "\nnone.png\n");
    write_file(folder_ / "table.csv", "image,label\n");
    std::filesystem::create_directory(folder_ / "empty");
    fails(Exit::data, at("list"), "list:2: none.png: no such file");
    fails(Exit::data, at("nowhere"), "nowhere: no such file or folder");
    fails(Exit::data, at("empty"), ": no image");
    fails(Exit::usage, at("table.csv"), "--data csv:");
    std::istringstream none;
    EXPECT_EQ(unlabelled_images({at("list")}, none, true).samples.size(), 1u);
}

TEST_F(Unlabelled, predictions_have_no_columns_of_label_and_split) {
    const Predictions p{.classes = {"x", "y"},
                        .image = {"a"},
                        .unit = {"a"},
                        .label = {-1},
                        .pred = {1},
                        .prob = {0.25, 0.75},
                        .columns = {"positive_x"},
                        .attributes = {{"0"}},
                        .split = {"train"}};
    EXPECT_EQ(csv_text(table_of(p)), "image,positive_x,prob_x,prob_y,pred\na,0,0.25,0.75,y\n");
}

}  // namespace
}  // namespace fp
