// A struct's members, listed once. With
//
//   void fields(maybe_const<Objective> auto& o, auto& member) {
//       member("by", o.by);
//       member("value", o.value);
//   }
//
// to_json(objective) makes an object with these keys in this order, and read(json, objective) reads it:
//
//   double              a number; null stands for NaN and infinities, and is read as NaN
//   std::optional       left out where there is no value
//   std::vector, map    a list, an object
//   a struct            an object of its fields
//
// A type of another shape has a write() and a read() of its own, beside the type. No template needs nlohmann/json.hpp.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace fp {

template <class T, class Struct>
concept maybe_const = std::same_as<std::remove_const_t<T>, Struct>;

// A value in a document of unknown origin. Errors say "WHERE: `KEY` is not a number or null", with this exit code.
struct JsonValue {
    const nlohmann::ordered_json& json;
    std::string where = {}, key = {};  // key: empty for the document itself
    Exit exit = Exit::data;

    bool has(const char* name) const;  // an object with this key, whose value is not null
    JsonValue at(const char* name) const;
    std::vector<JsonValue> elements() const;                         // of a list
    std::vector<std::pair<std::string, JsonValue>> members() const;  // of an object
    void need(bool right, std::string_view kind) const;              // else "is not KIND"
};

void write(nlohmann::ordered_json&, bool);
void write(nlohmann::ordered_json&, int);
void write(nlohmann::ordered_json&, int64_t);
void write(nlohmann::ordered_json&, uint64_t);
void write(nlohmann::ordered_json&, double);
void write(nlohmann::ordered_json&, const char*);
void write(nlohmann::ordered_json&, const std::string&);

void read(const JsonValue&, bool&);
void read(const JsonValue&, int&);
void read(const JsonValue&, int64_t&);
void read(const JsonValue&, double&);
void read(const JsonValue&, std::string&);

// What writing needs of a document.
nlohmann::ordered_json& make_object(nlohmann::ordered_json&);  // an empty one unless it is one already
nlohmann::ordered_json& make_list(nlohmann::ordered_json&);
nlohmann::ordered_json& add_member(nlohmann::ordered_json& object, const std::string& name);
nlohmann::ordered_json& add_element(nlohmann::ordered_json& list);

struct JsonWriter;
struct JsonReader;
template <class T>
concept has_fields = requires(const T& value, JsonWriter& writer) {
    fields(value, writer);
};

template <has_fields T>
void write(nlohmann::ordered_json&, const T&);
template <class T>
void write(nlohmann::ordered_json&, const std::vector<T>&);
template <class T>
void write(nlohmann::ordered_json&, const std::map<std::string, T>&);
template <has_fields T>
void read(const JsonValue&, T&);
template <class T>
void read(const JsonValue&, std::vector<T>&);
template <class T>
void read(const JsonValue&, std::map<std::string, T>&);

// The `member` of fields() that writes.
struct JsonWriter {
    nlohmann::ordered_json& object;

    template <class T>
    void operator()(const char* name, const T& value) {
        write(add_member(object, name), value);
    }
    template <class T>
    void operator()(const char* name, const std::optional<T>& value) {
        if (value) (*this)(name, *value);
    }
    // Reading leaves the value as it is where the document lacks this member or has null there.
    template <class T>
    void if_there(const char* name, const T& value) {
        (*this)(name, value);
    }
    // Text that is left out where it is empty.
    void if_any(const char* name, const std::string& value) {
        if (!value.empty()) (*this)(name, value);
    }
};

// The `member` of fields() that reads.
struct JsonReader {
    const JsonValue& object;

    template <class T>
    void operator()(const char* name, T& value) {
        read(object.at(name), value);
    }
    template <class T>
    void operator()(const char* name, std::optional<T>& value) {
        if (object.has(name)) read(object.at(name), value.emplace());
    }
    template <class T>
    void if_there(const char* name, T& value) {
        if (object.has(name)) read(object.at(name), value);
    }
    void if_any(const char* name, std::string& value) { if_there(name, value); }
};

template <has_fields T>
void write(nlohmann::ordered_json& out, const T& value) {
    JsonWriter writer{make_object(out)};
    fields(value, writer);
}
template <class T>
void write(nlohmann::ordered_json& out, const std::vector<T>& values) {
    make_list(out);
    for (const T& value : values) write(add_element(out), value);
}
template <class T>
void write(nlohmann::ordered_json& out, const std::map<std::string, T>& values) {
    make_object(out);
    for (const auto& [name, value] : values) write(add_member(out, name), value);
}

template <has_fields T>
void read(const JsonValue& json, T& value) {
    JsonReader reader{json};
    fields(value, reader);
}
template <class T>
void read(const JsonValue& json, std::vector<T>& values) {
    for (const JsonValue& element : json.elements()) read(element, values.emplace_back());
}
template <class T>
void read(const JsonValue& json, std::map<std::string, T>& values) {
    for (const auto& [name, member] : json.members()) read(member, values[name]);
}

template <class T, class Json = nlohmann::ordered_json>
Json to_json(const T& value) {
    Json out;
    write(out, value);
    return out;
}
template <class T>
T from_json(const JsonValue& json) {
    T out{};
    read(json, out);
    return out;
}

}  // namespace fp
