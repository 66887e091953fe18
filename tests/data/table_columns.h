#pragma once

#include "engine/fairness/grouping.h"
#include "engine/io/csv.h"

namespace fp {

// The columns of a table, which is to outlive them.
inline AttributeColumns attribute_columns(const Table& table) {
    const auto values = [&table](size_t column) {
        std::vector<std::string> found;
        for (const auto& row : table.rows) found.emplace_back(row[column]);
        return found;
    };
    return {.source = table.name, .names = table.header, .values = values};
}

}  // namespace fp
