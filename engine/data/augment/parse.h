// Augmentation as text.
#pragma once

#include <string>

#include "engine/data/augment/augment.h"

namespace fp {

// "none", "flips", "paper", or a list of name=value with + between: "flips+shift=4+cutout=16". Exit::usage for
// another word.
AugmentOptions parse_augment(const std::string&);

}  // namespace fp
