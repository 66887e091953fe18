#include "engine/io/fields.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "engine/io/files.h"
#include "engine/io/json.h"

namespace fp {

using nlohmann::ordered_json;

void JsonValue::need(bool right, std::string_view kind) const {
    FP_REQUIRE(right, exit, where, ": ", key.empty() ? "" : "`" + printable(key) + "` ", "is not ", kind);
}

bool JsonValue::has(const char* name) const {
    return json.is_object() && json.contains(name) && !json.at(name).is_null();
}

JsonValue JsonValue::at(const char* name) const {
    const std::string inside = key.empty() ? where : where + ": " + printable(key);
    FP_REQUIRE(json.is_object() && json.contains(name), exit, inside, ": has no `", name, "`");
    return {json.at(name), inside, name, exit};
}

std::vector<JsonValue> JsonValue::elements() const {
    need(json.is_array(), "a list");
    std::vector<JsonValue> out;
    for (size_t i = 0; i < json.size(); ++i) out.push_back({json[i], where, text(key, "[", i, "]"), exit});
    return out;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::members() const {
    need(json.is_object(), "an object");
    const std::string inside = key.empty() ? where : where + ": " + printable(key);
    std::vector<std::pair<std::string, JsonValue>> out;
    for (const auto& [name, value] : json.items()) out.emplace_back(name, JsonValue{value, inside, name, exit});
    return out;
}

void write(ordered_json& out, bool value) { out = value; }
void write(ordered_json& out, int value) { out = value; }
void write(ordered_json& out, int64_t value) { out = value; }
void write(ordered_json& out, uint64_t value) { out = value; }
void write(ordered_json& out, double value) { out = number_or_null(value); }
void write(ordered_json& out, const char* value) { out = value; }
void write(ordered_json& out, const std::string& value) { out = value; }

void read(const JsonValue& v, bool& value) {
    v.need(v.json.is_boolean(), "true or false");
    value = v.json.get<bool>();
}
void read(const JsonValue& v, int& value) {
    int64_t wide = 0;
    read(v, wide);
    v.need(wide >= std::numeric_limits<int>::min() && wide <= std::numeric_limits<int>::max(), "a whole number");
    value = int(wide);
}
void read(const JsonValue& v, int64_t& value) {
    v.need(v.json.is_number_integer() && !(v.json.is_number_unsigned() && v.json.get<uint64_t>() > uint64_t(INT64_MAX)),
           "a whole number");
    value = v.json.get<int64_t>();
}
void read(const JsonValue& v, double& value) {
    v.need(v.json.is_number() || v.json.is_null(), "a number or null");
    value = v.json.is_null() ? std::numeric_limits<double>::quiet_NaN() : v.json.get<double>();
}
void read(const JsonValue& v, std::string& value) {
    v.need(v.json.is_string(), "a string");
    value = v.json.get<std::string>();
}

ordered_json& make_object(ordered_json& out) {
    if (!out.is_object()) out = ordered_json::object();
    return out;
}
ordered_json& make_list(ordered_json& out) { return out = ordered_json::array(); }
ordered_json& add_member(ordered_json& object, const std::string& name) { return object[name]; }
ordered_json& add_element(ordered_json& list) { return list.emplace_back(); }

}  // namespace fp
