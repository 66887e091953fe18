#include "engine/data/sources/sources.h"

#include <algorithm>
#include <array>
#include <filesystem>
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

namespace {

// KEY of KEY=VALUE, where KEY is made of letters, _ and -; else empty.
std::string key_in(const std::string& part) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'; };
    const size_t equals = part.find('=');
    const std::string key = equals == part.npos ? "" : part.substr(0, equals);
    return std::all_of(key.begin(), key.end(), letter) ? key : "";
}

// The value whose first part is parts[next], behind `prefix`; moves `next` beyond it. A value ends before the next
// KEY=, or where a longer text names a file or a folder.
std::string take_value(const std::vector<std::string>& parts, size_t& next, const std::string& prefix) {
    std::string text = parts[next].substr(prefix.size()), value = text;
    bool key_came = false;
    for (size_t end = ++next; end <= parts.size(); ++end) {
        std::error_code ignored;
        if (!key_came || std::filesystem::exists(text, ignored)) {
            value = text;
            next = end;
        }
        if (end == parts.size()) break;
        key_came = key_came || !key_in(parts[end]).empty();
        text += "," + parts[end];
    }
    return value;
}

}  // namespace

std::string DataSpec::value(const std::string& key, const std::string& otherwise) const {
    const auto found = values.find(key);
    return found == values.end() ? otherwise : found->second;
}

DataSpec parse_data_spec(const std::string& spec) {
    const size_t colon = spec.find(':');
    FP_REQUIRE(colon != spec.npos && colon > 0, Exit::usage, "--data ", spec, ": wants KIND:..., one of ",
               names_of<Source>());
    const Source& source = named<Source>(spec.substr(0, colon));
    DataSpec parsed{.text = spec, .source = &source};
    std::vector<std::string> parts;
    std::istringstream all(spec.substr(colon + 1));
    for (std::string part; std::getline(all, part, ',');) parts.push_back(part);
    size_t next = 0;
    if (source.needs_path && !parts.empty()) parsed.head = take_value(parts, next, "");
    while (next < parts.size()) {
        const std::string key = key_in(parts[next]);
        FP_REQUIRE(!key.empty(), Exit::usage, "--data ", spec, ": '", parts[next], "' is not KEY=VALUE");
        const auto [place, added] = parsed.values.emplace(key, "");
        FP_REQUIRE(added, Exit::usage, "--data ", spec, ": ", key, " is given twice");
        place->second = take_value(parts, next, key + "=");
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

size_t need_column(const Table& table, const std::string& wanted, const std::string& key) {
    const int found = find_column(table.header, wanted);
    FP_REQUIRE(found >= 0, Exit::data, table.name, ": no column '", wanted, "', only ", list(table.header),
               key.empty() ? "" : "; " + key + "=COLUMN behind the file names another");
    return size_t(found);
}

}  // namespace fp
