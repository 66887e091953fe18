// Any bytes as an image file: an Error with Exit::data, or pixels of the size it says.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "engine/data/decode/decode_formats.h"
#include "kernels/error.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Makes every PNG chunk's CRC right again, as whoever means harm would: else no change gets past the guard.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < 8 || std::memcmp(data, "\x89PNG\r\n\x1A\n", 8) != 0) return size;
    for (size_t at = 8; at + 12 <= size;) {
        const size_t length =
            size_t(data[at]) << 24 | size_t(data[at + 1]) << 16 | size_t(data[at + 2]) << 8 | data[at + 3];
        if (length > size - at - 12) break;
        const uint32_t crc = fp::crc32({data + at + 4, length + 4});
        for (int i = 0; i < 4; ++i) data[at + 8 + length + i] = uint8_t(crc >> (24 - 8 * i));
        at += 12 + length;
    }
    return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    for (const bool allow_damaged : {false, true}) {
        // Few pixels, so that time goes into the formats and not into memory.
        const fp::DecodeOptions options{.max_pixels = 1 << 18, .allow_damaged = allow_damaged};
        try {
            const fp::Pixels image = fp::decode(std::span(data, size), "fuzz", options);
            const bool right = image.width > 0 && image.height > 0 &&
                               int64_t(image.width) * image.height <= options.max_pixels &&
                               image.rgb.size() == size_t(3) * image.width * image.height;
            if (!right) std::abort();
        } catch (const fp::Error& error) {
            if (error.exit != fp::Exit::data) std::abort();
        }
    }
    return 0;
}
