// Model files: safetensors (https://github.com/huggingface/safetensors).
//
//   8 bytes         N, little-endian
//   N bytes         JSON: name -> {"dtype","shape","data_offsets":[begin,end]}, padded with spaces;
//                   "__metadata__" -> {string: string}
//   to the end      the data, row-major; offsets count from its start, without holes or overlaps
//
// Every size is checked against the file's before anything is allocated. Whatever is wrong with a file is
// an Error with Exit::model that names the file and the numbers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/files.h"
#include "kernels/bf16.h"
#include "kernels/f16.h"

namespace fp {

enum class Dtype { f64, i64, f32, i32, f16, bf16, u8, boolean };  // by falling width
std::string_view name(Dtype);                                     // as the files have it: F64, I64, ..., BOOL
int bytes_of(Dtype);

struct TensorEntry {
    std::string name;
    Dtype dtype = Dtype::f32;
    std::vector<int64_t> shape;  // logical; {} is a single number
    Bytes data = {};

    bool operator==(const TensorEntry&) const = default;
};

struct TensorFile {
    std::map<std::string, std::string> metadata = {};
    std::vector<TensorEntry> tensors = {};

    const TensorEntry* find(std::string_view name) const;  // null where there is none
    bool operator==(const TensorFile&) const = default;
};

struct SafetensorsLimits {
    uint64_t header_bytes = 16 << 20;
    uint64_t tensors = 100'000;
    uint64_t name_bytes = 512;
};

// The tensors come in the order of the file. What torch.save wrote is refused: read_weights() (weights_file.h) reads
// it.
TensorFile read_safetensors(const std::filesystem::path& path, const SafetensorsLimits& = {});
std::map<std::string, std::string> read_safetensors_metadata(
    const std::filesystem::path& path);  // and checks the header
TensorFile parse_safetensors(std::span<const std::byte> file,
                             const std::string& file_name,
                             const SafetensorsLimits& = {});

// Sorted by width of the dtype, widest first, then by name, so that every tensor is aligned and the same
// content gives the same bytes.
Bytes safetensors_bytes(const TensorFile&);
void write_safetensors(const std::filesystem::path& path, const TensorFile&);  // atomic

// F32, F64, F16 and BF16 as float (F64 rounded to nearest); anything else is an Error.
std::vector<float> as_f32(const TensorEntry&);

int64_t count_of(std::span<const int64_t> shape);        // the product; checked when the tensor was read
std::string shape_text(std::span<const int64_t> shape);  // "[64,3,7,7]"

template <class T>
Dtype dtype_of(T) = delete;
constexpr Dtype dtype_of(double) { return Dtype::f64; }
constexpr Dtype dtype_of(int64_t) { return Dtype::i64; }
constexpr Dtype dtype_of(float) { return Dtype::f32; }
constexpr Dtype dtype_of(int32_t) { return Dtype::i32; }
constexpr Dtype dtype_of(f16) { return Dtype::f16; }
constexpr Dtype dtype_of(bf16) { return Dtype::bf16; }
constexpr Dtype dtype_of(uint8_t) { return Dtype::u8; }

// A tensor that holds `values`; their count must be the shape's product.
template <class T>
TensorEntry tensor_of(std::string name, std::vector<int64_t> shape, std::span<const T> values) {
    FP_CHECK(count_of(shape) == int64_t(values.size()), name, ": ", values.size(), " values for a shape of ",
             count_of(shape));
    const auto bytes = std::as_bytes(values);
    return {std::move(name), dtype_of(T{}), std::move(shape), Bytes(bytes.begin(), bytes.end())};
}

// The values of a tensor of exactly this type, where they lie; another type is an Error.
template <class T>
std::span<const T> values_in(const TensorEntry& tensor) {
    FP_REQUIRE(tensor.dtype == dtype_of(T{}), Exit::model, "tensor ", printable(tensor.name), " is ",
               name(tensor.dtype), ", wanted ", name(dtype_of(T{})));
    return {reinterpret_cast<const T*>(tensor.data.data()), tensor.data.size() / sizeof(T)};
}
template <class T>
std::vector<T> values_of(const TensorEntry& tensor) {
    const std::span<const T> values = values_in<T>(tensor);
    return {values.begin(), values.end()};
}

static_assert(std::endian::native == std::endian::little, "the files' bytes are read as they are");

}  // namespace fp
