// What reports call their data.
#pragma once

#include <string>

namespace fp {

// A specification of data (engine/data/dataset.h) in few words: "generated images", "ISIC 2019", "skin.csv", "the
// folder skin".
std::string data_words(const std::string& spec);

}  // namespace fp
