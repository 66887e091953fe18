// A data set together with its images.
#pragma once

#include <filesystem>
#include <string>

#include "engine/eval/predict.h"

namespace fp {

struct OpenOptions {
    int image_size = 128;
    DatasetOptions dataset = {};       // `classes`: of a checkpoint, whose order is kept
    std::filesystem::path cache = {};  // folder of a file of decoded images; empty: memory only
};

// `spec` as open_dataset takes it. Images are decoded once and kept. Exit::usage for an empty specification.
ImageData open_images(const std::string& spec, const OpenOptions&);

// "3 images were skipped as unreadable, the first: a.jpg: ..."; empty where all were read.
std::string skipped_text(const ImageData&);

// bad_images.csv: image,reason. Nothing is written where all images were read.
void write_bad_images(const std::filesystem::path& file, const ImageData&);

}  // namespace fp
