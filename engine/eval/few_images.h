// A few images of a data set that stand for all.
#pragma once

#include "engine/eval/predict.h"

namespace fp {

// `each` images of every split, or all that it has: one after another of each class in each group of the attributes
// (specifications of engine/fairness/grouping.h), in the order of the data set. Reads from the same source; images that
// cannot be read are not noted.
ImageData few_images(const ImageData&, const std::vector<std::string>& attributes, int64_t each);

}  // namespace fp
