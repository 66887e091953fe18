// Any bytes as a file of weights, PyTorch's or safetensors: an Error with Exit::model, or tensors as large as their
// shapes.
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/io/weights_file.h"
#include "engine/io/zip.h"

namespace {

void read(std::span<const std::byte> bytes) {
    try {
        const fp::WeightsFile file = fp::parse_weights(bytes, "fuzz");
        for (const fp::TensorEntry& t : file.content.tensors)
            if (fp::count_of(t.shape) * fp::bytes_of(t.dtype) != int64_t(t.data.size())) std::abort();
    } catch (const fp::Error& error) {
        if (error.exit != fp::Exit::model) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    read(bytes);
    // Once more without the checksums in a zip archive's directory.
    fp::Bytes unchecked(bytes.begin(), bytes.end());
    for (size_t at = 0; at + 46 <= unchecked.size(); ++at)
        if (std::memcmp(unchecked.data() + at, "PK\x01\x02", 4) == 0) std::memset(unchecked.data() + at + 16, 0, 4);
    read(unchecked);
    return 0;
}
