#include "engine/io/csv.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>
#include <sstream>

#include "engine/io/files.h"
#include "kernels/error.h"

namespace fp {
namespace {

// The length of the UTF-8 sequence at the front of `s`, 0 if it is none. Overlong forms, surrogates and
// what lies beyond U+10FFFF are none.
size_t utf8_length(std::string_view s) {
    const auto byte = [&](size_t i) { return i < s.size() ? uint8_t(s[i]) : uint8_t(0); };
    const auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
    const uint8_t lead = byte(0);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return tail(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80, high = lead == 0xED ? 0x9F : 0xBF;
        return byte(1) >= low && byte(1) <= high && tail(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const uint8_t low = lead == 0xF0 ? 0x90 : 0x80, high = lead == 0xF4 ? 0x8F : 0xBF;
        return byte(1) >= low && byte(1) <= high && tail(2) && tail(3) ? 4 : 0;
    }
    return 0;
}

class Reader {
public:
    Reader(std::string_view text, const std::string& name) : rest_(text), name_(name) {
        const bool utf16 = rest_.starts_with("\xFF\xFE") || rest_.starts_with("\xFE\xFF");
        FP_REQUIRE(!utf16, Exit::data, name_, ": is UTF-16: save it as UTF-8");
        FP_REQUIRE(!rest_.starts_with("\x1F\x8B"), Exit::data, name_, ": is gzip: unpack it first");
        if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
        rest_ = rest_.substr(0, rest_.find_last_not_of("\r\n") + 1);
    }

    int64_t line() const { return line_; }
    bool at_end() const { return rest_.empty(); }

    // The cells up to the end of the line, which is taken too.
    std::vector<std::string> row() {
        const int64_t start = line_;
        std::vector<std::string> cells;
        do {
            FP_REQUIRE(int64_t(cells.size()) < kMaxColumns, Exit::data, at(start), "more than ", kMaxColumns,
                       " columns");
            cells.push_back(starts('"') ? quoted_cell() : bare_cell());
        } while (take(','));
        if (!rest_.empty()) {
            if (starts('\r')) rest_.remove_prefix(1);
            FP_REQUIRE(take('\n'), Exit::data, at(line_), "a carriage return without a line feed");
            ++line_;
        }
        return cells;
    }

private:
    std::string at(int64_t line) const { return text(name_, ":", line, ": "); }
    bool starts(char c) const { return !rest_.empty() && rest_.front() == c; }
    bool take(char c) {
        if (!starts(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::string checked(std::string cell, int64_t line) const {
        FP_REQUIRE(int64_t(cell.size()) <= kMaxCellBytes, Exit::data, at(line), "a cell of ", cell.size(),
                   " bytes, at most ", kMaxCellBytes, " are read");
        for (std::string_view s = cell; !s.empty();) {
            FP_REQUIRE(s.front() != '\0', Exit::data, at(line), "holds a NUL byte");
            const size_t length = utf8_length(s);
            FP_REQUIRE(length > 0, Exit::data, at(line), "byte ", int(uint8_t(s.front())), " is not UTF-8");
            s.remove_prefix(length);
        }
        return cell;
    }

    std::string bare_cell() {
        const size_t length = std::min(rest_.find_first_of(",\"\r\n"), rest_.size());
        std::string cell(rest_.substr(0, length));
        rest_.remove_prefix(length);
        FP_REQUIRE(!starts('"'), Exit::data, at(line_), "a quote inside a cell without quotes");
        return checked(std::move(cell), line_);
    }

    std::string quoted_cell() {
        const int64_t start = line_;
        std::string cell;
        take('"');
        while (true) {
            const size_t length = rest_.find('"');
            FP_REQUIRE(length != rest_.npos, Exit::data, at(start), "a quote that is never closed");
            const std::string_view part = rest_.substr(0, length);
            cell.append(part);
            line_ += std::count(part.begin(), part.end(), '\n');
            rest_.remove_prefix(length + 1);
            if (!take('"')) break;
            cell.push_back('"');
        }
        const bool ended = rest_.empty() || starts(',') || starts('\r') || starts('\n');
        FP_REQUIRE(ended, Exit::data, at(line_), "text after a closing quote");
        return checked(std::move(cell), start);
    }

    std::string_view rest_;
    const std::string& name_;
    int64_t line_ = 1;
};

bool is_number(std::string_view cell) {
    if (cell.starts_with('+')) cell.remove_prefix(1);
    double value;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    return error == std::errc() && end == cell.data() + cell.size();
}

// One empty cell alone would be an empty line, and a byte-order mark in front of the first might be taken for
// the file's, so they are quoted.
void write_row(std::ostream& out, const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
        const std::string& cell = cells[i];
        const bool formula = !cell.empty() && std::strchr("=+-@\t", cell[0]) && !is_number(cell);
        const bool quote = cell.find_first_of(",\"\r\n") != cell.npos || cell.starts_with("\xEF\xBB\xBF") ||
                           (cell.empty() && cells.size() == 1);
        if (i > 0) out << ',';
        if (quote) out << '"';
        if (formula) out << '\'';
        for (const char c : cell) {
            if (c == '"') out << '"';
            out << c;
        }
        if (quote) out << '"';
    }
    out << '\n';
}

}  // namespace

int Table::column(std::string_view wanted) const {
    const auto found = std::find(header.begin(), header.end(), wanted);
    return found == header.end() ? -1 : int(found - header.begin());
}

Table parse_csv(std::string_view text, std::string name) {
    Table table{.header = {}, .rows = {}, .lines = {}, .name = std::move(name)};
    Reader reader(text, table.name);
    FP_REQUIRE(!reader.at_end(), Exit::data, table.name, ": is empty, a header line is needed");
    table.header = reader.row();
    std::set<std::string_view> names;
    for (const std::string& column : table.header)
        FP_REQUIRE(column.empty() || names.insert(column).second, Exit::data, table.name, ":1: two columns are named '",
                   column, "'");

    while (!reader.at_end()) {
        const int64_t line = reader.line();
        FP_REQUIRE(int64_t(table.rows.size()) < kMaxRows, Exit::data, table.name, ": more than ", kMaxRows, " rows");
        table.rows.push_back(reader.row());
        table.lines.push_back(line);
        FP_REQUIRE(table.rows.back().size() == table.header.size(), Exit::data, table.name, ":", line, ": ",
                   table.rows.back().size(), " cells, the header has ", table.header.size());
    }
    return table;
}

Table read_csv(const std::filesystem::path& path) {
    constexpr uint64_t kMostBytes = uint64_t(16) << 30;
    return parse_csv(read_file(path, kMostBytes), path.string());
}

void write_csv(std::ostream& out, const Table& table) {
    write_row(out, table.header);
    for (const auto& row : table.rows) write_row(out, row);
}

void write_csv(const std::filesystem::path& path, const Table& table) {
    std::ostringstream out;
    write_csv(out, table);
    write_file(path, out.view());
}

}  // namespace fp
