// The decoders that decode.cpp chooses from. Each checks the size in the header against the limits before it allocates.
#pragma once

#include "engine/data/decode/decode.h"

namespace fp {

Pixels decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options);
Pixels decode_png(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options);
Pixels decode_bmp(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options);

// stb_image, for the two above after their checks. It fails at an allocation of more than `largest` bytes, so at a
// stream that inflates far beyond the size in its header.
Pixels decode_by_stb(std::span<const uint8_t> bytes, const std::string& name, int64_t largest);

// CRC-32 of ISO 3309, as PNG's chunks carry it over their type and data.
uint32_t crc32(std::span<const uint8_t> bytes);

// Throws unless 1 <= width, height and width * height <= limit.
void require_size(int64_t width, int64_t height, int64_t limit, const std::string& name);

}  // namespace fp
