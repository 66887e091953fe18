// What ranks return to each other from work that may fail (engine/parallel/agreement.h has failures alone).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/parallel/comm.h"

namespace fp {

// What `work` returned on every rank, by rank. Where it threw on any, every rank throws the fault of the first of them
// in rank order as a SharedError, so that none waits for one that has left. Alone it throws what `work` threw.
std::vector<std::string> agreed(const Comm&, const std::function<std::string()>& work);
// The same of work without a result.
void agree(const Comm&, const std::function<void()>& work);

}  // namespace fp
