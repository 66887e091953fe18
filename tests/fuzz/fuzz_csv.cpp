// Any bytes as a table: an Error with Exit::data, or rows as long as the header.
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string_view>

#include "engine/data/csv.h"
#include "kernels/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    try {
        const fp::Table table =
            fp::parse_csv(std::string_view(reinterpret_cast<const char*>(data), size), "fuzz");
        if (table.lines.size() != table.rows.size()) std::abort();
        for (const auto& row : table.rows)
            if (row.size() != table.header.size()) std::abort();
        std::ostringstream written;
        fp::write_csv(written, table);
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::data) std::abort();
    }
    return 0;
}
