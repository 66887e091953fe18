// What is said of a search: over what its figures are means, and what its differences show.
#pragma once

#include <string>

#include "engine/prune/sweep.h"

namespace fp {

std::string tunings_text(int tunings);  // "3 tunings of one network"
// Over what the figures of a search with so many runs per point are means, and how to have other trainings.
std::string figures_text(int tunings);
// Of a test: "smaller gap", "larger gap", or which changes are not excluded and whether a fall could have passed. Empty
// where nothing was tested.
std::string words(const GapDifference&);
// How many tests there are and which |t| the first needs; why there is none.
std::string tests_text(const SweepResult&);

}  // namespace fp
