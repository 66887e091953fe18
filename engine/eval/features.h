// The feature maps of chosen layers over a calibration set, on which channels are scored: evaluation mode, evaluation
// transform, no change to the network.
//
// Of several ranks each runs the network on its part of the samples and is then given its part of every layer's channels,
// for all samples, with the bits that one rank has (channel_shards.h).
#pragma once

#include "engine/eval/predict.h"

namespace fp {

// Where a layer's output is read: behind the convolution itself, behind its norm, or behind addition and ReLU.
enum class Tap { convolution, norm, activation };
Tap parse_tap(const std::string&);
const char* name(Tap);

// The rows that a tape must record for this tap.
Rows rows_for(Tap);

// The row at which `layer` is tapped: the last norm or ReLU that its channels reach through norms and
// additions alone; the nearer row where there is none.
Var tap_row(const std::vector<Node>& rows, const std::string& layer, Tap tap);

// Samples in order, one after another in the backend's layout.
struct Features {
    std::string layer;
    Map map;  // c: this rank's channels, perhaps none
    Buffer data;
    std::vector<int64_t> samples = {};  // map.n of them: those of the pass without images that were skipped
    int of_channels = 0;                // of the whole layer; 0: map.c
};

// One pass over the samples for all layers whose maps fit in `budget_bytes` of each rank together, as many passes as
// that takes; `visit` gets each layer's features once and may not keep them. It is called at the same time on every rank
// and may call Comm; what it does between calls is to be within agree(). Exit::data where no image can be read.
void for_each_layer(const Pass&,
                    const std::vector<std::string>& layers,
                    Tap tap,
                    size_t budget_bytes,
                    const std::function<void(Features&)>& visit);

// Subtracts from every sample the mean map of those with a label (>= 0): x[i,c,:,:] -= mean over these.
void centre(const Kernels&, Features&, const std::vector<int32_t>& labels);

}  // namespace fp
