#include "engine/data/sources/data_spec.h"

#include <algorithm>
#include <sstream>

#include "engine/io/columns.h"
#include "kernels/error.h"

namespace fp {
namespace {

bool is_key(std::string_view word) {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
    };
    return !word.empty() && std::all_of(word.begin(), word.end(), letter);
}

}  // namespace

DataSpec parse_data_spec(const std::string& spec) {
    const size_t colon = spec.find(':');
    FP_REQUIRE(colon != spec.npos && colon > 0, Exit::usage, "--data ", spec,
               ": wants KIND:..., one of synth:, csv:, isic2019:, fitzpatrick17k:, folder:");
    DataSpec parsed{.kind = spec.substr(0, colon), .head = "", .values = {}};
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
    FP_REQUIRE(parsed.kind == "synth" || !parsed.head.empty(), Exit::usage, "--data ", spec,
               ": no file or folder after ", parsed.kind, ":");
    return parsed;
}

void check_keys(const DataSpec& spec, const std::vector<std::string>& known) {
    for (const auto& [key, value] : spec.values)
        FP_REQUIRE(std::find(known.begin(), known.end(), key) != known.end(), Exit::usage,
                   "--data ", spec.kind, ": has no key '", key, "', only ", list(known));
}

}  // namespace fp
