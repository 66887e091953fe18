#include "engine/io/safetensors_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "engine/io/json.h"

namespace fp {
namespace {

using nlohmann::json;

struct DtypeRow {
    Dtype dtype;
    std::string_view name;
    int bytes;
};
constexpr std::array<DtypeRow, 8> kDtypes{{{Dtype::f64, "F64", 8},
                                           {Dtype::i64, "I64", 8},
                                           {Dtype::f32, "F32", 4},
                                           {Dtype::i32, "I32", 4},
                                           {Dtype::f16, "F16", 2},
                                           {Dtype::bf16, "BF16", 2},
                                           {Dtype::u8, "U8", 1},
                                           {Dtype::boolean, "BOOL", 1}}};

// One tensor's description; `where` names file and tensor for messages.
class Description {
public:
    Description(const json& value, std::string where) : value_(value), where_(std::move(where)) {
        FP_REQUIRE(value.is_object(), Exit::model, where_, "is ", value.type_name(), ", not an object");
        for (const auto& [key, unused] : value.items())
            FP_REQUIRE(key == "dtype" || key == "shape" || key == "data_offsets", Exit::model, where_, "unknown key ",
                       printable(key));
    }

    Dtype dtype() const {
        const json& found = at("dtype");
        FP_REQUIRE(found.is_string(), Exit::model, where_, "dtype is no string");
        const auto& text = found.get_ref<const std::string&>();
        const auto row =
            std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeRow& r) { return r.name == text; });
        FP_REQUIRE(row != kDtypes.end(), Exit::model, where_, "dtype ", printable(text),
                   " is not one of F64 I64 F32 I32 F16 BF16 U8 BOOL");
        return row->dtype;
    }

    // Whole numbers from 0 to `most`.
    std::vector<uint64_t> numbers(const char* key, uint64_t most) const {
        const json& found = at(key);
        FP_REQUIRE(found.is_array(), Exit::model, where_, key, " is no array");
        std::vector<uint64_t> out;
        for (const json& number : found) {
            FP_REQUIRE(number.is_number_unsigned() && number.get<uint64_t>() <= most, Exit::model, where_, key, " has ",
                       printable(number.dump()), ", not a whole number from 0 to ", most);
            out.push_back(number.get<uint64_t>());
        }
        return out;
    }

private:
    const json& at(const char* key) const {
        const auto found = value_.find(key);
        FP_REQUIRE(found != value_.end(), Exit::model, where_, "no ", key);
        return *found;
    }

    const json& value_;
    std::string where_;
};

TensorPlace place_of(const std::string& name,
                     const json& value,
                     const std::string& file,
                     const SafetensorsLimits& limits) {
    FP_REQUIRE(name.size() <= limits.name_bytes, Exit::model, file, ": the name ", printable(name, 40), " has ",
               name.size(), " bytes; ", limits.name_bytes, " are allowed");
    FP_REQUIRE(is_plain_name(name), Exit::model, file, ": the name ", printable(name), " has control characters");
    const std::string where = file + ": tensor " + printable(name) + ": ";
    const Description described(value, where);
    const Dtype dtype = described.dtype();
    const auto sizes = described.numbers("shape", uint64_t(INT64_MAX));
    const auto offsets = described.numbers("data_offsets", UINT64_MAX);
    FP_REQUIRE(offsets.size() == 2, Exit::model, where, offsets.size(), " data_offsets, wanted two");
    return {name, dtype, {sizes.begin(), sizes.end()}, offsets[0], offsets[1]};
}

}  // namespace

std::string_view name(Dtype dtype) { return kDtypes[size_t(dtype)].name; }
int bytes_of(Dtype dtype) { return kDtypes[size_t(dtype)].bytes; }

bool is_plain_name(std::string_view name) {
    return std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

SafetensorsHeader parse_safetensors_header(std::string_view text,
                                           const std::string& file,
                                           const SafetensorsLimits& limits) {
    FP_REQUIRE(!text.empty() && text.front() == '{', Exit::model, file, ": the header does not start with {");
    const size_t last = text.find_last_not_of(' ');
    FP_REQUIRE(text[last] == '}', Exit::model, file, ": the header ends in something other than } and spaces");
    const json document = parse_json_sorted(text.substr(0, last + 1), file + ": the header", Exit::model,
                                            {.bytes = limits.header_bytes, .depth = 4, .keys = limits.tensors + 1});
    SafetensorsHeader out;
    for (const auto& [name, value] : document.items()) {
        if (name != "__metadata__") {
            out.tensors.push_back(place_of(name, value, file, limits));
            continue;
        }
        FP_REQUIRE(value.is_object(), Exit::model, file, ": __metadata__ is ", value.type_name(), ", not an object");
        for (const auto& [key, words] : value.items()) {
            FP_REQUIRE(words.is_string(), Exit::model, file, ": __metadata__ has ", words.type_name(), " at ",
                       printable(key), ", where only strings may be");
            out.metadata[key] = words.get<std::string>();
        }
    }
    FP_REQUIRE(out.tensors.size() <= limits.tensors, Exit::model, file, ": the header has more than ", limits.tensors,
               " tensors");
    return out;
}

std::string safetensors_header(const std::map<std::string, std::string>& metadata,
                               const std::vector<const TensorEntry*>& order) {
    const auto quoted = [](const std::string& text) { return json(text).dump(); };
    std::string out = "{";
    if (!metadata.empty()) {
        out += "\"__metadata__\":{";
        for (const auto& [key, value] : metadata) {
            if (out.back() != '{') out += ',';
            out += fmt::format("{}:{}", quoted(key), quoted(value));
        }
        out += "}";
    }
    uint64_t at = 0;
    for (const TensorEntry* t : order) {
        if (out.size() > 1) out += ",";
        out += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", quoted(t->name),
                           name(t->dtype), fmt::join(t->shape, ","), at, at + t->data.size());
        at += t->data.size();
    }
    out += "}";
    out.resize((out.size() + 7) / 8 * 8, ' ');
    return out;
}

}  // namespace fp
