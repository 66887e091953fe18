// Which of several models nobody would choose: another one is at least as good in everything and better in
// something.
#pragma once

#include <vector>

namespace fp {

struct ParetoFigures {
    double accuracy = 0;                       // more is better
    double gap = 0;                            // less is better
    double latency_low = 1, latency_high = 1;  // the interval of a measured time: less is better
};

// Of two times neither is the better one where their intervals overlap. A figure that is NaN is as bad as can be.
std::vector<bool> dominated(const std::vector<ParetoFigures>&);

}  // namespace fp
