#include "engine/core/tape.h"

#include <algorithm>
#include <exception>

#include "kernels/error.h"

namespace fp {

Tape::Tape(const Kernels& kernels, Arena& arena, Buffer& scratch, const TapeOptions& options, const StepMemory& memory)
    : kernels_(kernels),
      arena_(arena),
      scratch_(scratch),
      options_(options),
      memory_(memory),
      liveness_(options.mode == Mode::infer ? memory.liveness : nullptr),
      replaying_(liveness_ && !liveness_->last_use.empty()),
      exceptions_(std::uncaught_exceptions()) {
    arena_.reset();
    lap(-1, false);
}

// The first inference pass records who reads each row last, unless it is ended by an exception.
Tape::~Tape() {
    if (!liveness_ || replaying_ || std::uncaught_exceptions() > exceptions_) return;
    std::vector<int> last(nodes_.size(), -1);
    for (int row = 0; row < int(nodes_.size()); ++row)
        for (const Var in : nodes_[row].inputs) last[in.row] = row;
    liveness_->last_use = std::move(last);
}

// The time between two marks is charged to the row; time before the first row and before backward to none.
void Tape::lap(int row, bool backward) {
    if (!options_.profile) return;
    laps_.push_back({OwnedEvent(kernels_.streams), row, backward});
    laps_.back().end.record({});
}

void Tape::read_times() {
    if (laps_.empty()) return;
    laps_.back().end.wait();
    for (size_t i = 1; i < laps_.size(); ++i) {
        const Lap& lap = laps_[i];
        if (lap.row < 0) continue;
        Node& node = nodes_[lap.row];
        (lap.backward ? node.backward_seconds : node.forward_seconds) = lap.end.seconds_since(laps_[i - 1].end);
    }
}

Tensor Tape::empty(const Map& map) {
    const size_t bytes = size_t(map.stored()) * bytes_of(kernels_.activation);
    return {.data = static_cast<act*>(arena_.take(bytes)), .map = map};
}

Var Tape::input(Tensor value, bool needs_grad) {
    return record({.op = InputOp{}, .value = value, .needs_grad = needs_grad});
}

Var Tape::record(Node node) {
    const int row = int(nodes_.size());
    if (!is<PairedNormOp>(node.op)) lap(row, false);  // which runs nothing
    if (options_.mode == Mode::infer) {
        node.backward = nullptr;
        node.needs_grad = false;
    }
    nodes_.push_back(std::move(node));
    kept_.push_back(false);
    if (replaying_) {
        FP_CHECK(row < int(liveness_->last_use.size()), "inference: the network is not the one that was planned");
        for (const Var in : nodes_[row].inputs)
            if (liveness_->last_use[in.row] == row && !kept_[in.row]) release(nodes_[in.row]);
    }
    return {row};
}

void Tape::keep(Var v) { kept_[v.row] = true; }

void Tape::release(Node& node) {
    for (void* block : node.saved) arena_.give(block);
    node.saved.clear();
    for (Tensor* tensor : {&node.value, &node.grad}) {
        if (*tensor && arena_.owns(tensor->data)) arena_.give(tensor->data);
        tensor->data = nullptr;
    }
}

Tape::Slot Tape::grad_slot(Var v) {
    Node& node = nodes_[v.row];
    if (!node.needs_grad) return {nullptr, Write::replace};
    const bool first = !node.grad;
    if (first) node.grad = empty(node.value.map);
    return {node.grad.data, first ? Write::replace : Write::add};
}

void Tape::backward(const std::vector<Seed>& seeds) {
    FP_CHECK(options_.mode != Mode::infer, "backward: an inference pass keeps nothing for a gradient");
    int last = -1;
    std::vector<char> starts(nodes_.size(), false);  // rows of a loss
    for (const Seed& seed : seeds) {
        const int row = seed.root.row;
        FP_CHECK(needs_grad(seed.root), "backward: row ", row, " takes no gradient");
        last = std::max(last, row);
        if (!seed.grad) {
            FP_CHECK(is<LossShape>(nodes_[row].op), "backward: row ", row, " has no gradient");
            starts[row] = true;
            continue;
        }
        const auto [slot, write] = grad_slot(seed.root);
        kernels_.add.accumulate(seed.grad.map, {.dy = seed.grad.data, .dx = slot, .write = write}, {});
    }
    for (int row = int(nodes_.size()) - 1; row > last; --row)
        if (!kept_[row]) release(nodes_[row]);
    lap(-1, true);
    for (int row = last; row >= 0; --row) {
        const Node& node = nodes_[row];
        if ((node.grad || starts[row]) && node.backward) {
            const Range named = range("d " + (node.layer.empty() ? std::string(name(node.op)) : node.layer));
            if (const auto hook = gradient_hooks_.find(row); hook != gradient_hooks_.end()) hook->second(node.grad);
            node.backward(*this, node);
            lap(row, true);
        }
        if (!kept_[row]) release(nodes_[row]);
        if (after_row_) after_row_(row);
    }
}

par* Tape::moving(const Param& statistic) const {
    if (!options_.batch_statistics) return statistic.value;
    auto* const block = reinterpret_cast<char*>(options_.batch_statistics);
    return reinterpret_cast<par*>(block + size_t(statistic.offset) * size_t(bytes_of(kernels_.parameter)));
}

void Tape::leave_statistics(double momentum) {
    FP_CHECK(left_momentum_ == 0 || left_momentum_ == momentum, "norms of momentum ", left_momentum_, " and ", momentum,
             " in one step of several ranks");
    left_momentum_ = momentum;
}

}  // namespace fp
