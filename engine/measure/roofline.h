// The roofline of a device, measured with the kernels that a network runs on, and the least time that a layer can take
// under it. S. Williams, A. Waterman, D. Patterson, Roofline, Communications of the ACM 52 (2009).
#pragma once

#include <memory>
#include <vector>

#include "engine/measure/layer_costs.h"

namespace fp {

struct Roofline {
    // Bandwidth by working-set size: a sum of two maps; small ones stay in a cache.
    struct Level {
        double moved;  // bytes per call
        double bytes;  // per second
    };
    double flops;               // per second: the linear op on square matrices so large that moving them does not count
    std::vector<Level> levels;  // from the smallest

    // Bytes per second where a call moves so many: those of the largest level that moves no more.
    double bytes(double moved) const;
};
// Of each rate the larger one; both have the same levels.
Roofline faster_of(const Roofline&, const Roofline&);

// Measures the roof, again and again in turns with what is set against it.
class RoofProbe {
public:
    explicit RoofProbe(const Kernels&);
    ~RoofProbe();
    Roofline measure();  // some 30 ms; longer on a slow device

private:
    struct State;
    std::unique_ptr<State> state_;
};

// The number of calls, 1 to 1000, that take so many seconds; 1000 where a coarse clock saw no time pass during one.
int calls_for(double seconds, double of_one);

// The time that work takes at the roofline, and the limit that decides.
struct LowerBound {
    double seconds;
    bool memory;  // else arithmetic
};
LowerBound lower_bound(const Roofline&, double flops, double bytes);
// Of a measured layer: its forward pass, and its gradients where they were timed too. Gradients are counted for
// convolutions and linear layers alone; other layers get 0 then. Counted is what ran (LayerCost::executed_macs).
LowerBound lower_bound(const Roofline&, const LayerCost&);

}  // namespace fp
