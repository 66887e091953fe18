// Decoded images of a data set at training size, so that every file is decoded once: in memory, in the order of their
// first use, or in one file that is written beforehand and mapped.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/data/decode/decode.h"
#include "engine/io/files.h"

namespace fp {

// Keeps images until they take `most_bytes`; later ones are not kept. Nothing is evicted, since every epoch reads all
// of them. Thread-safe.
class MemoryCache {
public:
    explicit MemoryCache(int64_t most_bytes) : most_bytes_(most_bytes) {}

    // nullopt if it is not kept.
    std::optional<PixelView> find(int64_t sample) const;

    void keep(int64_t sample, Pixels image);

    int64_t kept() const;  // images

private:
    mutable std::shared_mutex mutex_;
    std::unordered_map<int64_t, Pixels> images_;
    const int64_t most_bytes_;
    int64_t bytes_ = 0;
};

// What a cache file holds: `count` images with a short side of `side`, and its key: 32 hex digits, the hash of all that
// the pixels depend on.
struct CacheId {
    std::string key;
    int side;
    int64_t count;
};

// A file of images:
//
//   "fpimages"  u32 version  u32 side  u64 count  32 characters of key         little-endian
//   the pixels, image after image
//   count times  u64 offset  u32 width  u32 height                              0 x 0: the image is bad
//   32 characters, XXH3-128 of all that
class CacheFile {
public:
    // nullopt if there is no file, or if it has another id or version or is damaged. Reads the whole file to check its
    // hash.
    static std::optional<CacheFile> open(const std::filesystem::path&, const CacheId&);

    static constexpr int64_t kBlock = 256;  // images in memory at a time while a file is written

    // Writes the images that `make` gives for samples 0 .. count - 1, on `workers` threads (0: all); one that throws an
    // Error with Exit::data is noted as bad. `progress` may be empty; it is called by any thread, one at a time, but with
    // the multiples of kBlock by the calling one.
    static void write(const std::filesystem::path&,
                      const CacheId&,
                      const std::function<Pixels(int64_t sample)>& make,
                      int workers,
                      const std::function<void(int64_t done)>& progress);

    // nullopt for a bad image.
    std::optional<PixelView> find(int64_t sample) const;

private:
    struct Record {
        uint64_t offset;
        uint32_t width, height;
    };
    MappedFile file_;
    std::vector<Record> records_;
};

}  // namespace fp
