// Images to time a network with: random, since zeros make some arithmetic faster than it is.
#pragma once

#include "engine/core/memory.h"

namespace fp {

// The network's input for `map`, on the device, about uniform in [-2, 2].
Buffer random_images(const Kernels&, const Map& map);

}  // namespace fp
