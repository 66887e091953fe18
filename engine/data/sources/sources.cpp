#include "engine/data/sources/sources.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <sstream>

#include "engine/io/columns.h"
#include "engine/io/one_of.h"
#include "kernels/error.h"

namespace fp {

namespace sources {
extern const Source synth, csv, isic2019, fitzpatrick17k, folder;
}

std::span<const Source* const> Source::all() {
    using namespace sources;
    static constexpr std::array kAll{&synth, &csv, &isic2019, &fitzpatrick17k, &folder};
    return kAll;
}

std::string DataSpec::value(const std::string& key, const std::string& otherwise) const {
    const auto found = values.find(key);
    return found == values.end() ? otherwise : found->second;
}

DataSpec parse_data_spec(const std::string& spec) {
    const size_t colon = spec.find(':');
    FP_REQUIRE(colon != spec.npos && colon > 0, Exit::usage, "--data ", spec, ": wants KIND:..., one of ",
               names_of<Source>());
    const Source& source = named<Source>(spec.substr(0, colon));
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'; };
    DataSpec parsed{.text = spec, .source = &source};
    std::string* last = &parsed.head;
    std::istringstream parts(spec.substr(colon + 1));
    bool first = true;
    for (std::string part; std::getline(parts, part, ',');) {
        const size_t equals = part.find('=');
        const std::string key = part.substr(0, equals);
        if (equals != part.npos && !key.empty() && std::all_of(key.begin(), key.end(), letter)) {
            const auto [place, added] = parsed.values.emplace(key, part.substr(equals + 1));
            FP_REQUIRE(added, Exit::usage, "--data ", spec, ": ", key, " is given twice");
            last = &place->second;
        } else {
            *last += (first ? "" : ",") + part;
        }
        first = false;
    }
    FP_REQUIRE(!source.needs_path || !parsed.head.empty(), Exit::usage, "--data ", spec, ": no file or folder after ",
               source.name, ":");
    std::vector<std::string> names;
    for (const SourceKey& key : source.keys) names.push_back(key.name);
    for (const auto& [key, value] : parsed.values)
        FP_REQUIRE(index_of(names, key) >= 0, Exit::usage, "--data ", source.name, ": has no key '", key, "', only ",
                   list(names));
    return parsed;
}

std::string sources_text() {
    std::ostringstream out;
    for (const Source* source : Source::all()) {
        out << source->says << "\n  " << source->opens << "\n";
        for (const SourceKey& key : source->keys)
            out << "    " << std::left << std::setw(14) << key.name + "=" << key.says << "\n";
        if (!source->example.empty()) out << "  " << source->example << "\n";
        out << "\n";
    }
    return out.str();
}

size_t need_column(const Table& table, const std::string& wanted) {
    const int found = find_column(table.header, wanted);
    FP_REQUIRE(found >= 0, Exit::data, table.name, ": no column '", wanted, "', only ", list(table.header));
    return size_t(found);
}

}  // namespace fp
