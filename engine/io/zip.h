// Zip archives whose entries are stored, not compressed (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT ),
// with zip64. The central directory at the end says where an entry lies; the header before the entry must agree.
//
// Sizes are checked against the file's before anything is allocated, and no two entries may share a byte. Whatever is
// wrong is an Error with Exit::model that names the file.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "engine/io/files.h"

namespace fp {

// Bytes that are read in parts: an open file, or memory.
struct ByteSource {
    uint64_t bytes = 0;
    std::function<void(uint64_t at, std::span<std::byte> out)> read = {};
};
ByteSource source_of(const InputFile&);            // which must outlive it
ByteSource source_of(std::span<const std::byte>);  // likewise
Bytes read_part(const ByteSource&, uint64_t at, uint64_t bytes);

struct ZipEntry {
    std::string name;
    uint64_t begin = 0, bytes = 0;  // of the entry's content
    uint32_t crc = 0;               // 0: none was computed
};

// In the order of the file. At most 200,000 entries and 64 MiB of directory.
std::vector<ZipEntry> zip_entries(const ByteSource&, const std::string& file);

// An entry's content; it must have the CRC-32 that the archive says, where it says one.
Bytes read_entry(const ByteSource&, const ZipEntry&, const std::string& file);

uint32_t crc32(std::span<const std::byte> bytes);  // zip's: polynomial 0xEDB88320, reflected

}  // namespace fp
