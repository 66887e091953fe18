// Decodes image files to 8-bit RGB. The first bytes decide the type, never the name; sizes are checked in 64 bits
// before anything is allocated (docs/formats.md, data sets).
//
//   grey         repeated in R, G and B             alpha        dropped, the colour stays as stored
//   palette      looked up                          16 bit       the high byte
//   CMYK JPEG    converted as Adobe stores it, refused without Adobe's marker
//   EXIF orientation and ICC profiles are ignored, as PIL does
//
// A JPEG's values are exactly PIL's (libjpeg-turbo's accurate DCT and fancy upsampling). A damaged or truncated file is
// an error unless `allow_damaged`. Errors are Error with Exit::data, and name the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace fp {

struct Pixels {
    int width = 0, height = 0;
    std::vector<uint8_t> rgb = {};  // height x width x 3
};
inline Pixels black(int width, int height) { return {width, height, std::vector<uint8_t>(size_t(3) * width * height)}; }

// A view of pixels that another object owns.
struct PixelView {
    int width = 0, height = 0;
    const uint8_t* rgb = nullptr;
    PixelView() = default;
    PixelView(int w, int h, const uint8_t* bytes) : width(w), height(h), rgb(bytes) {}
    PixelView(const Pixels& image) : PixelView(image.width, image.height, image.rgb.data()) {}
};

struct DecodeOptions {
    int64_t max_file_bytes = int64_t(64) << 20;
    int64_t max_pixels = 100'000'000;
    bool allow_damaged = false;  // a JPEG that is truncated or corrupt gives what could be read
};

// Whether these first bytes are of a format that is read.
bool begins_as_image(std::string_view first_bytes);
// Whether the file's name ends as that of such a format.
bool named_as_image(const std::filesystem::path&);

// Files of a folder that are no images, counted by the endings of their names.
class OtherFiles {
public:
    void add(const std::filesystem::path&);
    // "skipped 9 files that are no JPEG, PNG or BMP: 8 .tif, 1 .txt"; empty where there are none.
    std::string note() const;

private:
    std::map<std::string, int64_t> by_ending_;
};

// `name` is what errors call the file.
Pixels decode(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options = {});

// The bytes of a regular file within max_file_bytes.
std::vector<uint8_t> read_image_file(const std::filesystem::path& path, const DecodeOptions& options = {});

Pixels decode_file(const std::filesystem::path& path, const DecodeOptions& options = {});

// Writing: the bytes of a PNG file, and the file.
std::string encode_png(PixelView);
void write_png(const std::filesystem::path& path, PixelView);

}  // namespace fp
