#include "engine/io/zip.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace fp {
namespace {

constexpr uint64_t kMostEntries = 200'000, kMostDirectory = 64 << 20;
constexpr uint64_t kEndBytes = 22, kLocatorBytes = 20, kEnd64Bytes = 56, kEntryBytes = 46, kHeaderBytes = 30;
constexpr uint64_t kMostComment = 0xFFFF;
constexpr uint32_t kEnd = 0x06054b50, kLocator = 0x07064b50, kEnd64 = 0x06064b50, kEntry = 0x02014b50,
                   kHeader = 0x04034b50;

// A little-endian number at a place that the caller has checked.
template <class T>
T number_at(std::span<const std::byte> bytes, uint64_t at) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    return value;
}

struct Directory {
    uint64_t begin = 0, bytes = 0, entries = 0;
};

// The record at the end of the file, which a comment may follow.
Directory find_directory(const ByteSource& source, const std::string& file) {
    const uint64_t tail_bytes = std::min(source.bytes, kEndBytes + kMostComment);
    const uint64_t tail_begin = source.bytes - tail_bytes;
    const Bytes tail = read_part(source, tail_begin, tail_bytes);
    for (uint64_t at = tail_bytes < kEndBytes ? 0 : tail_bytes - kEndBytes + 1; at-- > 0;) {
        if (number_at<uint32_t>(tail, at) != kEnd) continue;
        const uint64_t end = tail_begin + at;
        Directory out{.begin = number_at<uint32_t>(tail, at + 16),
                      .bytes = number_at<uint32_t>(tail, at + 12),
                      .entries = number_at<uint16_t>(tail, at + 10)};
        FP_REQUIRE(number_at<uint16_t>(tail, at + 4) == number_at<uint16_t>(tail, at + 6), Exit::model, file,
                   ": is a part of a zip archive in several");
        if (end >= kLocatorBytes) {
            const Bytes locator = read_part(source, end - kLocatorBytes, kLocatorBytes);
            if (number_at<uint32_t>(locator, 0) == kLocator) {
                const auto place = number_at<uint64_t>(locator, 8);
                FP_REQUIRE(place <= end && end - place >= kEnd64Bytes, Exit::model, file,
                           ": its zip64 record is said to lie at ", place, " of ", source.bytes, " bytes");
                const Bytes record = read_part(source, place, kEnd64Bytes);
                FP_REQUIRE(number_at<uint32_t>(record, 0) == kEnd64, Exit::model, file, ": no zip64 record at ", place);
                out = {.begin = number_at<uint64_t>(record, 48),
                       .bytes = number_at<uint64_t>(record, 40),
                       .entries = number_at<uint64_t>(record, 32)};
            }
        }
        FP_REQUIRE(out.begin <= end && out.bytes <= end - out.begin, Exit::model, file,
                   ": its directory is said to lie at ", out.begin, " with ", out.bytes, " bytes, before ", end);
        FP_REQUIRE(out.bytes <= kMostDirectory && out.entries <= kMostEntries, Exit::model, file, ": a directory of ",
                   out.entries, " entries and ", out.bytes, " bytes; ", kMostEntries, " and ", kMostDirectory,
                   " are allowed");
        return out;
    }
    fail_with(Exit::model, file, ": a zip archive without its directory; it was cut off, or is none");
}

// The sizes and the place that stand in an extra field of kind 1 where the record has no room: in this order, only
// those that are full.
void read_zip64(std::span<const std::byte> extra, std::array<uint64_t, 3>& values, const std::string& where) {
    while (extra.size() >= 4) {
        const auto kind = number_at<uint16_t>(extra, 0), bytes = number_at<uint16_t>(extra, 2);
        FP_REQUIRE(bytes <= extra.size() - 4, Exit::model, where, "an extra field of ", bytes, " bytes, of which ",
                   extra.size() - 4, " are there");
        uint64_t at = 4;
        for (uint64_t& value : values) {
            if (kind != 1 || value != 0xFFFFFFFF) continue;
            FP_REQUIRE(at + 8 <= 4u + bytes, Exit::model, where, "a zip64 field that is too short");
            value = number_at<uint64_t>(extra, at);
            at += 8;
        }
        extra = extra.subspan(4u + bytes);
    }
}

// Where the content begins: behind the header, which repeats the name.
uint64_t content_of(const ByteSource& source, uint64_t header, const std::string& name, const std::string& where) {
    FP_REQUIRE(header <= source.bytes && source.bytes - header >= kHeaderBytes, Exit::model, where,
               "its header is said to lie at ", header, " of ", source.bytes, " bytes");
    const Bytes fixed = read_part(source, header, kHeaderBytes);
    FP_REQUIRE(number_at<uint32_t>(fixed, 0) == kHeader, Exit::model, where, "no header at ", header);
    const auto name_bytes = number_at<uint16_t>(fixed, 26), extra_bytes = number_at<uint16_t>(fixed, 28);
    FP_REQUIRE(source.bytes - header - kHeaderBytes >= uint64_t(name_bytes) + extra_bytes, Exit::model, where,
               "its header at ", header, " is cut off");
    const Bytes repeated = read_part(source, header + kHeaderBytes, name_bytes);
    FP_REQUIRE(std::ranges::equal(repeated, as_bytes(name)), Exit::model, where, "its header at ", header,
               " has another name");
    return header + kHeaderBytes + name_bytes + extra_bytes;
}

