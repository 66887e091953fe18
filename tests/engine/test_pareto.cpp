#include "engine/prune/pareto.h"

#include <gtest/gtest.h>

#include <cmath>

namespace fp {
namespace {

TEST(Pareto, DominatedIsWorseInOneThingAndBetterInNone) {
    EXPECT_EQ(dominated({{.accuracy = 0.8, .gap = 0.1, .latency = 1},
                         {.accuracy = 0.7, .gap = 0.1, .latency = 1},    // less accurate
                         {.accuracy = 0.7, .gap = 0.1, .latency = 0.5},  // but faster
                         {.accuracy = 0.7, .gap = 0.05, .latency = 2},   // but fairer
                         {.accuracy = 0.8, .gap = std::nan(""), .latency = 1}}),
              (std::vector<bool>{false, true, false, false, true}));
    EXPECT_EQ(dominated({{0.5, 0.1, 1}, {0.5, 0.1, 1}}), (std::vector<bool>{false, false}));
}

}  // namespace
}  // namespace fp
