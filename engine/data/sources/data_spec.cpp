#include "engine/data/sources/data_spec.h"

#include <algorithm>
#include <sstream>

#include "engine/data/sources/sources.h"
#include "engine/io/columns.h"
#include "engine/io/one_of.h"
#include "kernels/error.h"

namespace fp {
namespace {

bool is_key(std::string_view word) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-'; };
    return !word.empty() && std::all_of(word.begin(), word.end(), letter);
}

}  // namespace

DataSpec parse_data_spec(const std::string& spec) {
    const size_t colon = spec.find(':');
    FP_REQUIRE(colon != spec.npos && colon > 0, Exit::usage, "--data ", spec, ": wants KIND:..., one of ",
               names_of<Source>());
    const Source& source = named<Source>(spec.substr(0, colon));
    DataSpec parsed{.text = spec, .source = &source, .head = "", .values = {}};
    std::string* last = &parsed.head;
    std::istringstream parts(spec.substr(colon + 1));
    bool first = true;
    for (std::string part; std::getline(parts, part, ',');) {
        const size_t equals = part.find('=');
        const std::string key = part.substr(0, equals);
        if (equals != part.npos && is_key(key)) {
            const auto [place, added] = parsed.values.emplace(key, part.substr(equals + 1));
            FP_REQUIRE(added, Exit::usage, "--data ", spec, ": ", key, " stands twice");
            last = &place->second;
        } else {
            *last += (first ? "" : ",") + part;
        }
        first = false;
    }
    FP_REQUIRE(!source.needs_path || !parsed.head.empty(), Exit::usage, "--data ", spec, ": no file or folder after ",
               source.name, ":");
    for (const auto& [key, value] : parsed.values)
        FP_REQUIRE(std::find(source.keys.begin(), source.keys.end(), key) != source.keys.end(), Exit::usage, "--data ",
                   source.name, ": has no key '", key, "', only ", list({source.keys.begin(), source.keys.end()}));
    return parsed;
}

}  // namespace fp
