// Any bytes as a CSV: an Error with Exit::data, or a table whose rows are as long as its header, that is the same
// after writing and reading, and whose columns can be grouped or refuse it in words.
#include <cstdint>
#include <cstdlib>

#include "kernels/error.h"
#include "tests/data/table_columns.h"

namespace {

// An apostrophe keeps spreadsheets from running a cell; nothing else may change.
bool same(const auto& before, const auto& after) {
    if (before.size() != after.size()) return false;
    for (size_t i = 0; i < before.size(); ++i)
        if (after[i] != before[i] && after[i] != "'" + std::string(before[i])) return false;
    return true;
}

void write_and_read(const fp::Table& table) {
    for (const std::string& column : table.header)
        if (!column.empty() && std::string_view("=+-@\t").find(column[0]) != std::string_view::npos)
            return;  // with an apostrophe it may be another column's name
    const fp::Table back = fp::parse_csv(fp::csv_text(table), "again");
    if (!same(table.header, back.header) || back.rows.size() != table.rows.size()) std::abort();
    for (size_t r = 0; r < back.rows.size(); ++r)
        if (!same(table.rows[r], back.rows[r])) std::abort();
}

void group(const fp::Table& table, const std::string& spec) {
    try {
        const fp::Grouping grouping = fp::group_by(fp::attribute_columns(table), spec);
        if (grouping.of.size() != table.rows.size()) std::abort();
        for (const int g : grouping.of)
            if (g < -1 || g >= int(grouping.groups.size())) std::abort();
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::data && error.exit != fp::Exit::usage) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    fp::Table table;
    try {
        table = fp::parse_csv({reinterpret_cast<const char*>(data), size}, "fuzz");
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::data) std::abort();
        return 0;
    }
    if (table.lines.size() != table.rows.size()) std::abort();
    for (const auto& row : table.rows)
        if (row.size() != table.header.size()) std::abort();
    write_and_read(table);
    for (size_t c = 0; c < table.header.size() && c < 4; ++c)
        for (const char* const cuts : {"", ":60", ":0:9?last", "*sex?first"}) group(table, table.header[c] + cuts);
    return 0;
}
