#include "engine/io/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/error.h"
#include "kernels/random.h"
#include "tests/source_dir.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string error_of(std::string_view text) {
    try {
        parse_csv(text, "t.csv");
    } catch (const Error& e) {
        EXPECT_EQ(e.exit, Exit::data);
        return e.what();
    }
    return "no error";
}

TEST(Csv, ReadsPlainRows) {
    const Table t = parse_csv("image,label\na.jpg,nv\nb.jpg,\n", "t.csv");
    EXPECT_THAT(t.header, ElementsAre("image", "label"));
    EXPECT_THAT(t.rows, ElementsAre(Cells{"a.jpg", "nv"}, Cells{"b.jpg", ""}));
    EXPECT_THAT(t.lines, ElementsAre(2, 3));
    EXPECT_EQ(t.column("label"), 1);
    EXPECT_EQ(t.column("sex"), -1);
}

TEST(Csv, ReadsMarkCrlfQuotesAndLineEndsInsideQuotes) {
    const Table t = parse_csv("\xEF\xBB\xBF\"image\",label\r\n\"a,\"\"b\"\".jpg\",\"two\r\nlines\"\r\nc,d", "t");
    EXPECT_THAT(t.header, ElementsAre("image", "label"));
    EXPECT_THAT(t.rows, ElementsAre(Cells{"a,\"b\".jpg", "two\r\nlines"}, Cells{"c", "d"}));
    EXPECT_THAT(t.lines, ElementsAre(2, 4));
}

TEST(Csv, EmptyLines) {
    EXPECT_EQ(parse_csv("a,b\n1,2\n\n\r\n", "t").rows.size(), 1u);
    EXPECT_THAT(error_of("a,b\n\n1,2\n"), HasSubstr("t.csv:2: 1 cells, the header has 2"));
    EXPECT_THAT(parse_csv("a\n1\n\n2\n\"\"\n", "t").rows, ElementsAre(Cells{"1"}, Cells{""}, Cells{"2"}, Cells{""}));
    EXPECT_TRUE(parse_csv("a,b", "t").rows.empty());
}

TEST(Csv, RefusesWithFileAndLine) {
    EXPECT_THAT(error_of(""), HasSubstr("t.csv: is empty"));
    EXPECT_THAT(error_of("\n\n"), HasSubstr("t.csv: is empty"));
    EXPECT_THAT(error_of("a,b\n1,2\n1,2,3\n"), HasSubstr("t.csv:3: 3 cells, the header has 2"));
    EXPECT_THAT(error_of("a,b\n\"1\n\n\",2\n1\n"), HasSubstr("t.csv:5: 1 cells"));
    EXPECT_THAT(error_of("a,b\n1,\"2\n3,4\n"), HasSubstr("t.csv:2: a quote that is never closed"));
    EXPECT_THAT(error_of("a,b\n1,5\" wide\n"), HasSubstr("t.csv:2: a quote inside"));
    EXPECT_THAT(error_of("a,b\n1,\"2\"x\n"), HasSubstr("t.csv:2: text after a closing quote"));
    EXPECT_THAT(error_of("a,b\r1,2\r"), HasSubstr("t.csv:1: a carriage return"));
    EXPECT_THAT(error_of("\xEF\xBB\xBFimage;label;sex\r\na b, c.jpg;nv;m\r\n"), HasSubstr("t.csv:1: semicolons part"));
    EXPECT_THAT(error_of("image\tlabel\na\tnv\n"), HasSubstr("t.csv:1: tabs part its cells"));
    EXPECT_EQ(parse_csv("a,b;c\n1,2;3\n", "t").rows[0][1], "2;3");
    EXPECT_THAT(error_of("a,a\n"), HasSubstr("t.csv:1: two columns are named 'a'"));
    EXPECT_THAT(error_of(std::string_view("a,b\n1,\0\n", 8)), HasSubstr("t.csv:2: holds a NUL"));
    EXPECT_THAT(error_of(std::string_view("a,b\n1,\"\0\"\n", 10)), HasSubstr("t.csv:2: holds a NUL"));
    EXPECT_THAT(error_of("\xFF\xFE\x61"), HasSubstr("UTF-16"));
    EXPECT_THAT(error_of("\x1F\x8B\x08"), HasSubstr("gzip"));
    for (const char* bad : {"\xE9", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"})
        EXPECT_THAT(error_of(text("a\nx\n", bad, "\n")), HasSubstr("t.csv:3: byte"));
    EXPECT_EQ(parse_csv("a\n名前-é-皮膚\n", "t").rows[0][0], "名前-é-皮膚");
}

TEST(Csv, Limits) {
    const std::string cell(kMaxCellBytes, 'x');
    EXPECT_EQ(parse_csv("a\n" + cell + "\n", "t").rows[0][0].size(), cell.size());
    EXPECT_THAT(error_of("a\n" + cell + "y\n"), HasSubstr("t.csv:2: a cell of 1048577 bytes"));
    EXPECT_THAT(error_of("a\n\"" + cell + "y\"\n"), HasSubstr("t.csv:2: a cell of 1048577 bytes"));
    EXPECT_EQ(parse_csv(std::string(kMaxColumns - 1, ','), "t").header.size(), size_t(kMaxColumns));
    EXPECT_THAT(error_of(std::string(kMaxColumns, ',')), HasSubstr("more than 10000 columns"));
}

TEST(Csv, MissingFilesAndFolders) {
    EXPECT_THROW(read_csv("/no/such/file.csv"), Error);
    EXPECT_THROW(read_csv(source_dir()), Error);
}

TEST(Csv, SpreadsheetsRunNothing) {
    const Table t{.header = {"a"},
                  .rows = {{"=1+1"}, {"+x"}, {"@x"}, {"-x,y"}, {"\tx"}, {"-1"}, {"+2.5e3"}, {"-"}},
                  .lines = {},
                  .name = ""};
    EXPECT_EQ(csv_text(t), "a\n'=1+1\n'+x\n'@x\n\"'-x,y\"\n'\tx\n-1\n+2.5e3\n'-\n");
}

TEST(Csv, ReadsBackWhatItWrote) {
    const std::vector<std::string> pieces = {"a", ",", "\"", "\n", "\r\n", " ", "é", "'", "1", "\xEF\xBB\xBF"};
    for (uint64_t trial = 0; trial < 200; ++trial) {
        const uint64_t key = key_of(17, trial);
        uint64_t drawn = 0;
        const auto draw = [&](uint64_t bound) { return uniform_below(bound, key, drawn++); };
        const size_t columns = 1 + draw(4), rows = draw(6);
        Table table;
        for (size_t c = 0; c < columns; ++c) table.header.push_back(text(pieces[draw(pieces.size())], c));
        for (size_t r = 0; r < rows; ++r) {
            Cells& row = table.rows.emplace_back();
            for (size_t c = 0; c < columns; ++c) {
                std::string cell;
                for (uint64_t n = draw(5); n > 0; --n) cell += pieces[draw(pieces.size())];
                row.push_back(cell);
            }
        }
        const Table back = parse_csv(csv_text(table), "t");
        EXPECT_EQ(back.header, table.header);
        EXPECT_TRUE(back.rows == table.rows) << csv_text(table);
    }
}

}  // namespace
}  // namespace fp
