// JSON from files of unknown origin: what the library accepts in silence (two equal keys, a NUL at the end, any depth)
// is refused.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace fp {

struct JsonLimits {
    uint64_t bytes = 64 << 20;
    int depth = 32;
    size_t keys = 20'000;  // of one object
};

// Errors are "FILE: what is wrong" with this exit code. nlohmann::json sorts the keys, for objects of many keys:
// ordered_json finds a key by linear search.
template <class Json = nlohmann::ordered_json>
Json parse_json(std::string_view text, const std::string& file_name, Exit exit, const JsonLimits& = {});

// Indented by so many columns and with a line end at its end, or on one line without one. A byte that is not UTF-8 is
// written as U+FFFD. NaN and infinities become null.
std::string json_text(const nlohmann::ordered_json& value, int indent);
std::string json_line(const nlohmann::ordered_json& value);

// The document that `fill` makes, indented by two and with a line end at its end.
std::string json_document(const std::function<void(nlohmann::ordered_json&)>& fill);

// A number; null for NaN and infinities, which JSON does not have.
nlohmann::ordered_json number_or_null(double value);

// The text of number_or_null.
std::string json_number(double value);

}  // namespace fp
