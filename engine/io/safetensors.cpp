#include "engine/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <unordered_set>
#include <utility>

namespace fp {
namespace {

constexpr uint64_t kLengthBytes = 8;

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

// One tensor as the header describes it; the data lies at [begin, end) from the end of the header.
struct Described {
    std::string name;
    std::optional<Dtype> dtype = {};
    std::optional<std::vector<int64_t>> shape = {};
    std::vector<uint64_t> offsets = {};
};

struct Header {
    std::map<std::string, std::string> metadata;
    std::vector<Described> tensors;
};

bool is_plain(std::string_view name) {
    return std::none_of(name.begin(), name.end(),
                        [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

// The header's grammar as events of the parser: what the JSON library lets pass (the last of two equal
// keys, 2^64 as a double) is refused here, and nothing is built that the grammar does not know.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
public:
    HeaderReader(const std::string& file, const SafetensorsLimits& limits)
        : file_(file), limits_(limits) {}

    Header take() { return std::move(header_); }

    bool null() override { return unexpected("null"); }
    bool boolean(bool) override { return unexpected("a boolean"); }
    bool number_float(number_float_t, const string_t& text) override {
        return unexpected("the number " + printable(text));
    }
    bool number_integer(number_integer_t value) override {
        return unexpected("the number " + std::to_string(value));
    }
    bool binary(binary_t&) override { return unexpected("binary"); }

    bool number_unsigned(number_unsigned_t value) override {
        if (at_ == At::shape) {
            refuse_unless(value <= uint64_t(std::numeric_limits<int64_t>::max()), "a size of ",
                          value);
            tensor().shape->push_back(int64_t(value));
        } else if (at_ == At::offsets) {
            refuse_unless(tensor().offsets.size() < 2, "more than two data_offsets");
            tensor().offsets.push_back(value);
        } else {
            unexpected("the number " + std::to_string(value));
        }
        return true;
    }

    bool string(string_t& value) override {
        if (at_ == At::metadata) {
            header_.metadata[key_] = std::move(value);
        } else if (at_ == At::tensor && key_ == "dtype") {
            const auto row = std::find_if(kDtypes.begin(), kDtypes.end(),
                                          [&](const DtypeRow& r) { return r.name == value; });
            refuse_unless(row != kDtypes.end(), "dtype ", printable(value),
                          " is not one of F64 I64 F32 I32 F16 BF16 U8 BOOL");
            tensor().dtype = row->dtype;
        } else {
            unexpected("a string");
        }
        return true;
    }

    bool start_object(std::size_t) override {
        if (at_ == At::start) {
            at_ = At::top;
        } else if (at_ == At::top && key_ == "__metadata__") {
            at_ = At::metadata;
        } else if (at_ == At::top) {
            FP_REQUIRE(header_.tensors.size() < limits_.tensors, Exit::model, file_,
                       ": the header has more than ", limits_.tensors, " tensors");
            at_ = At::tensor;
            header_.tensors.push_back({.name = key_});
        } else {
            unexpected("an object");
        }
        return true;
    }

    bool key(string_t& key) override {
        if (at_ == At::top) {
            FP_REQUIRE(names_.insert(key).second, Exit::model, file_, ": the header names ",
                       printable(key), " twice");
            FP_REQUIRE(key.size() <= limits_.name_bytes, Exit::model, file_, ": the name ",
                       printable(key, 40), " has ", key.size(), " bytes; ", limits_.name_bytes,
                       " are allowed");
            FP_REQUIRE(is_plain(key), Exit::model, file_, ": the name ", printable(key),
                       " has control characters");
        } else if (at_ == At::metadata) {
            FP_REQUIRE(!header_.metadata.contains(key), Exit::model, file_, ": __metadata__ has ",
                       printable(key), " twice");
        } else {
            const Described& t = tensor();
            const bool known = key == "dtype" || key == "shape" || key == "data_offsets";
            refuse_unless(known, "unknown key ", printable(key));
            const bool again = (key == "dtype" && t.dtype) || (key == "shape" && t.shape) ||
                               (key == "data_offsets" && !t.offsets.empty());
            refuse_unless(!again, key, " given twice");
        }
        key_ = std::move(key);
        return true;
    }

    bool end_object() override {
        if (at_ == At::tensor) {
            const Described& t = tensor();
            refuse_unless(t.dtype.has_value(), "no dtype");
            refuse_unless(t.shape.has_value(), "no shape");
            refuse_unless(t.offsets.size() == 2, t.offsets.size(), " data_offsets, wanted two");
        }
        at_ = At::top;
        return true;
    }

    bool start_array(std::size_t) override {
        if (at_ == At::tensor && key_ == "shape") {
            at_ = At::shape;
            tensor().shape.emplace();
        } else if (at_ == At::tensor && key_ == "data_offsets") {
            at_ = At::offsets;
        } else {
            unexpected("an array");
        }
        return true;
    }

    bool end_array() override {
        if (at_ == At::offsets)
            refuse_unless(tensor().offsets.size() == 2, "fewer than two data_offsets");
        at_ = At::tensor;
        return true;
    }

    bool parse_error(std::size_t position,
                     const std::string&,
                     const nlohmann::detail::exception& error) override {
        fail_with(Exit::model, file_, ": the header is not JSON at byte ", position, ": ",
                  printable(error.what()));
    }

private:
    enum class At { start, top, metadata, tensor, shape, offsets };

    Described& tensor() { return header_.tensors.back(); }

    template <class... Parts>
    void refuse_unless(bool good, const Parts&... parts) {
        FP_REQUIRE(good, Exit::model, file_, ": tensor ", printable(tensor().name), ": ", parts...);
    }

    bool unexpected(const std::string& what) {
        FP_REQUIRE(at_ != At::start, Exit::model, file_, ": the header is ", what,
                   ", not an object");
        refuse_unless(at_ == At::top || at_ == At::metadata, what, " in ", key_);
        fail_with(Exit::model, file_, ": the header has ", what, " at ", printable(key_),
                  at_ == At::metadata ? " in __metadata__, where only strings may be" : "");
    }

    const std::string& file_;
    const SafetensorsLimits& limits_;
    At at_ = At::start;
    std::string key_;
    std::unordered_set<std::string> names_;
    Header header_;
};

Header parse_header(std::string_view text,
                    const std::string& file,
                    const SafetensorsLimits& limits) {
    FP_REQUIRE(!text.empty() && text.front() == '{', Exit::model, file,
               ": the header does not start with {");
    const size_t last = text.find_last_not_of(' ');
    FP_REQUIRE(text[last] == '}', Exit::model, file,
               ": the header ends in something other than } and spaces");
    // The library takes a NUL for the end of the text.
    const size_t nul = text.find('\0');
    FP_REQUIRE(nul == text.npos, Exit::model, file, ": the header has a NUL at byte ", nul);

    HeaderReader reader(file, limits);
    nlohmann::json::sax_parse(text.begin(), text.begin() + last + 1, &reader);
    return reader.take();
}

// shape's product times the dtype's size, or nothing where that does not fit.
std::optional<uint64_t> bytes_wanted(const Described& t) {
    uint64_t bytes = uint64_t(bytes_of(*t.dtype));
    for (const int64_t size : *t.shape)
        if (__builtin_mul_overflow(bytes, uint64_t(size), &bytes)) return std::nullopt;
    return bytes;
}

void check_layout(std::vector<Described>& tensors,
                  uint64_t data_bytes,
                  const std::string& file,
                  const SafetensorsLimits& limits) {
    std::stable_sort(tensors.begin(), tensors.end(),
                     [](const Described& a, const Described& b) { return a.offsets < b.offsets; });
    uint64_t end = 0;
    for (const Described& t : tensors) {
        const auto [from, to] = std::pair(t.offsets[0], t.offsets[1]);
        FP_REQUIRE(from <= to && to <= data_bytes, Exit::model, file, ": tensor ",
                   printable(t.name), " lies at ", from, " to ", to, " of ", data_bytes,
                   " bytes of data");
        FP_REQUIRE(from == end, Exit::model, file, ": tensor ", printable(t.name), " begins at ",
                   from, ", but the one before it ends at ", end);
        const std::optional<uint64_t> wanted = bytes_wanted(t);
        FP_REQUIRE(wanted.has_value(), Exit::model, file, ": tensor ", printable(t.name),
                   ": the product of its shape [", fmt::format("{}", fmt::join(*t.shape, ",")),
                   "] does not fit 64 bits");
        FP_REQUIRE(to - from == *wanted, Exit::model, file, ": tensor ", printable(t.name), " has ",
                   to - from, " bytes, but its shape [",
                   fmt::format("{}", fmt::join(*t.shape, ",")), "] of ", name(*t.dtype), " needs ",
                   *wanted);
        end = to;
    }
    const uint64_t rest = data_bytes - end;
    FP_REQUIRE(rest == 0 || (limits.lenient && rest == 4), Exit::model, file, ": ", rest,
               " bytes follow the last tensor");
}

// `read(offset, out)` gives the file's bytes.
template <class Read>
TensorFile read_tensors(uint64_t file_bytes,
                        const Read& read,
                        const std::string& file,
                        const SafetensorsLimits& limits) {
    FP_REQUIRE(file_bytes >= kLengthBytes, Exit::model, file, ": has ", file_bytes,
               " bytes, too few for a safetensors file");
    uint64_t header_bytes = 0;
    read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
    FP_REQUIRE(header_bytes <= file_bytes - kLengthBytes, Exit::model, file, ": a header of ",
               header_bytes, " bytes is announced, but the file has ", file_bytes);
    FP_REQUIRE(header_bytes <= limits.header_bytes, Exit::model, file, ": a header of ",
               header_bytes, " bytes; ", limits.header_bytes, " are allowed");
    std::string text(header_bytes, ' ');
    read(kLengthBytes, std::as_writable_bytes(std::span(text)));

    Header header = parse_header(text, file, limits);
    const uint64_t data_start = kLengthBytes + header_bytes;
    check_layout(header.tensors, file_bytes - data_start, file, limits);

    TensorFile result{.metadata = std::move(header.metadata)};
    result.tensors.reserve(header.tensors.size());
    for (Described& t : header.tensors) {
        Bytes data(t.offsets[1] - t.offsets[0]);
        read(data_start + t.offsets[0], data);
        result.tensors.push_back(
            {std::move(t.name), *t.dtype, std::move(*t.shape), std::move(data)});
    }
    return result;
}

// Pickle runs code while it is read, and these formats hold it: .pt and .pth are zip files or bare
// pickles, .npz is a zip file.
void refuse_pickles(const std::filesystem::path& path, std::span<const std::byte> start) {
    const std::string extension = path.extension().native();
    const bool zip = start.size() >= 4 && std::memcmp(start.data(), "PK\x03\x04", 4) == 0;
    const bool pickle = start.size() >= 2 && start[0] == std::byte{0x80} &&
                        start[1] <= std::byte{5} &&
                        (start.size() < 9 || start[8] != std::byte{'{'});
    FP_REQUIRE(
        !zip && !pickle && extension != ".pt" && extension != ".pth" && extension != ".npz",
        Exit::model, printable(path.native(), 4096),
        ": PyTorch and NumPy archives are not read, since unpickling runs code; convert it with "
        "tools/convert_torch.py");
}

// The header's text, without its length, padded so that the data is aligned to 8 bytes.
std::string header_text(const TensorFile& file, const std::vector<const TensorEntry*>& order) {
    const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
    std::string out = "{";
    if (!file.metadata.empty()) {
        out += "\"__metadata__\":{";
        for (const auto& [key, value] : file.metadata) {
            if (out.back() != '{') out += ',';
            out += fmt::format("{}:{}", quoted(key), quoted(value));
        }
        out += "}";
    }
    uint64_t at = 0;
    for (const TensorEntry* t : order) {
        if (out.size() > 1) out += ",";
        out += fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                           quoted(t->name), name(t->dtype), fmt::join(t->shape, ","), at,
                           at + t->data.size());
        at += t->data.size();
    }
    out += "}";
    out.resize((out.size() + 7) / 8 * 8, ' ');
    return out;
}

std::vector<const TensorEntry*> writing_order(const TensorFile& file) {
    std::set<std::string_view> names{"__metadata__"};
    std::vector<const TensorEntry*> order;
    for (const TensorEntry& t : file.tensors) {
        FP_CHECK(names.insert(t.name).second, "tensor ", t.name, " is to be written twice");
        FP_CHECK(is_plain(t.name) && t.name.size() <= SafetensorsLimits{}.name_bytes, "tensor ",
                 printable(t.name), " has a name that could not be read back");
        FP_CHECK(count_of(t.shape) * bytes_of(t.dtype) == int64_t(t.data.size()), "tensor ", t.name,
                 " has ", t.data.size(), " bytes, but its shape needs ",
                 count_of(t.shape) * bytes_of(t.dtype));
        order.push_back(&t);
    }
    std::sort(order.begin(), order.end(), [](const TensorEntry* a, const TensorEntry* b) {
        return std::pair(-bytes_of(a->dtype), std::string_view(a->name)) <
               std::pair(-bytes_of(b->dtype), std::string_view(b->name));
    });
    return order;
}

// Calls `write(bytes)` with the file's parts in order.
template <class Write>
void write_parts(const TensorFile& file, const Write& write) {
    const std::vector<const TensorEntry*> order = writing_order(file);
    const std::string header = header_text(file, order);
    FP_CHECK(header.size() <= SafetensorsLimits{}.header_bytes, "a header of ", header.size(),
             " bytes could not be read back");
    const uint64_t length = header.size();
    write(std::as_bytes(std::span(&length, 1)));
    write(as_bytes(header));
    for (const TensorEntry* t : order) write(std::span<const std::byte>(t->data));
}

float from_f16(uint16_t h) {
    const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = (h >> 10) & 31,
                   fraction = h & 0x3FF;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000 | (fraction << 13));
    if (exponent != 0)
        return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
    const float small = float(fraction) * 0x1p-24f;  // zero or subnormal
    return sign ? -small : small;
}

template <class T, class Convert>
std::vector<float> convert(const Bytes& data, const Convert& one) {
    std::vector<float> out(data.size() / sizeof(T));
    for (size_t i = 0; i < out.size(); ++i) {
        T value;
        std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
        out[i] = one(value);
    }
    return out;
}

}  // namespace

std::string_view name(Dtype dtype) { return kDtypes[size_t(dtype)].name; }
int bytes_of(Dtype dtype) { return kDtypes[size_t(dtype)].bytes; }

int64_t count_of(std::span<const int64_t> shape) {
    int64_t count = 1;
    for (const int64_t size : shape)
        FP_CHECK(size >= 0 && !__builtin_mul_overflow(count, size, &count),
                 "a shape with a size of ", size, " has no count");
    return count;
}

const TensorEntry* TensorFile::find(std::string_view name) const {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [&](const TensorEntry& t) { return t.name == name; });
    return found == tensors.end() ? nullptr : &*found;
}