void check_overlaps(std::vector<ZipEntry> entries, const std::string& file) {
    std::ranges::sort(entries, {}, [](const ZipEntry& e) { return std::pair(e.begin, e.bytes); });
    for (size_t i = 1; i < entries.size(); ++i)
        FP_REQUIRE(entries[i].begin - entries[i - 1].begin >= entries[i - 1].bytes, Exit::model, file, ": entries ",
                   printable(entries[i - 1].name), " and ", printable(entries[i].name), " overlap at ",
                   entries[i].begin);
}

}  // namespace

ByteSource source_of(const InputFile& file) {
    return {.bytes = file.bytes(), .read = [&file](uint64_t at, std::span<std::byte> out) { file.read(at, out); }};
}

ByteSource source_of(std::span<const std::byte> bytes) {
    return {.bytes = bytes.size(), .read = [bytes](uint64_t at, std::span<std::byte> out) {
                std::ranges::copy(bytes.subspan(at, out.size()), out.begin());
            }};
}

Bytes read_part(const ByteSource& source, uint64_t at, uint64_t bytes) {
    FP_CHECK(at <= source.bytes && bytes <= source.bytes - at, "bytes ", at, " to ", at + bytes, " of ", source.bytes);
    Bytes out(bytes);
    source.read(at, out);
    return out;
}

std::vector<ZipEntry> zip_entries(const ByteSource& source, const std::string& file) {
    const Directory directory = find_directory(source, file);
    const Bytes records = read_part(source, directory.begin, directory.bytes);
    std::vector<ZipEntry> out;
    uint64_t at = 0;
    for (uint64_t i = 0; i < directory.entries; ++i) {
        FP_REQUIRE(records.size() - at >= kEntryBytes && number_at<uint32_t>(records, at) == kEntry, Exit::model, file,
                   ": entry ", i, " of ", directory.entries, " is missing in the directory");
        const std::span<const std::byte> record = std::span(records).subspan(at);
        const auto name_bytes = number_at<uint16_t>(record, 28), extra_bytes = number_at<uint16_t>(record, 30),
                   comment_bytes = number_at<uint16_t>(record, 32);
        const uint64_t record_bytes = kEntryBytes + name_bytes + extra_bytes + comment_bytes;
        FP_REQUIRE(record_bytes <= record.size(), Exit::model, file, ": entry ", i, " of the directory is cut off");
        const std::string name(reinterpret_cast<const char*>(record.data()) + kEntryBytes, name_bytes);
        const std::string where = text(file, ": entry ", printable(name), ": ");
        std::array<uint64_t, 3> values{number_at<uint32_t>(record, 24), number_at<uint32_t>(record, 20),
                                       number_at<uint32_t>(record, 42)};
        read_zip64(record.subspan(kEntryBytes + name_bytes, extra_bytes), values, where);
        const auto [bytes, stored_bytes, header] = values;
        const auto flags = number_at<uint16_t>(record, 8), method = number_at<uint16_t>(record, 10);
        FP_REQUIRE((flags & 1) == 0, Exit::model, where, "is encrypted");
        FP_REQUIRE(method == 0 && bytes == stored_bytes, Exit::model, where, "is compressed (method ", method,
                   "); torch.save stores its entries as they are");
        const uint64_t begin = content_of(source, header, name, where);
        FP_REQUIRE(begin <= source.bytes && bytes <= source.bytes - begin, Exit::model, where, "lies at ", begin,
                   " with ", bytes, " bytes, of ", source.bytes);
        out.push_back({name, begin, bytes, number_at<uint32_t>(record, 16)});
        at += record_bytes;
    }
    check_overlaps(out, file);
    return out;
}

Bytes read_entry(const ByteSource& source, const ZipEntry& entry, const std::string& file) {
    Bytes out = read_part(source, entry.begin, entry.bytes);
    const uint32_t found = entry.crc == 0 ? 0 : crc32(out);
    FP_REQUIRE(found == entry.crc, Exit::model, file, ": entry ", printable(entry.name), " is damaged: its CRC-32 is ",
               found, ", saved was ", entry.crc);
    return out;
}

uint32_t crc32(std::span<const std::byte> bytes) {
    // tables[k][b]: the remainder of byte b with k zero bytes behind it, so that eight bytes go in one step.
    static const auto tables = [] {
        std::array<std::array<uint32_t, 256>, 8> t{};
        for (uint32_t b = 0; b < 256; ++b) {
            uint32_t rest = b;
            for (int bit = 0; bit < 8; ++bit) rest = rest & 1 ? 0xEDB88320 ^ (rest >> 1) : rest >> 1;
            t[0][b] = rest;
        }
        for (uint32_t b = 0; b < 256; ++b)
            for (int k = 1; k < 8; ++k) t[k][b] = (t[k - 1][b] >> 8) ^ t[0][t[k - 1][b] & 0xFF];
        return t;
    }();
    uint32_t rest = ~0u;
    size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        const uint64_t word = number_at<uint64_t>(bytes, i) ^ rest;
        rest = 0;
        for (int k = 0; k < 8; ++k) rest ^= tables[7 - k][(word >> (8 * k)) & 0xFF];
    }
    for (; i < bytes.size(); ++i) rest = (rest >> 8) ^ tables[0][(rest ^ uint32_t(bytes[i])) & 0xFF];
    return ~rest;
}

}  // namespace fp
