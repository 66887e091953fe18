#include "engine/session.h"

namespace fp {

Session::~Session() {
    for (auto& [key, repeat] : repeats_) drop(repeat);
}

void Session::drop(Repeat& repeat) {
    for (void* graph : repeat.graphs) network_.kernels().graph->release(graph);
    repeat.graphs.clear();
}

void Session::forget(uint64_t key) {
    const auto found = repeats_.find(key);
    if (found == repeats_.end()) return;
    drop(found->second);
    repeats_.erase(found);
}

void Session::repeat(uint64_t key, bool weights_are_inputs, const std::vector<Part>& parts) {
    const Graph* graph = network_.kernels().graph;
    Repeat& r = repeats_[key];
    const Place before = place(weights_are_inputs);
    if (!(r.place == before)) {
        drop(r);
        r.runs = 0;
    }
    if (!graph || r.forbidden || r.runs < 2) {
        for (const Part& part : parts) part.work();
        r.place = place(weights_are_inputs);
        r.runs = r.place == before ? r.runs + 1 : 1;
        return;
    }
    if (r.graphs.empty())
        for (const Part& part : parts) {
            if (part.where != Part::device) continue;
            graph->begin({});
            try {
                part.work();
            } catch (...) {
                graph->release(graph->end({}));
                throw;
            }
            r.graphs.push_back(graph->end({}));
        }
    size_t next = 0;
    for (const Part& part : parts)
        part.where == Part::device ? graph->launch(r.graphs[next++], {}) : part.work();
    ++replays_;
}

}  // namespace fp
