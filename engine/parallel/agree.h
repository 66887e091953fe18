// Failures that ranks share: where one of them fails, all throw the same error at the same place, and none waits for one
// that has left.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/parallel/comm.h"
#include "kernels/error.h"

namespace fp {

// What one rank tells the others of an exception.
struct Fault {
    Exit exit = Exit::bug;  // for what is no Error, but for missing memory
    std::string text = {};
    std::string who = {};  // the rank where it arose: "rank 1 of 2 on node7"; empty: the first
};
Fault fault_of(const std::exception_ptr&, const Comm&);
std::string packed(const Fault&);  // for a message to other ranks
Fault unpacked(const std::string&);

// An Error that every rank throws. A program shows it on the first rank alone.
struct SharedError : Error {
    explicit SharedError(const Fault& fault) : Error(fault.text, fault.exit), who(fault.who) {}
    std::string who;  // as in Fault
};

// What `work` returned on every rank, by rank. Where it threw on any, every rank throws the error of the first of them
// in rank order (SharedError). Alone it throws what `work` threw.
std::vector<std::string> agreed(const Comm&, const std::function<std::string()>& work);
// The same of work without a result.
void agree(const Comm&, const std::function<void()>& work);

// `work`, done by the first rank while the others wait within one call, and its result on every rank; what it throws,
// every rank throws. For short work: the call has a time limit (work_of_first() in engine/parallel/farm.h has none).
std::string from_first(const Comm&, const std::function<std::string()>& work);

}  // namespace fp
