#include "engine/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/io/json.h"
#include "engine/io/torch_archive.h"

namespace fp {
namespace {

using nlohmann::json;

constexpr uint64_t kLengthBytes = 8;

struct DtypeRow {
    std::string_view name;
    int bytes;
};
constexpr std::array<DtypeRow, 8> kDtypes{
    {{"F64", 8}, {"I64", 8}, {"F32", 4}, {"I32", 4}, {"F16", 2}, {"BF16", 2}, {"U8", 1}, {"BOOL", 1}}};  // as Dtype

// A tensor without its data, which lies at [begin, end) from the end of the header.
struct TensorPlace {
    TensorEntry tensor;
    uint64_t begin = 0, end = 0;
    std::string where;  // file and tensor, for messages
};

bool is_plain_name(std::string_view name) {
    return std::ranges::none_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

const json& member(const json& value, const char* key, const std::string& where) {
    const auto found = value.find(key);
    FP_REQUIRE(found != value.end(), Exit::model, where, "no ", key);
    return *found;
}

// Whole numbers from 0 to `most`.
std::vector<uint64_t> numbers(const json& value, const char* key, uint64_t most, const std::string& where) {
    const json& found = member(value, key, where);
    FP_REQUIRE(found.is_array(), Exit::model, where, key, " is no array");
    std::vector<uint64_t> out;
    for (const json& number : found) {
        FP_REQUIRE(number.is_number_unsigned() && number.get<uint64_t>() <= most, Exit::model, where, key, " has ",
                   printable(number.dump()), ", not a whole number from 0 to ", most);
        out.push_back(number.get<uint64_t>());
    }
    return out;
}

Dtype dtype_named(const json& value, const std::string& where) {
    FP_REQUIRE(value.is_string(), Exit::model, where, "dtype is no string");
    const auto& text = value.get_ref<const std::string&>();
    const auto row = std::ranges::find(kDtypes, text, &DtypeRow::name);
    FP_REQUIRE(row != kDtypes.end(), Exit::model, where, "dtype ", printable(text),
               " is not one of F64 I64 F32 I32 F16 BF16 U8 BOOL");
    return Dtype(row - kDtypes.begin());
}

TensorPlace place_of(const std::string& name,
                     const json& value,
                     const std::string& file,
                     const SafetensorsLimits& limits) {
    FP_REQUIRE(name.size() <= limits.name_bytes, Exit::model, file, ": the name ", printable(name, 40), " has ",
               name.size(), " bytes; ", limits.name_bytes, " are allowed");
    FP_REQUIRE(is_plain_name(name), Exit::model, file, ": the name ", printable(name), " has control characters");
    const std::string where = file + ": tensor " + printable(name) + ": ";
    FP_REQUIRE(value.is_object(), Exit::model, where, "is ", value.type_name(), ", not an object");
    for (const auto& [key, unused] : value.items())
        FP_REQUIRE(key == "dtype" || key == "shape" || key == "data_offsets", Exit::model, where, "unknown key ",
                   printable(key));
    const Dtype dtype = dtype_named(member(value, "dtype", where), where);
    const auto sizes = numbers(value, "shape", uint64_t(INT64_MAX), where);
    const auto offsets = numbers(value, "data_offsets", UINT64_MAX, where);
    FP_REQUIRE(offsets.size() == 2, Exit::model, where, offsets.size(), " data_offsets, wanted two");
    return {.tensor = {.name = name, .dtype = dtype, .shape = {sizes.begin(), sizes.end()}},
            .begin = offsets[0],
            .end = offsets[1],
            .where = where};
}

// Puts the metadata into `out` and returns where the tensors lie.
std::vector<TensorPlace> parse_header(std::string_view text,
                                      const std::string& file,
                                      const SafetensorsLimits& limits,
                                      TensorFile& out) {
    FP_REQUIRE(!text.empty() && text.front() == '{', Exit::model, file, ": the header does not start with {");
    const size_t last = text.find_last_not_of(' ');
    FP_REQUIRE(text[last] == '}', Exit::model, file, ": the header ends in something other than } and spaces");
    const json document = parse_json<json>(text.substr(0, last + 1), file + ": the header", Exit::model,
                                           {.bytes = limits.header_bytes, .depth = 4, .keys = limits.tensors + 1});
    std::vector<TensorPlace> places;
    for (const auto& [name, value] : document.items()) {
        if (name != "__metadata__") {
            places.push_back(place_of(name, value, file, limits));
            continue;
        }
        FP_REQUIRE(value.is_object(), Exit::model, file, ": __metadata__ is ", value.type_name(), ", not an object");
        for (const auto& [key, words] : value.items()) {
            FP_REQUIRE(words.is_string(), Exit::model, file, ": __metadata__ has ", words.type_name(), " at ",
                       printable(key), ", where only strings may be");
            out.metadata[key] = words.get<std::string>();
        }
    }
    FP_REQUIRE(places.size() <= limits.tensors, Exit::model, file, ": the header has more than ", limits.tensors,
               " tensors");
    return places;
}

// Sorts the tensors by place and checks that they fill the data.
void check_layout(std::vector<TensorPlace>& places, uint64_t data_bytes, const std::string& file) {
    std::ranges::stable_sort(places, {}, [](const TensorPlace& p) { return std::pair(p.begin, p.end); });
    uint64_t end = 0;
    for (const TensorPlace& p : places) {
        FP_REQUIRE(p.begin <= p.end && p.end <= data_bytes, Exit::model, p.where, "lies at ", p.begin, " to ", p.end,
                   " of ", data_bytes, " bytes of data");
        FP_REQUIRE(p.begin == end, Exit::model, p.where, "begins at ", p.begin, ", but the one before it ends at ",
                   end);
        uint64_t wanted = uint64_t(bytes_of(p.tensor.dtype));
        const std::string shape = shape_text(p.tensor.shape);
        for (const int64_t size : p.tensor.shape)
            FP_REQUIRE(!__builtin_mul_overflow(wanted, uint64_t(size), &wanted), Exit::model, p.where,
                       "the product of its shape ", shape, " does not fit 64 bits");
        FP_REQUIRE(p.end - p.begin == wanted, Exit::model, p.where, "has ", p.end - p.begin, " bytes, but its shape ",
                   shape, " of ", name(p.tensor.dtype), " needs ", wanted);
        end = p.end;
    }
    FP_REQUIRE(data_bytes == end, Exit::model, file, ": ", data_bytes - end, " bytes follow the last tensor");
}

// `read(offset, out)` gives the file's bytes.
template <class Read>
TensorFile read_tensors(uint64_t file_bytes,
                        const Read& read,
                        const std::string& file,
                        const SafetensorsLimits& limits,
                        bool metadata_alone = false) {
    FP_REQUIRE(file_bytes >= kLengthBytes, Exit::model, file, ": has ", file_bytes,
               " bytes, too few for a safetensors file");
    uint64_t header_bytes = 0;
    read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
    FP_REQUIRE(header_bytes <= file_bytes - kLengthBytes, Exit::model, file, ": a header of ", header_bytes,
               " bytes is announced, but the file has ", file_bytes, ": it is cut off, or no safetensors file");
    FP_REQUIRE(header_bytes <= limits.header_bytes, Exit::model, file, ": a header of ", header_bytes, " bytes; ",
               limits.header_bytes, " are allowed");
    std::string text(header_bytes, ' ');
    read(kLengthBytes, std::as_writable_bytes(std::span(text)));

    TensorFile out;
    std::vector<TensorPlace> places = parse_header(text, file, limits, out);
    const uint64_t data_start = kLengthBytes + header_bytes;
    check_layout(places, file_bytes - data_start, file);
    if (metadata_alone) return out;
    for (TensorPlace& p : places) {
        TensorEntry& tensor = out.tensors.emplace_back(std::move(p.tensor));
        tensor.data.resize(p.end - p.begin);
        read(data_start + p.begin, tensor.data);
    }
    return out;
}

std::vector<const TensorEntry*> writing_order(const TensorFile& file) {
    std::set<std::string_view> names{"__metadata__"};
    std::vector<const TensorEntry*> order;
    for (const TensorEntry& t : file.tensors) {
        FP_CHECK(names.insert(t.name).second, "tensor ", t.name, " is to be written twice");
        FP_CHECK(is_plain_name(t.name) && t.name.size() <= SafetensorsLimits{}.name_bytes, "tensor ", printable(t.name),
                 " has a name that could not be read back");
        FP_CHECK(count_of(t.shape) * bytes_of(t.dtype) == int64_t(t.data.size()), "tensor ", t.name, " has ",
                 t.data.size(), " bytes, but its shape needs ", count_of(t.shape) * bytes_of(t.dtype));
        order.push_back(&t);
    }
    std::ranges::sort(order, {},
                      [](const TensorEntry* t) { return std::pair(-bytes_of(t->dtype), std::string_view(t->name)); });
    return order;
}

// The header of tensors that are stored one after another in this order; padded with spaces to 8 bytes.
std::string header_of(const std::map<std::string, std::string>& metadata,
                      const std::vector<const TensorEntry*>& order) {
    const auto quoted = [](const std::string& text) { return json(text).dump(); };
    std::vector<std::string> parts;
    if (!metadata.empty()) parts.push_back("\"__metadata__\":" + json(metadata).dump());
    uint64_t at = 0;
    for (const TensorEntry* t : order) {
        parts.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", quoted(t->name),
                                    name(t->dtype), fmt::join(t->shape, ","), at, at + t->data.size()));
        at += t->data.size();
    }
    std::string out = fmt::format("{{{}}}", fmt::join(parts, ","));
    out.resize((out.size() + 7) / 8 * 8, ' ');
    return out;
}

// Calls `write(bytes)` with the file's parts in order.
template <class Write>
void write_parts(const TensorFile& file, const Write& write) {
    const std::vector<const TensorEntry*> order = writing_order(file);
    const std::string header = header_of(file.metadata, order);
    FP_CHECK(header.size() <= SafetensorsLimits{}.header_bytes, "a header of ", header.size(),
             " bytes could not be read back");
    const uint64_t length = header.size();
    write(std::as_bytes(std::span(&length, 1)));
    write(as_bytes(header));
    for (const TensorEntry* t : order) write(std::span<const std::byte>(t->data));
}

std::vector<float> to_floats(const auto& values) {
    std::vector<float> out;
    for (const auto v : values) out.push_back(to_float(v));
    return out;
}

}  // namespace

