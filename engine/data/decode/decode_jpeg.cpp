#include <turbojpeg.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine/data/decode/decode_formats.h"
#include "kernels/error.h"

namespace fp {
namespace {

// Whether an APP14 "Adobe" segment stands before the first scan: its CMYK values are stored inverted.
bool has_adobe_marker(std::span<const uint8_t> bytes) {
    for (size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF;) {
        const int marker = bytes[at + 1];
        if (marker == 0xDA) return false;
        if (marker == 0xFF) {  // fill byte
            ++at;
            continue;
        }
        const size_t length = size_t(bytes[at + 2]) << 8 | bytes[at + 3];
        if (marker == 0xEE && length >= 14 && at + 9 <= bytes.size() && std::memcmp(&bytes[at + 4], "Adobe", 5) == 0)
            return true;
        at += 2 + length;
    }
    return false;
}

// a b / 255, rounded, for 8-bit a and b.
uint8_t times(int a, int b) {
    const int product = a * b + 128;
    return uint8_t((product + (product >> 8)) >> 8);
}

}  // namespace

Pixels decode_jpeg(std::span<const uint8_t> bytes, const std::string& name, const DecodeOptions& options) {
    // One per image: it keeps Huffman and quantisation tables, and after an error its position in the bad file, so a
    // second image would depend on the first. Creating one takes 0.3 us.
    const std::unique_ptr<void, int (*)(void*)> decompressor(tjInitDecompress(), tjDestroy);
    FP_CHECK(decompressor, "TurboJPEG: ", tjGetErrorStr2(nullptr));
    tjhandle const handle = decompressor.get();
    int width = 0, height = 0, subsampling = 0, colours = 0;
    const int header = tjDecompressHeader3(handle, bytes.data(), bytes.size(), &width, &height, &subsampling, &colours);
    FP_REQUIRE(header == 0, Exit::data, name, ": JPEG: ", tjGetErrorStr2(handle));
    require_size(width, height, options.max_pixels, name);

    const bool cmyk = colours == TJCS_CMYK || colours == TJCS_YCCK;
    FP_REQUIRE(!cmyk || has_adobe_marker(bytes), Exit::data, name,
               ": CMYK JPEG without Adobe's marker: whether it is inverted is not known");
    const int format = cmyk ? TJPF_CMYK : TJPF_RGB;
    int flags = TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS;
    if (!options.allow_damaged) flags |= TJFLAG_STOPONWARNING;

    Pixels out{.width = width, .height = height, .rgb = {}};
    out.rgb.resize(size_t(width) * height * tjPixelSize[format]);
    const int result =
        tjDecompress2(handle, bytes.data(), bytes.size(), out.rgb.data(), width, 0, height, format, flags);
    const bool tolerated = options.allow_damaged && tjGetErrorCode(handle) == TJERR_WARNING;
    FP_REQUIRE(result == 0 || tolerated, Exit::data, name, ": JPEG: ", tjGetErrorStr2(handle));

    if (cmyk) {
        for (size_t i = 0; i < out.rgb.size() / 4; ++i) {
            const uint8_t* inks = &out.rgb[4 * i];  // 255 - ink
            const std::array pixel = {times(inks[0], inks[3]), times(inks[1], inks[3]), times(inks[2], inks[3])};
            std::copy(pixel.begin(), pixel.end(), &out.rgb[3 * i]);
        }
        out.rgb.resize(out.rgb.size() / 4 * 3);
    }
    return out;
}

}  // namespace fp
