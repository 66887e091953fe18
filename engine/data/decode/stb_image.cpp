// The one place that contains stb: stb_image, cut down to PNG and BMP, and stb_image_write for PNG.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>

#include "engine/data/decode/decode_formats.h"
#include "kernels/error.h"

namespace {

thread_local size_t largest_allocation = 0;

void* allocate(size_t bytes) { return bytes <= largest_allocation ? std::malloc(bytes) : nullptr; }
void* reallocate(void* old, size_t bytes) { return bytes <= largest_allocation ? std::realloc(old, bytes) : nullptr; }

}  // namespace

#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 16384
#define STBI_ASSERT(condition) FP_REQUIRE(condition, fp::Exit::data, "damaged image: " #condition)
#define STBI_MALLOC(bytes) allocate(bytes)
#define STBI_REALLOC(old, bytes) reallocate(old, bytes)
#define STBI_FREE(old) std::free(old)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace fp {

Pixels decode_by_stb(std::span<const uint8_t> bytes, const std::string& name, int64_t largest) {
    largest_allocation = size_t(largest);
    const int length = int(bytes.size());
    int width = 0, height = 0, channels = 0;
    const bool known = stbi_info_from_memory(bytes.data(), length, &width, &height, &channels) != 0;
    FP_REQUIRE(known, Exit::data, name, ": ", stbi_failure_reason());
    const std::unique_ptr<stbi_uc, void (*)(void*)> rgb(
        stbi_load_from_memory(bytes.data(), length, &width, &height, &channels, 3), std::free);
    FP_REQUIRE(rgb, Exit::data, name, ": ", stbi_failure_reason());
    return {width, height, {rgb.get(), rgb.get() + size_t(width) * height * 3}};
}

uint32_t crc32(std::span<const uint8_t> bytes) {
    return stbiw__crc32(const_cast<uint8_t*>(bytes.data()), int(bytes.size()));
}

std::string encode_png(PixelView image) {
    std::string bytes;
    const auto append = [](void* to, void* data, int size) {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), size_t(size));
    };
    const auto [width, height, rgb] = image;
    const int done = stbi_write_png_to_func(append, &bytes, width, height, 3, rgb, width * 3);
    FP_CHECK(done != 0, "no PNG of ", width, " x ", height, " pixels: out of memory");
    return bytes;
}

void write_png(const std::filesystem::path& path, PixelView image) {
    const std::string bytes = encode_png(image);
    std::ofstream out(path, std::ios::binary);
    out << bytes << std::flush;
    FP_REQUIRE(out, Exit::data, path.string(), ": cannot be written to: ", std::strerror(errno));
}

}  // namespace fp
