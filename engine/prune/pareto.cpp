#include "engine/prune/pareto.h"

#include <cmath>
#include <limits>

namespace fp {
namespace {

double cost(double v) { return std::isnan(v) ? std::numeric_limits<double>::infinity() : v; }

bool dominates(const ParetoFigures& a, const ParetoFigures& b) {
    const double accuracy = cost(-a.accuracy), other_accuracy = cost(-b.accuracy);
    const double gap = cost(a.gap), other_gap = cost(b.gap);
    const bool faster = cost(a.latency_high) < cost(b.latency_low);
    const bool slower = cost(b.latency_high) < cost(a.latency_low);
    return accuracy <= other_accuracy && gap <= other_gap && !slower &&
           (accuracy < other_accuracy || gap < other_gap || faster);
}

}  // namespace

std::vector<bool> dominated(const std::vector<ParetoFigures>& all) {
    std::vector<bool> out;
    for (const ParetoFigures& own : all) {
        bool beaten = false;
        for (const ParetoFigures& other : all) beaten = beaten || dominates(other, own);
        out.push_back(beaten);
    }
    return out;
}

}  // namespace fp
