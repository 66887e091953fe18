#include "engine/io/csv.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "kernels/error.h"

namespace fp {
namespace {

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
    Cells row() {
        const int64_t start = line_;
        Cells cells;
        do {
            FP_REQUIRE(int64_t(cells.size()) < kMaxColumns, Exit::data, at(start), "more than ", kMaxColumns,
                       " columns");
            cells.push_back(rest_.starts_with('"') ? quoted_cell() : bare_cell());
        } while (take(','));
        if (!rest_.empty()) {
            if (rest_.starts_with('\r')) rest_.remove_prefix(1);
            FP_REQUIRE(take('\n'), Exit::data, at(line_), "a carriage return without a line feed");
            ++line_;
        }
        return cells;
    }

private:
    std::string at(int64_t line) const { return text(name_, ":", line, ": "); }
    bool take(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::string_view checked(std::string_view cell, int64_t line) const {
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

    std::string_view bare_cell() {
        const std::string_view cell = rest_.substr(0, rest_.find_first_of(",\"\r\n"));
        rest_.remove_prefix(cell.size());
        FP_REQUIRE(!rest_.starts_with('"'), Exit::data, at(line_), "a quote inside a cell without quotes");
        return checked(cell, line_);
    }

    // Good until the next quoted cell.
    std::string_view quoted_cell() {
        const int64_t start = line_;
        unquoted_.clear();
        take('"');
        while (true) {
            const size_t length = rest_.find('"');
            FP_REQUIRE(length != rest_.npos, Exit::data, at(start), "a quote that is never closed");
            const std::string_view part = rest_.substr(0, length);
            unquoted_ += part;
            line_ += std::ranges::count(part, '\n');
            rest_.remove_prefix(length + 1);
            if (!take('"')) break;
            unquoted_ += '"';
        }
        FP_REQUIRE(rest_.find_first_not_of(",\r\n") != 0, Exit::data, at(line_), "text after a closing quote");
        return checked(unquoted_, start);
    }

    std::string_view rest_;
    std::string unquoted_;
    const std::string& name_;
    int64_t line_ = 1;
};

// One empty cell alone would be an empty line, and a byte-order mark in front of the first might be taken for
// the file's, so they are quoted.
void add_row(std::string& out, const auto& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
        const std::string_view cell = cells[i];
        const bool formula = !cell.empty() && std::strchr("=+-@\t", cell[0]) && !parse_number(cell);
        const bool quote = cell.find_first_of(",\"\r\n") != cell.npos || cell.starts_with("\xEF\xBB\xBF") ||
                           (cell.empty() && cells.size() == 1);
        out += i > 0 ? "," : "";
        out += quote ? "\"" : "";
        out += formula ? "'" : "";
        for (const char c : cell) out.append(c == '"' ? 2 : 1, c);
        out += quote ? "\"" : "";
    }
    out += '\n';
}

}  // namespace

Cells::operator std::vector<std::string>() const {
    std::vector<std::string> out;
    for (size_t i = 0; i < size(); ++i) out.emplace_back((*this)[i]);
    return out;
}

void Cells::push_back(std::string_view cell) {
    FP_REQUIRE(cell.size() <= UINT32_MAX - text_.size(), Exit::data, "the cells of a row are over 4 GiB");
    text_ += cell;
    ends_.push_back(uint32_t(text_.size()));
}

int Table::column(std::string_view wanted) const { return index_of(header, wanted); }

Table parse_csv(std::string_view text, std::string name) {
    Table table{.name = std::move(name)};
    Reader reader(text, table.name);
    FP_REQUIRE(!reader.at_end(), Exit::data, table.name, ": is empty, a header line is needed");
    table.header = reader.row();
    const size_t other = table.header.size() == 1 ? table.header[0].find_first_of(";\t") : std::string::npos;
    FP_REQUIRE(other == std::string::npos, Exit::data, table.name,
               ":1: ", table.header[0][other] == ';' ? "semicolons" : "tabs", " part its cells: save it with commas");
    std::set<std::string_view> names;
    for (const std::string& column : table.header)
        FP_REQUIRE(column.empty() || names.insert(column).second, Exit::data, table.name, ":1: two columns are named '",
                   column, "'");

    while (!reader.at_end()) {
        const int64_t line = reader.line();
        FP_REQUIRE(int64_t(table.rows.size()) < kMaxRows, Exit::data, table.name, ": more than ", kMaxRows, " rows");
        const Cells row = reader.row();
        table.rows.push_back(row);
        table.lines.push_back(line);
        FP_REQUIRE(row.size() == table.header.size(), Exit::data, table.name, ":", line, ": ", row.size(),
                   " cells, the header has ", table.header.size());
    }
    return table;
}

Table read_csv(const std::filesystem::path& path) {
    constexpr uint64_t kMostBytes = uint64_t(16) << 30;
    return parse_csv(read_file(path, kMostBytes), path.string());
}

std::string csv_text(const Table& table) {
    std::string out;
    add_row(out, table.header);
    for (const auto& row : table.rows) add_row(out, row);
    return out;
}

void write_csv(const std::filesystem::path& path, const Table& table) { write_file(path, csv_text(table)); }

}  // namespace fp
