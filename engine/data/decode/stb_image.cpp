// The one place that contains stb_image, cut down to PNG and BMP.
#include <cstdlib>
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
    Pixels out{.width = width, .height = height, .rgb = {}};
    out.rgb.assign(rgb.get(), rgb.get() + size_t(width) * height * 3);
    return out;
}

}  // namespace fp
