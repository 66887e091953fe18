// Independent pieces of work spread over the ranks, first come, first served: a rank that has finished one takes the
// next. Each piece is done by one rank alone, so that its result does not depend on the number of ranks.
//
// While the ranks work, a second thread of each meets those of the others every 50 ms (a "beat": one gather). So a rank
// that fails, is lost or is asked to stop ends the work of all within a beat and a step, and no call waits for hours. No
// other calls of the Comm may be made until farm_out() has returned.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/parallel/comm.h"

namespace fp {

struct FarmTask {
    int after = -1;  // an earlier task, which is to be finished or to have called Farmhand::release() first
    int rank = -1;   // the one that does it; -1: any
};

// What a task sees of the others while it works.
class Farmhand {
public:
    virtual ~Farmhand() = default;
    virtual bool stopped() const = 0;  // save and end: the run is to stop, or another rank has failed
    virtual void release() = 0;        // tasks that wait for this one may begin
    virtual void hear() = 0;           // calls Farm::finished for what has been finished meanwhile
};

struct Farm {
    std::vector<FarmTask> tasks;
    // Returns what is told to all ranks; nothing where the task was stopped.
    std::function<std::optional<std::string>(int task, Farmhand&)> work;
    // On every rank, in the thread that farmed out, for each finished task in the same order; may be empty.
    std::function<void(int task, int rank, const std::string& result)> finished = {};
    std::function<bool()> stop = {};  // asked all the time, in another thread; may be empty
};

// True when all tasks are finished, false where a rank was asked to stop: on every rank alike. What a task throws, every
// rank throws (as a SharedError where there are several). Returns and throws when no rank is at work any more.
bool farm_out(const Comm&, const Farm&);

// `work`, done by the first rank while the others wait for as long as it takes, and its result on every rank. What it
// throws, every rank throws.
std::string work_of_first(const Comm&, const std::function<std::string()>& work);

}  // namespace fp
