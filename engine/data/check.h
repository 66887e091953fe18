// Scans of the files of a data set: unreadable images, duplicates, and statistics of sizes and colours.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/data/decode/decode.h"

namespace fp {

struct BadImage {
    int64_t sample;
    bool missing;        // there is no such file; else it cannot be read or decoded
    std::string reason;  // with the path
};

struct FileScan {
    std::vector<BadImage> bad = {};  // by sample
    SampleSets duplicates = {};      // samples whose files have equal bytes, two or more each
    SampleSets parted = {};          // those of them in more than one split
    SampleSets contradicting = {};   // those of them of more than one class
};

struct ScanOptions {
    DecodeOptions decode = {};
    bool decode_images = true;                             // else only their bytes are compared
    int threads = 0;                                       // 0: one per hardware thread
    std::function<void(int64_t done)> progress = nullptr;  // called from time to time, by one thread at a time
};

// Reads every file of the data set; the result does not depend on the number of threads. A generated data set
// has no files and nothing wrong.
FileScan scan_files(const Dataset&, const ScanOptions& = {});

struct PixelStats {
    int64_t images = 0;  // that were read
    int64_t bad = 0;     // that could not be read
    int least_width = 0, most_width = 0, least_height = 0, most_height = 0;
    std::array<double, 3> mean{}, std{};  // of red, green, blue in [0,1], every pixel counting once
};

// Every pixel of every image of a split at its own size. Sums are of integers, so their order does not matter.
PixelStats measure_pixels(const Dataset&, Split, const ScanOptions& = {});

}  // namespace fp
