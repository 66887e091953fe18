// Writing 8-bit RGB as PNG.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace fp {

// The bytes of a PNG file; rgb is height x width x 3.
std::string encode_png(int width, int height, const uint8_t* rgb);

// Exit::data if the file cannot be written.
void write_png(const std::filesystem::path& path, int width, int height, const uint8_t* rgb);

}  // namespace fp
