// How long each op of a network takes on its device.
#pragma once

#include "engine/measure/layer_costs.h"

namespace fp {

struct ProfileOptions {
    int batch_size = 32;
    int image_size = 64;
    Mode mode = Mode::infer;  // train: forward, loss and backward
    int passes = 5;           // after two to warm up
};

// Each row's fastest time of several passes, with the work of the whole batch.
std::vector<LayerCost> profile(Network&, const ProfileOptions&);

}  // namespace fp
