// Whole tensors of two engines beside each other, element by element in logical order.
#pragma once

#include <nlohmann/json.hpp>

#include "bench/worker/work.h"

namespace fp {

// {elements, rms, worst (both over the reference's root mean square), wrong, unwritten (NaN), and where something is
// wrong: first (the place, got, want), by_channel_mod_64, by_pixel_mod_128, by_tile (128 pixels x 64 channels)}.
// An element is wrong where it is off by more than `tolerance` root mean squares and `tolerance` / 2 of its own value.
nlohmann::json compare(
    const Kernels& ours, const Output& got, const Kernels& theirs, const Output& want, double tolerance);

// NaNs among the logical elements.
int64_t unwritten(const Kernels&, const Output&);

}  // namespace fp
