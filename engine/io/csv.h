// Tables in comma-separated values, RFC 4180: UTF-8 with or without a byte-order mark, LF or CRLF, quoted
// cells that hold commas, line ends and doubled quotes, one header line.
//
// Refused with file and line (Exit::data): a row with another number of cells than the header, a NUL, text
// that is not UTF-8, a quote that is never closed or stands inside a bare cell, a carriage return alone, a
// column name used twice, semicolons or tabs between the cells, and whatever is over the limits below. Empty lines at
// the end are ignored.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace fp {

constexpr int64_t kMaxCellBytes = int64_t(1) << 20;
constexpr int64_t kMaxColumns = 10'000;
constexpr int64_t kMaxRows = 50'000'000;

// Text cells, all in one string: a std::string per cell would take many times the memory of the file. A copy holds
// no spare capacity.
class Cells {
public:
    Cells() = default;
    Cells(std::initializer_list<std::string_view> cells) {
        for (const std::string_view cell : cells) push_back(cell);
    }

    size_t size() const { return ends_.size(); }
    std::string_view operator[](size_t i) const {
        const size_t begin = i == 0 ? 0 : ends_[i - 1];
        return std::string_view(text_).substr(begin, ends_[i] - begin);
    }
    operator std::vector<std::string>() const;
    void push_back(std::string_view cell);  // Exit::data where the cells together are over 4 GiB
    bool operator==(const Cells&) const = default;

private:
    std::string text_;
    std::vector<uint32_t> ends_;  // where each cell ends in the text
};

struct Table {
    std::vector<std::string> header = {};
    std::vector<Cells> rows = {};     // each as long as the header
    std::vector<int64_t> lines = {};  // where each row starts in the file, from 1
    std::string name = {};            // the file, for messages

    int column(std::string_view name) const;  // -1 where there is none
};

Table parse_csv(std::string_view text, std::string name);
Table read_csv(const std::filesystem::path& path);

// Cells that hold a comma, a quote or a line end are quoted. One that starts with = + - @ or a tab and is
// not a number gets an apostrophe in front, since spreadsheets would run it; reading does not undo
// this. Lines end in LF. `lines` and `name` are not used. A file is written whole or not at all.
std::string csv_text(const Table&);
void write_csv(const std::filesystem::path& path, const Table&);

}  // namespace fp
