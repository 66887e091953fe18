#include "engine/prune/sweep.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fp {
namespace {

// A model whose time is known exactly.
ParetoFigures model(double accuracy, double gap, double latency) {
    return {.accuracy = accuracy, .gap = gap, .latency_low = latency, .latency_high = latency};
}

TEST(Pareto, DominatedIsWorseInOneThingAndBetterInNone) {
    EXPECT_EQ(dominated({model(0.8, 0.1, 1), model(0.7, 0.1, 1),  // less accurate
                         model(0.7, 0.1, 0.5),                    // but faster
                         model(0.7, 0.05, 2),                     // but fairer
                         model(0.8, std::nan(""), 1)}),
              (std::vector<bool>{false, true, false, false, true}));
    EXPECT_EQ(dominated({model(0.5, 0.1, 1), model(0.5, 0.1, 1)}), (std::vector<bool>{false, false}));
}

TEST(Pareto, TimesWhoseIntervalsOverlapAreAlike) {
    const ParetoFigures accurate{0.8, 0.1, 0.89, 0.93}, quick{0.7, 0.1, 0.85, 0.90}, quicker{0.7, 0.1, 0.80, 0.88};
    EXPECT_EQ(dominated({accurate, quick}), (std::vector<bool>{false, true}));
    EXPECT_EQ(dominated({accurate, quicker}), (std::vector<bool>{false, false}));
}

}  // namespace
}  // namespace fp
