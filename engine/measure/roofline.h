// The ceilings of a device, measured on it with the kernels a network runs on, and where a layer stands under them.
// S. Williams, A. Waterman, D. Patterson, Roofline, Communications of the ACM 52 (2009).
#pragma once

#include "engine/measure/layer_costs.h"

namespace fp {

struct Roof {
    double
        flops;  // a second: the linear op on square matrices so large that their transfer does not count
    double bytes;  // a second: the sum of two maps that no cache holds
};
// A second or less. Both problems grow until a call takes some milliseconds, so a slow device ends early and
// its caches may then hold the maps.
Roof measure_roof(const Kernels&);

// The time that work would take at the roof, and which ceiling it would touch.
struct Floor {
    double seconds;
    bool memory;  // else arithmetic
};
Floor floor_of(const Roof&, double flops, double bytes);
// Of a measured layer: its forward pass, or with its gradients where they were timed too; those are counted
// for convolutions and linear layers alone, others answer 0 then. A convolution is counted as its
// definition multiplies, so one by Winograd's transforms may need less time than its floor.
Floor floor_of(const Roof&, const LayerCost&);

}  // namespace fp
