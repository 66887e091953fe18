#include "engine/data/attributes.h"

namespace fp {

AttributeColumns attribute_columns(const Table& table) {
    return {.source = table.name, .names = table.header, .values = [&table](size_t column) {
                std::vector<std::string> values;
                for (const auto& row : table.rows) values.push_back(row[column]);
                return values;
            }};
}

Grouping group_by(const Dataset& data, const std::string& spec) {
    const auto values = [&](size_t column) {
        std::vector<std::string> out;
        for (const Sample& sample : data.samples) out.push_back(sample.attributes[column]);
        return out;
    };
    return group_by({.source = data.name, .names = data.columns, .values = values}, spec);
}

}  // namespace fp
