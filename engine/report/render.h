// A report as text for 80 columns.
#pragma once

#include <string>

#include "engine/report/evaluation.h"

namespace fp {

// Sensitivity (TPR) and specificity (1 - FPR) of one class, of all samples and of each group.
std::string sensitivity_text(const Report&, int of_class);

std::string to_text(const Report&);
std::string to_text(const Comparison&);
std::string to_text(const Evaluation&);
std::string to_text(const AtThreshold&);

}  // namespace fp
