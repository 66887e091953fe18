#include "engine/data/decode/png.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "kernels/error.h"

#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace fp {

std::string encode_png(int width, int height, const uint8_t* rgb) {
    std::string bytes;
    const auto append = [](void* to, void* data, int size) {
        static_cast<std::string*>(to)->append(static_cast<const char*>(data), size_t(size));
    };
    const int done = stbi_write_png_to_func(append, &bytes, width, height, 3, rgb, width * 3);
    FP_CHECK(done != 0, "no PNG of ", width, " x ", height, " pixels: out of memory");
    return bytes;
}

void write_png(const std::filesystem::path& path, int width, int height, const uint8_t* rgb) {
    std::ofstream out(path, std::ios::binary);
    FP_REQUIRE(out, Exit::data, path.string(), ": cannot be written to: ", std::strerror(errno));
    out << encode_png(width, height, rgb);
    out.close();
    FP_REQUIRE(out, Exit::data, path.string(), ": writing failed: ", std::strerror(errno));
}

}  // namespace fp
