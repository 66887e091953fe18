#include "engine/core/step_graph.h"

#include <algorithm>
#include <iostream>

#include "kernels/error.h"

namespace fp {

StepGraph::Addresses StepGraph::addresses(const StepInputs& inputs) const {
    return {session_.arena_.generation(), session_.scratch_.data(),
            reads_ == Reads::derived ? session_.network().params.version() : 0, inputs};
}

void StepGraph::drop() noexcept {
    for (void* graph : graphs_) drop_errors([&] { device()->release(graph); });
    graphs_.clear();
}

void StepGraph::give_up() noexcept {
    drop();
    session_.captures_ = false;
}

bool StepGraph::may_capture(const std::vector<Part>& parts) const {
    return device() && session_.captures_ && !random_ &&
           std::none_of(parts.begin(), parts.end(), [](const Part& part) { return part.where == Part::both; });
}

// Leaves no graphs where the device refuses one.
void StepGraph::capture(const std::vector<Part>& parts) {
    const auto abandon = [&] {
        drop_errors([&] { device()->abandon({}); });
        give_up();
    };
    try {
        for (const Part& part : parts) {
            if (part.where != Part::device) continue;
            device()->begin({});
            part.work();
            graphs_.push_back(device()->end({}));
        }
    } catch (const Error& first) {
        abandon();
        std::cerr << "steps run call by call, since one could not be captured as a graph: " << first.what() << "\n";
    } catch (...) {
        abandon();
        throw;
    }
}

void StepGraph::run_parts(const StepInputs& inputs, const std::vector<Part>& parts) {
    session_.random_ = false;
    for (const Part& part : parts) part.work();
    random_ = session_.random_;
    const Addresses after = addresses(inputs);
    runs_ = last_ == after ? runs_ + 1 : 1;
    last_ = after;
}

void StepGraph::run(const StepInputs& inputs, const std::vector<Part>& parts) {
    if (!(last_ == addresses(inputs))) {
        drop();
        runs_ = 0;
    }
    if (!may_capture(parts))
        drop();
    else if (runs_ >= 2 && graphs_.empty())
        capture(parts);
    if (graphs_.empty()) return run_parts(inputs, parts);
    try {
        size_t next = 0;
        for (const Part& part : parts) part.where == Part::device ? device()->launch(graphs_[next++], {}) : part.work();
    } catch (...) {  // part of the step may have run: it is not run again
        give_up();
        throw;
    }
    ++session_.replays_;
}

}  // namespace fp
