// Images without labels, to be predicted.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "engine/data/dataset.h"

namespace fp {

// A data set without labels, attributes and splits of what the words name, in their order:
//
//   an image file    itself
//   a folder         the images in it and below, in the order of their paths; hidden files are left out
//   a text file      a path per line, from the working folder
//   -                the same, from `in`
//
// In a folder an image is what begins as one or is named as one (engine/data/decode/decode.h); the other files are
// counted in a note. A path that is named again is left out. Exit::data where a word names no file, a file of a list is
// missing, unless `missing_allowed`, or no image is left.
Dataset unlabelled_images(const std::vector<std::string>& words, std::istream& in, bool missing_allowed = false);

}  // namespace fp
