// The time of each layer of several networks, which take turns with each other and with the roof: load from elsewhere
// then affects all alike.
#pragma once

#include "engine/io/steps.h"
#include "engine/measure/roofline.h"
#include "engine/measure/stopwatch.h"

namespace fp {

// The median of a few values and the interval that holds the median of all that might come, with at least 95 %: order
// statistics, binomial ranks. With fewer than six values it is their whole range, which holds it less often.
Estimate median_of(std::vector<double> values);

struct TimedRow {
    LayerCost cost;  // times are medians
    Estimate seconds{};
    Ratio of_roof{};        // the lower bound over the time, pass by pass; 0: no bound
    Ratio against_first{};  // this row's time over the same row's of the first network; 0: that has other rows
    bool memory = false;    // what bounds it
};

struct TimedTable {
    std::string name;
    std::vector<TimedRow> rows;
};

struct TimedLayers {
    Roofline roof = {};  // medians
    std::vector<TimedTable> tables = {};
};

TimedLayers time_layers(const std::vector<Network*>&,
                        const std::vector<std::string>& names,
                        const ProfileOptions&,
                        const Steps& progress = {});

}  // namespace fp