TensorFile read_safetensors(const std::filesystem::path& path, const SafetensorsLimits& limits) {
    const InputFile file(path, Exit::model);
    Bytes start(std::min<uint64_t>(file.bytes(), 16));
    file.read(0, start);
    refuse_pickles(path, start);
    const auto read = [&](uint64_t at, std::span<std::byte> out) { file.read(at, out); };
    return read_tensors(file.bytes(), read, printable(path.native(), 4096), limits);
}

TensorFile parse_safetensors(std::span<const std::byte> bytes,
                             const std::string& file_name,
                             const SafetensorsLimits& limits) {
    const auto read = [&](uint64_t at, std::span<std::byte> out) {
        const auto part = bytes.subspan(at, out.size());
        std::copy(part.begin(), part.end(), out.begin());
    };
    return read_tensors(bytes.size(), read, file_name, limits);
}

Bytes safetensors_bytes(const TensorFile& file) {
    Bytes out;
    write_parts(file, [&](std::span<const std::byte> part) {
        out.insert(out.end(), part.begin(), part.end());
    });
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
            return convert<float>(tensor.data, [](float v) { return v; });
        case Dtype::f64:
            return convert<double>(tensor.data, [](double v) { return float(v); });
        case Dtype::f16:
            return convert<uint16_t>(tensor.data, from_f16);
        case Dtype::bf16:
            return convert<uint16_t>(
                tensor.data, [](uint16_t v) { return std::bit_cast<float>(uint32_t(v) << 16); });
        default:
            fail_with(Exit::model, "tensor ", printable(tensor.name), " is ", name(tensor.dtype),
                      ", which is no floating-point type");
    }
}

}  // namespace fp
