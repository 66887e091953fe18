#include "engine/io/json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "engine/io/files.h"

namespace fp {

using nlohmann::ordered_json;

template <class Json>
Json parse_json(std::string_view text, const std::string& file_name, Exit exit, const JsonLimits& limits) {
    FP_REQUIRE(text.size() <= limits.bytes, exit, file_name, ": has ", text.size(), " bytes; JSON may have ",
               limits.bytes);
    const size_t nul = text.find('\0');
    FP_REQUIRE(nul == text.npos, exit, file_name, ": has a NUL at byte ", nul);

    std::vector<std::set<std::string>> open;  // the keys of each object that is not yet closed
    const auto check = [&](int depth, typename Json::parse_event_t event, Json& value) {
        using Event = typename Json::parse_event_t;
        if (event == Event::object_start || event == Event::array_start)
            FP_REQUIRE(depth < limits.depth, exit, file_name, ": is nested deeper than ", limits.depth);
        if (event == Event::object_start) open.emplace_back();
        if (event == Event::object_end) open.pop_back();
        if (event == Event::key) {
            const std::string key = value.template get<std::string>();
            FP_REQUIRE(open.back().insert(key).second, exit, file_name, ": has the key ", printable(key), " twice");
            FP_REQUIRE(open.back().size() <= limits.keys, exit, file_name, ": an object has more than ", limits.keys,
                       " keys");
        }
        return true;
    };
    try {
        return Json::parse(text, check);
    } catch (const typename Json::exception& error) {
        fail_with(exit, file_name, ": is not JSON: ", printable(error.what(), 400));
    }
}

template ordered_json parse_json(std::string_view, const std::string&, Exit, const JsonLimits&);
template nlohmann::json parse_json(std::string_view, const std::string&, Exit, const JsonLimits&);

std::string json_text(const ordered_json& value, int indent) {
    return value.dump(indent, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string json_line(const ordered_json& value) {
    return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string json_document(const std::function<void(ordered_json&)>& fill) {
    ordered_json document;
    fill(document);
    return json_text(document, 2);
}

ordered_json number_or_null(double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(nullptr); }

std::string json_number(double value) { return number_or_null(value).dump(); }

}  // namespace fp
