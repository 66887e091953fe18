// Any bytes as a model file: an Error with Exit::model, or tensors that are written and read the same.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "engine/io/safetensors.h"

namespace {

void read(std::span<const std::byte> bytes) {
    try {
        const fp::TensorFile file = fp::parse_safetensors(bytes, "fuzz");
        const fp::Bytes written = fp::safetensors_bytes(file);
        if (fp::safetensors_bytes(fp::parse_safetensors(written, "fuzz")) != written) std::abort();
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::model) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    read(bytes);
    // Once more with the header's length made right, which chance would seldom do.
    if (size < 8) return 0;
    fp::Bytes right(bytes.begin(), bytes.end());
    const std::string_view text(reinterpret_cast<const char*>(data) + 8, size - 8);
    const uint64_t header = text.rfind('}') + 1;
    std::memcpy(right.data(), &header, 8);
    read(right);
    return 0;
}
