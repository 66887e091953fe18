#include <cstdlib>
#include <string_view>

#include "engine/data/decode/decode_formats.h"
#include "kernels/error.h"

namespace fp {
namespace {

uint32_t big_endian(std::span<const uint8_t> bytes, size_t at) {
    return uint32_t(bytes[at]) << 24 | uint32_t(bytes[at + 1]) << 16 | uint32_t(bytes[at + 2]) << 8 | bytes[at + 3];
}

int64_t little_endian(std::span<const uint8_t> bytes, size_t at) {
    return int32_t(uint32_t(bytes[at + 3]) << 24 | uint32_t(bytes[at + 2]) << 16 | uint32_t(bytes[at + 1]) << 8 |
                   bytes[at]);
}

// Room for a decoder's buffers of `width x height` pixels of at most 8 bytes, doubled once, and for twice the file.
int64_t working_bytes(int64_t width, int64_t height, size_t file_bytes) {
    return 16 * width * height + 4 * height + 2 * int64_t(file_bytes) + 65536;
}

}  // namespace

Pixels decode_png(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
    // stb_image checks neither CRCs nor that the file is whole, so every chunk is walked first.
    int64_t width = 0, height = 0;
    bool ended = false;
    for (size_t at = 8; !ended;) {
        FP_REQUIRE(bytes.size() - at >= 12, Exit::data, name, ": PNG cut off at byte ", bytes.size());
        const uint32_t length = big_endian(bytes, at);
        const std::string_view type(reinterpret_cast<const char*>(&bytes[at + 4]), 4);
        FP_REQUIRE(length <= bytes.size() - at - 12, Exit::data, name, ": PNG cut off at byte ", bytes.size(),
                   ", in a chunk of ", length, " bytes at ", at);
        FP_REQUIRE(crc32(bytes.subspan(at + 4, 4 + length)) == big_endian(bytes, at + 8 + length), Exit::data, name,
                   ": PNG chunk at byte ", at, " is damaged (wrong CRC)");
        if (at == 8) {
            FP_REQUIRE(type == "IHDR" && length == 13, Exit::data, name, ": PNG without IHDR");
            width = big_endian(bytes, at + 8);
            height = big_endian(bytes, at + 12);
            require_size(width, height, options.max_pixels, name);
        }
        ended = type == "IEND";
        at += 12 + size_t(length);
    }
    return decode_by_stb(bytes, name, working_bytes(width, height, bytes.size()));
}

Pixels decode_bmp(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
    FP_REQUIRE(bytes.size() >= 54, Exit::data, name, ": BMP cut off at byte ", bytes.size());
    FP_REQUIRE(little_endian(bytes, 14) >= 40, Exit::data, name, ": BMP with a header of ", little_endian(bytes, 14),
               " bytes, which is not read");
    const int64_t first = little_endian(bytes, 10);
    const int64_t width = little_endian(bytes, 18);
    const int64_t height = std::abs(little_endian(bytes, 22));  // negative: stored top row first
    const int64_t bits = bytes[28] | bytes[29] << 8;
    require_size(width, height, options.max_pixels, name);
    // stb_image reads zeros past the end, so a cut file must not get that far.
    const int64_t row_bytes = (width * bits + 31) / 32 * 4;
    FP_REQUIRE(first >= 54 && first + row_bytes * height <= int64_t(bytes.size()), Exit::data, name,
               ": BMP cut off: ", bytes.size(), " bytes, its pixels end at ", first + row_bytes * height);
    return decode_by_stb(bytes, name, working_bytes(width, height, bytes.size()));
}

}  // namespace fp
