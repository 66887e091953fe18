// Lines that the texts of an evaluation share.
#pragma once

#include <string>

#include "engine/report/evaluation.h"

namespace fp {

std::string samples_text(const Report&);     // how many samples, units and resamples
std::string judged_text(const Evaluation&);  // which images, and how often their split was read; may be empty
std::string threshold_text(const Threshold&);

}  // namespace fp
