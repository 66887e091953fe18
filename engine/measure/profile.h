// A network looked at row by row: how long each op takes on its device, and a file that a trace viewer opens.
#pragma once

#include <string>

#include "engine/measure/layer_costs.h"

namespace fp {

struct ProfileOptions {
    int batch_size = 32;
    int image_size = 64;
    Mode mode = Mode::infer;  // train: forward, loss and backward
    int passes = 5;           // after two to warm up
};

// Each row's fastest time of several passes; figures are of the whole batch.
std::vector<LayerCost> profile(Network&, const ProfileOptions&);

// Rows of several networks, one process each, as Chrome's trace viewer and Perfetto read them: forward from
// the top, then backward from the bottom where there is one.
struct NamedProfile {
    std::string name;
    std::vector<LayerCost> rows;
};
nlohmann::ordered_json chrome_trace(const std::vector<NamedProfile>&);

}  // namespace fp
