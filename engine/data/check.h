// What is wrong with the files of a data set, and with its split.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
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
    std::vector<BadImage> bad;                     // by sample
    std::vector<std::vector<int64_t>> duplicates;  // samples whose files have equal bytes, two or more each
};

struct ScanOptions {
    DecodeOptions decode = {};
    bool decode_images = true;                             // else the bytes are compared only
    int threads = 0;                                       // 0: one for each hardware thread
    std::function<void(int64_t done)> progress = nullptr;  // called now and then, by one thread at a time
};

// Reads every file of the data set; the result does not depend on the number of threads. A generated data set
// has no files and nothing wrong.
FileScan scan_files(const Dataset&, const ScanOptions& = {});

// The pairs (first, other) of every set of duplicates, as draw_split takes them.
std::vector<std::pair<int64_t, int64_t>> same_side(const FileScan&);

// Sets of duplicates with files in more than one split, and such with more than one class.
std::vector<std::vector<int64_t>> parted_duplicates(const Dataset&, const FileScan&);
std::vector<std::vector<int64_t>> contradicting_duplicates(const Dataset&, const FileScan&);

}  // namespace fp
