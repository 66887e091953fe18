// Failures that ranks share: where one of them fails, all throw the same error at the same place, and none waits for one
// that has left.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/parallel/comm.h"

namespace fp {

// What `work` returned on every rank, by rank. Where it threw on any, every rank throws the error of the first of them
// in rank order, with its exit code (Exit::bug for what is no Error) and the rank's name: "rank 1 of 2 on node7: ...".
// Alone it throws what `work` threw.
std::vector<std::string> agreed(const Comm&, const std::function<std::string()>& work);
// The same of work without a result.
void agree(const Comm&, const std::function<void()>& work);

}  // namespace fp
