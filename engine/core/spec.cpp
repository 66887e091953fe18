#include "engine/core/spec.h"

#include <algorithm>
#include <cmath>

namespace fp {

int ModelSpec::channels(const std::string& layer, int full) const {
    const auto found = widths.find(layer);
    return found == widths.end() ? std::max(1, int(std::lround(full * width))) : found->second;
}

}  // namespace fp
