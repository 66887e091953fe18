// Errors that ranks tell each other, so that all of them end with the same one and it is shown once.
#pragma once

#include <exception>
#include <functional>
#include <optional>
#include <string>

#include "engine/parallel/comm.h"
#include "kernels/error.h"

namespace fp {

// An Error that every rank throws. The first rank shows it for all.
struct SharedError : Error {
    SharedError(const std::string& text, Exit code, const std::string& rank) : Error(text, code), who(rank) {}
    std::string who;  // where it arose: "rank 2 of 4 on node7"; empty for the first rank and where every rank has it
};

// What one rank tells the others of an exception.
struct Fault {
    Exit exit = Exit::bug;
    std::string text = {};
    std::string who = {};  // as SharedError has it
};
Fault fault_of(const std::exception_ptr&, const Comm&);
std::string packed(const Fault&);  // for a message to other ranks
Fault unpacked(const std::string&);
[[noreturn]] void raise(const Fault&);  // as a SharedError

// Every rank calls it at the same place with its fault, if it has one. Where any has, every rank throws that of the
// lowest rank.
void share_faults(const Comm&, const std::optional<Fault>& mine);

// `work`, done by every rank; what it throws on any, every rank throws.
template <class Work>
void on_every(const Comm& ranks, const Work& work) {
    if (ranks.alone()) return work();
    std::optional<Fault> fault;
    try {
        work();
    } catch (...) {
        fault = fault_of(std::current_exception(), ranks);
    }
    share_faults(ranks, fault);
}

// `work`, done by the first rank while the others wait within one call, and its result on every rank; what it throws,
// every rank throws. For short work: the call has a time limit (work_of_first() in engine/parallel/farm.h has none).
std::string from_first(const Comm&, const std::function<std::string()>& work);

}  // namespace fp
