#include "engine/io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "engine/io/safetensors_header.h"
#include "kernels/f16.h"

namespace fp {
namespace {

constexpr uint64_t kLengthBytes = 8;

// shape's product times the dtype's size, or nothing where that does not fit.
std::optional<uint64_t> bytes_wanted(const TensorPlace& t) {
    uint64_t bytes = uint64_t(bytes_of(t.dtype));
    for (const int64_t size : t.shape)
        if (__builtin_mul_overflow(bytes, uint64_t(size), &bytes)) return std::nullopt;
    return bytes;
}

void check_layout(std::vector<TensorPlace>& tensors, uint64_t data_bytes, const std::string& file) {
    std::stable_sort(tensors.begin(), tensors.end(), [](const TensorPlace& a, const TensorPlace& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t end = 0;
    for (const TensorPlace& t : tensors) {
        const auto [from, to] = std::pair(t.begin, t.end);
        FP_REQUIRE(from <= to && to <= data_bytes, Exit::model, file, ": tensor ", printable(t.name), " lies at ", from,
                   " to ", to, " of ", data_bytes, " bytes of data");
        FP_REQUIRE(from == end, Exit::model, file, ": tensor ", printable(t.name), " begins at ", from,
                   ", but the one before it ends at ", end);
        const std::optional<uint64_t> wanted = bytes_wanted(t);
        FP_REQUIRE(wanted.has_value(), Exit::model, file, ": tensor ", printable(t.name),
                   ": the product of its shape [", fmt::format("{}", fmt::join(t.shape, ",")),
                   "] does not fit 64 bits");
        FP_REQUIRE(to - from == *wanted, Exit::model, file, ": tensor ", printable(t.name), " has ", to - from,
                   " bytes, but its shape [", fmt::format("{}", fmt::join(t.shape, ",")), "] of ", name(t.dtype),
                   " needs ", *wanted);
        end = to;
    }
    FP_REQUIRE(data_bytes == end, Exit::model, file, ": ", data_bytes - end, " bytes follow the last tensor");
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
    FP_REQUIRE(header_bytes <= file_bytes - kLengthBytes, Exit::model, file, ": a header of ", header_bytes,
               " bytes is announced, but the file has ", file_bytes);
    FP_REQUIRE(header_bytes <= limits.header_bytes, Exit::model, file, ": a header of ", header_bytes, " bytes; ",
               limits.header_bytes, " are allowed");
    std::string text(header_bytes, ' ');
    read(kLengthBytes, std::as_writable_bytes(std::span(text)));

    SafetensorsHeader header = parse_safetensors_header(text, file, limits);
    const uint64_t data_start = kLengthBytes + header_bytes;
    check_layout(header.tensors, file_bytes - data_start, file);

    TensorFile result{.metadata = std::move(header.metadata)};
    result.tensors.reserve(header.tensors.size());
    for (TensorPlace& t : header.tensors) {
        Bytes data(t.end - t.begin);
        read(data_start + t.begin, data);
        result.tensors.push_back({std::move(t.name), t.dtype, std::move(t.shape), std::move(data)});
    }
    return result;
}

// Pickle runs code while it is read, and these formats hold it: .pt and .pth are zip files or bare
// pickles, .npz is a zip file.
void refuse_pickles(const std::filesystem::path& path, std::span<const std::byte> start) {
    const std::string extension = path.extension().native();
    const bool zip = start.size() >= 4 && std::memcmp(start.data(), "PK\x03\x04", 4) == 0;
    const bool pickle = start.size() >= 2 && start[0] == std::byte{0x80} && start[1] <= std::byte{5} &&
                        (start.size() < 9 || start[8] != std::byte{'{'});
    FP_REQUIRE(!zip && !pickle && extension != ".pt" && extension != ".pth" && extension != ".npz", Exit::model,
               shown(path),
               ": PyTorch and NumPy archives are not read, since unpickling runs code; convert it with "
               "tools/convert_torch.py");
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
    const std::string header = safetensors_header(file.metadata, order);
    FP_CHECK(header.size() <= SafetensorsLimits{}.header_bytes, "a header of ", header.size(),
             " bytes could not be read back");
    const uint64_t length = header.size();
    write(std::as_bytes(std::span(&length, 1)));
    write(as_bytes(header));
    for (const TensorEntry* t : order) write(std::span<const std::byte>(t->data));
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

int64_t count_of(std::span<const int64_t> shape) {
    int64_t count = 1;
    for (const int64_t size : shape)
        FP_CHECK(size >= 0 && !__builtin_mul_overflow(count, size, &count), "a shape with a size of ", size,
                 " has no count");
    return count;
}

const TensorEntry* TensorFile::find(std::string_view name) const {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const TensorEntry& t) { return t.name == name; });
    return found == tensors.end() ? nullptr : &*found;
}

TensorFile read_safetensors(const std::filesystem::path& path, const SafetensorsLimits& limits) {
    const InputFile file(path, Exit::model);
    Bytes start(std::min<uint64_t>(file.bytes(), 16));
    file.read(0, start);
    refuse_pickles(path, start);
    const auto read = [&](uint64_t at, std::span<std::byte> out) { file.read(at, out); };
    return read_tensors(file.bytes(), read, shown(path), limits);
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
            return convert<float>(tensor.data, [](float v) { return v; });
        case Dtype::f64:
            return convert<double>(tensor.data, [](double v) { return float(v); });
        case Dtype::f16:
            return convert<uint16_t>(tensor.data, [](uint16_t v) { return to_float(f16{v}); });
        case Dtype::bf16:
            return convert<uint16_t>(tensor.data, [](uint16_t v) { return std::bit_cast<float>(uint32_t(v) << 16); });
        default:
            fail_with(Exit::model, "tensor ", printable(tensor.name), " is ", name(tensor.dtype),
                      ", which is no floating-point type");
    }
}

}  // namespace fp
