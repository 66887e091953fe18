#include "engine/data/decode/decode.h"

#include <algorithm>
#include <string_view>

#include "engine/data/decode/decode_formats.h"
#include "engine/io/columns.h"
#include "engine/io/files.h"
#include "engine/io/words.h"
#include "kernels/error.h"

namespace fp {
namespace {

struct Format {
    std::string_view mark;  // its first bytes
    Pixels (*decode)(std::span<const uint8_t>, const std::string& name, const DecodeOptions&);
};
constexpr Format kFormats[] = {{"\xFF\xD8", decode_jpeg}, {"\x89PNG\r\n\x1A\n", decode_png}, {"BM", decode_bmp}};

const Format* format_of(std::string_view bytes) {
    const auto* found =
        std::ranges::find_if(kFormats, [&](const Format& format) { return bytes.starts_with(format.mark); });
    return found == std::end(kFormats) ? nullptr : found;
}

// What a file that is no image most likely is, so that the message names the cause.
std::string describe(std::string_view bytes) {
    if (bytes.starts_with("version https://git-lfs"))
        return "a Git LFS pointer, not the image itself (run `git lfs pull`)";
    const std::string head = plain(bytes.substr(0, 512));
    if (head.find("<html") != head.npos || head.find("<!doctype html") != head.npos)
        return "an HTML page, not an image (a failed download?)";
    if (bytes.starts_with("GIF8")) return "a GIF, which is not read";
    if (bytes.starts_with("II*") || bytes.starts_with("MM")) return "a TIFF, which is not read";
    if (bytes.starts_with("RIFF")) return "WebP or another RIFF file, which is not read";
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
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (const Format* format = format_of(text)) return format->decode(bytes, name, options);
    fail_with(Exit::data, name, ": ", describe(text));
}

bool begins_as_image(std::string_view first_bytes) { return format_of(first_bytes) != nullptr; }

bool named_as_image(const std::filesystem::path& file) {
    const std::string ending = plain(file.extension().string());
    return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".bmp";
}

void OtherFiles::add(const std::filesystem::path& file) {
    ++by_ending_[file.has_extension() ? printable(file.extension().string(), 20) : "without an ending"];
}

std::string OtherFiles::note() const {
    int64_t all = 0;
    std::vector<std::string> kinds;
    for (const auto& [ending, n] : by_ending_) {
        all += n;
        kinds.push_back(text(n, " ", ending));
    }
    return all == 0 ? ""
                    : text("skipped ", counted(all, "file"), all == 1 ? " that is" : " that are",
                           " no JPEG, PNG or BMP: ", list(kinds));
}

std::vector<uint8_t> read_image_file(const std::filesystem::path& path, const DecodeOptions& options) {
    // Opening a pipe would wait for its writer.
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    FP_REQUIRE(!is_other(status), Exit::data, shown(path), ": is not a regular file");
    const InputFile file(path);
    FP_REQUIRE(int64_t(file.bytes()) <= options.max_file_bytes, Exit::data, shown(path), ": ", file.bytes(),
               " bytes, over the limit of ", options.max_file_bytes);
    std::vector<uint8_t> bytes(file.bytes());
    file.read(0, std::as_writable_bytes(std::span(bytes)));
    return bytes;
}

Pixels decode_file(const std::filesystem::path& path, const DecodeOptions& options) {
    return decode(read_image_file(path, options), shown(path), options);
}

}  // namespace fp
