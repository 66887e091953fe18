// The commands of fp_data. Each prints its result on stdout (text, or one JSON document with --json) and returns the
// exit code.
#pragma once

#include <string>
#include <vector>

#include "engine/data/dataset.h"
#include "tools/options.h"

namespace fp {

struct DataRequest {
    std::string spec = {};
    std::vector<std::string> attributes = {};
    DatasetOptions dataset = {};
    std::string out = {};
    bool allow_bad = false, allow_damaged = false;
    bool duplicates = true, pixels = false;
    int threads = 0;
    int image_size = 224;
};

// Prints counts, missing, unreadable and equal files, and the units and equal files on two sides of the split.
// Exit::data for bad images (unless allow_bad) and for leaks (unless dataset.allow_leak), after everything is printed.
int check_data(const DataRequest&, const Options&);

// Prints counts, and with `pixels` the sizes, mean and standard deviation of the training images.
int count_data(const DataRequest&, const Options&);

// Writes a new 60/20/20 split as CSV to `out` or stdout; with `duplicates` equal files stay together.
int split_data(const DataRequest&, const Options&);

// Writes the images of a synth: specification to out/images/*.png, with out/dataset.csv. A folder with files in it is
// refused.
int write_synth(const DataRequest&, const Options&);

// Writes the decoded images at image_size to a file in the folder `out`, which fp_train maps.
int cache_data(const DataRequest&, const Options&);

}  // namespace fp
