// A search, a scan or scores as text for a terminal, within 80 columns, and as CSV.
#pragma once

#include <string>

#include "engine/prune/scan.h"
#include "engine/prune/sweep.h"

namespace fp {

std::string to_text(const SweepResult&);
std::string to_csv(const SweepResult&);  // pareto.csv: a row per run

std::string to_text(const RankTable&);

std::string to_text(const ScanResult&);
std::string to_csv(const ScanResult&);  // scan.csv: a row per point

}  // namespace fp
