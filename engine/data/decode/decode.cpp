#include "engine/data/decode/decode.h"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

#include "engine/data/decode/decode_formats.h"
#include "kernels/error.h"

namespace fp {
namespace {

bool starts_with(std::span<const uint8_t> bytes, std::string_view magic) {
    return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

// What a file that is no image most likely is: the message then says what went wrong upstream.
std::string describe(std::span<const uint8_t> bytes) {
    if (starts_with(bytes, "version https://git-lfs"))
        return "a Git LFS pointer, not the image itself (run `git lfs pull`)";
    std::string head(bytes.begin(), bytes.begin() + std::min<size_t>(bytes.size(), 512));
    std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    if (head.find("<html") != std::string::npos || head.find("<!doctype html") != std::string::npos)
        return "an HTML page, not an image (a failed download?)";
    if (starts_with(bytes, "GIF8")) return "a GIF, which is not read";
    if (starts_with(bytes, "II*") || starts_with(bytes, "MM")) return "a TIFF, which is not read";
    if (starts_with(bytes, "RIFF")) return "WebP or another RIFF file, which is not read";
    const bool printable = std::all_of(
        head.begin(), head.end(), [](unsigned char c) { return c >= 0x20 || c == '\n' || c == '\r' || c == '\t'; });
    return printable ? "text, not an image" : "neither JPEG, PNG nor BMP by its first bytes";
}

}  // namespace

void require_size(int64_t width, int64_t height, int64_t limit, const std::string& name) {
    FP_REQUIRE(width > 0 && height > 0, Exit::data, name, ": an image of ", width, " x ", height);
    FP_REQUIRE(width <= limit / height, Exit::data, name, ": an image of ", width, " x ", height,
               ", over the limit of ", limit, " pixels");
}

Pixels decode(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
    FP_REQUIRE(!bytes.empty(), Exit::data, name, ": the file is empty");
    FP_REQUIRE(int64_t(bytes.size()) <= options.max_file_bytes, Exit::data, name, ": ", bytes.size(),
               " bytes, over the limit of ", options.max_file_bytes);
    if (starts_with(bytes, "\xFF\xD8")) return decode_jpeg(bytes, name, options);
    if (starts_with(bytes, "\x89PNG\r\n\x1A\n")) return decode_png(bytes, name, options);
    if (starts_with(bytes, "BM")) return decode_bmp(bytes, name, options);
    fail_with(Exit::data, name, ": ", describe(bytes));
}

std::vector<uint8_t> read_image_file(const std::filesystem::path& path, const DecodeOptions& options) {
    const std::string name = path.string();
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    FP_REQUIRE(std::filesystem::exists(status), Exit::data, name, ": no such file");
    FP_REQUIRE(!std::filesystem::is_directory(status), Exit::data, name, ": a folder, not an image");
    FP_REQUIRE(std::filesystem::is_regular_file(status), Exit::data, name, ": not a regular file");

    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(name.c_str(), "rb"), std::fclose);
    FP_REQUIRE(file, Exit::data, name, ": ", std::strerror(errno));
    const auto size = std::filesystem::file_size(path, error);
    FP_REQUIRE(!error, Exit::data, name, ": ", error.message());
    FP_REQUIRE(int64_t(size) <= options.max_file_bytes, Exit::data, name, ": ", size, " bytes, over the limit of ",
               options.max_file_bytes);
    std::vector<uint8_t> bytes(size);
    const size_t read = std::fread(bytes.data(), 1, bytes.size(), file.get());
    FP_REQUIRE(read == size, Exit::data, name, ": only ", read, " of ", size, " bytes could be read");
    return bytes;
}

Pixels decode_file(const std::filesystem::path& path, const DecodeOptions& options) {
    return decode(read_image_file(path, options), path.string(), options);
}

}  // namespace fp
