// Which of several models nobody would choose: another one is at least as good in everything and better in
// something.
#pragma once

#include <vector>

namespace fp {

struct ParetoFigures {
    double accuracy = 0;  // more is better
    double gap = 0;       // less is better
    double latency = 1;   // less is better
};

// A figure that is NaN is as bad as can be.
std::vector<bool> dominated(const std::vector<ParetoFigures>&);

}  // namespace fp
