// The images of a data set for the loader: decoded or generated once, scaled so that the short side has the training
// size, kept in memory or in a cache file, and cropped to a square for each use.
//
// A long side of more than kLongest times the short one is cut to that at both ends. Crop::resized crops the image at
// training size, so that the bytes do not depend on what was cached.
#pragma once

#include <filesystem>
#include <optional>

#include "engine/data/cache.h"
#include "engine/data/dataset.h"
#include "engine/data/loader.h"
#include "engine/io/steps.h"
#include "engine/parallel/comm.h"

namespace fp {

constexpr int kLongest = 4;

// An image at its own size, decoded or generated.
Pixels read_image(const Dataset&, int64_t sample, const DecodeOptions& = {});

struct ImageOptions {
    int image_size = 224;
    DecodeOptions decode = {};
    // For images in memory; -1: a quarter of what the process may use, which ranks of one host divide; 0: none.
    int64_t memory_bytes = -1;
    std::filesystem::path cache = {};  // the folder of the cache file, created if missing; empty: none
    Steps progress = {};               // while a cache file is written; may be empty
    // Of a run, which open the same data set at the same time, so that one of them writes the cache file. Null: none.
    const Comm* ranks = nullptr;
};

class DatasetImages {
public:
    // Keeps a reference to `data`. With a cache folder, writes the cache file unless a fitting one is there: of several
    // ranks the first one, and then, where a host does not see that file, the first rank of that host. The others wait,
    // with no call to a rank that takes longer than a block of images.
    DatasetImages(const Dataset& data, const ImageOptions& options);

    // As ImageSource has it; `side` must be the image size.
    void read(int64_t sample, const View& view, int side, uint8_t* rgb);

    // Whether nothing has to be decoded any more: a few loader threads are then enough.
    bool all_cached() const;

    // The cache file, and whether this object wrote it; empty without one.
    const std::filesystem::path& cache_file() const { return cache_path_; }
    bool wrote_cache() const { return wrote_cache_; }

private:
    Pixels make(int64_t sample) const;
    std::string key() const;
    void open_cache(const Comm& ranks);

    const Dataset& data_;
    const ImageOptions options_;
    MemoryCache memory_;
    std::optional<CacheFile> file_;
    std::filesystem::path cache_path_;
    bool wrote_cache_ = false;
};

}  // namespace fp
