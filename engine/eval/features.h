// The feature maps of chosen layers over a calibration set: what channels are scored on. Evaluation mode,
// evaluation transform; nothing in the network moves.
#pragma once

#include "engine/eval/predict.h"

namespace fp {

// Where a layer is looked at: the convolution's own output, behind its norm, or behind addition and ReLU.
enum class Tap { convolution, norm, activation };
Tap parse_tap(const std::string&);
const char* name(Tap);

// What a tape must be asked for so that its rows can be tapped there.
Rows rows_for(Tap);

// The row at which `layer` is tapped: the last norm or ReLU that its channels reach through norms and
// additions alone; the nearer row where there is none.
Var tap_row(const std::vector<Node>& rows, const std::string& layer, Tap tap);

// Samples in order, one after another in the backend's layout.
struct Features {
    std::string layer;
    Map map;  // n = all samples
    Buffer data;
};

// One pass over the samples for all layers whose maps fit in `budget_bytes` together, as many passes as
// that takes; `visit` gets each layer's features once and may not keep them.
void for_each_layer(Session&,
                    const Preprocessing&,
                    const ImageData&,
                    const std::vector<int64_t>& samples,
                    const std::vector<std::string>& layers,
                    Tap tap,
                    const PredictOptions&,
                    size_t budget_bytes,
                    const std::function<void(Features&)>& visit);

// Subtracts the mean map: x[i,c,:,:] -= mean over i.
void centre(const Kernels&, Features&);

}  // namespace fp
