// How work tells its caller how far it is.
#pragma once

#include <cstdint>
#include <functional>

namespace fp {

// Called by a part of the work with how much of all is done. What it throws ends the work. It may be empty.
using Steps = std::function<void(int64_t done, int64_t all)>;

}  // namespace fp