std::string_view name(Dtype dtype) { return kDtypes[size_t(dtype)].name; }
int bytes_of(Dtype dtype) { return kDtypes[size_t(dtype)].bytes; }

int64_t count_of(std::span<const int64_t> shape) {
    int64_t count = 1;
    for (const int64_t size : shape)
        FP_CHECK(size >= 0 && !__builtin_mul_overflow(count, size, &count), "a shape with a size of ", size,
                 " has no count");
    return count;
}

std::string shape_text(std::span<const int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

const TensorEntry* TensorFile::find(std::string_view name) const {
    const auto found = std::ranges::find(tensors, name, &TensorEntry::name);
    return found == tensors.end() ? nullptr : &*found;
}

TensorFile read_safetensors(const std::filesystem::path& path, const SafetensorsLimits& limits) {
    const InputFile file(path, Exit::model);
    std::string start(std::min<uint64_t>(file.bytes(), 16), ' ');
    file.read(0, std::as_writable_bytes(std::span(start)));
    FP_REQUIRE(
        !looks_like_torch(std::as_bytes(std::span(start))), Exit::model, shown(path),
        ": is an archive of PyTorch or NumPy, no model of fairprune; fp_train --weights FILE --epochs 0 makes one");
    const auto read = [&](uint64_t at, std::span<std::byte> out) { file.read(at, out); };
    return read_tensors(file.bytes(), read, shown(path), limits);
}

std::map<std::string, std::string> read_safetensors_metadata(const std::filesystem::path& path) {
    const InputFile file(path, Exit::model);
    const auto read = [&](uint64_t at, std::span<std::byte> out) { file.read(at, out); };
    return read_tensors(file.bytes(), read, shown(path), {}, true).metadata;
}

TensorFile parse_safetensors(std::span<const std::byte> bytes,
                             const std::string& file_name,
                             const SafetensorsLimits& limits) {
    const auto read = [&](uint64_t at, std::span<std::byte> out) {
        std::ranges::copy(bytes.subspan(at, out.size()), out.begin());
    };
    return read_tensors(bytes.size(), read, file_name, limits);
}

Bytes safetensors_bytes(const TensorFile& file) {
    Bytes out;
    write_parts(file, [&](std::span<const std::byte> part) { out.insert(out.end(), part.begin(), part.end()); });
    return out;
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file) {
    AtomicFile out(path, Exit::model);
    write_parts(file, [&](std::span<const std::byte> part) { out.write(part); });
    out.commit();
}

std::vector<float> as_f32(const TensorEntry& tensor) {
    switch (tensor.dtype) {
        case Dtype::f32:
            return values_of<float>(tensor);
        case Dtype::f64: {
            const std::vector<double> wide = values_of<double>(tensor);
            return {wide.begin(), wide.end()};
        }
        case Dtype::f16:
            return to_floats(values_of<f16>(tensor));
        case Dtype::bf16:
            return to_floats(values_of<bf16>(tensor));
        default:
            fail_with(Exit::model, "tensor ", printable(tensor.name), " is ", name(tensor.dtype),
                      ", which is no floating-point type");
    }
}

}  // namespace fp
