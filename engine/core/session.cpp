#include "engine/core/session.h"

#include <iostream>

#include "kernels/error.h"

namespace fp {

Session::Session(const Network& network)
    : network_(network),
      graph_(network.kernels().graph),
      arena_(network.kernels().memory),
      folded_(network.params) {}

Session::~Session() { use_no_graphs(); }

void Session::drop(std::vector<void*>& graphs) noexcept {
    for (void* graph : graphs) drop_errors([&] { network_.kernels().graph->release(graph); });
    graphs.clear();
}

void Session::use_no_graphs() noexcept {
    for (auto& [key, repeat] : repeats_) drop(repeat.graphs);
    graph_ = nullptr;
}

void Session::forget(uint64_t key) {
    const auto found = repeats_.find(key);
    if (found == repeats_.end()) return;
    drop(found->second.graphs);
    repeats_.erase(found);
}

// One graph per part of the device; none where the device refuses one.
std::vector<void*> Session::capture(const std::vector<Part>& parts) {
    std::vector<void*> graphs;
    const auto give_up = [&] {
        drop_errors([&] { graph_->abandon({}); });
        drop(graphs);
        use_no_graphs();
    };
    try {
        for (const Part& part : parts) {
            if (part.where != Part::device) continue;
            graph_->begin({});
            part.work();
            graphs.push_back(graph_->end({}));
        }
    } catch (const Error& first) {
        give_up();
        std::cerr << "steps run call by call, since one could not be captured as a graph: "
                  << first.what() << "\n";
    } catch (...) {
        give_up();
        throw;
    }
    return graphs;
}

void Session::repeat(uint64_t key,
                     bool weights_are_inputs,
                     const std::vector<Part>& parts,
                     const StepInputs& inputs) {
    Repeat& r = repeats_[key];
    const Place before = place(weights_are_inputs, inputs);
    if (!(r.place == before)) {
        drop(r.graphs);
        r.runs = 0;
    }
    if (graph_ && !r.forbidden && r.runs >= 2 && r.graphs.empty()) r.graphs = capture(parts);
    if (r.graphs.empty()) {
        for (const Part& part : parts) part.work();
        r.place = place(weights_are_inputs, inputs);
        r.runs = r.place == before ? r.runs + 1 : 1;
        return;
    }
    try {
        size_t next = 0;
        for (const Part& part : parts)
            part.where == Part::device ? graph_->launch(r.graphs[next++], {}) : part.work();
    } catch (...) {  // part of the step may have run: it is not run again
        use_no_graphs();
        throw;
    }
    ++replays_;
}

}  // namespace fp
