// The roofline of a device, measured with the kernels that a network runs on, and the least time that a layer can take
// under it. S. Williams, A. Waterman, D. Patterson, Roofline, Communications of the ACM 52 (2009).
#pragma once

#include "engine/measure/layer_costs.h"

namespace fp {

struct Roofline {
    double flops;  // per second: the linear op on square matrices so large that moving them does not count
    double bytes;  // per second: the sum of two maps that no cache holds
};
// Takes a second or less. Both problems grow until a call takes some milliseconds, so on a slow device the caches may
// still hold the maps.
Roofline measure_roofline(const Kernels&);

// The time that work takes at the roofline, and the limit that decides.
struct LowerBound {
    double seconds;
    bool memory;  // else arithmetic
};
LowerBound lower_bound(const Roofline&, double flops, double bytes);
// Of a measured layer: its forward pass, and its gradients where they were timed too. Gradients are counted for
// convolutions and linear layers alone; other layers get 0 then. A convolution counts as many products as its
// definition has, so one by Winograd's transforms may take less time than this.
LowerBound lower_bound(const Roofline&, const LayerCost&);

}  // namespace fp
