// The tape: one row per op, in the order in which they ran. Backward walks it from the end; the pruner reads from it
// which channels are tied; the profiler prints what each op cost.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/core/memory.h"
#include "engine/core/op.h"
#include "engine/core/params.h"
#include "kernels/kernels.h"

namespace fp {

// A view of a batch of feature maps in memory that an Arena, a ParamStore or a Loader owns.
struct Tensor {
    act* data = nullptr;
    Map map = {};
    explicit operator bool() const { return data != nullptr; }
};

// A row of the tape.
struct Var {
    int row = -1;
    explicit operator bool() const { return row >= 0; }
};

// A parameter of an op, and whose channels its axes follow: rows (K) those of the op's output, columns (C)
// those of its first input.
struct ParamUse {
    const Param* param;
    bool columns = false;
};

class Tape;

// A row: what it computes, from which rows, with which parameters.
struct Node {
    Op op;
    std::string layer = {};  // torchvision's module name, where there is one
    std::vector<Var> inputs = {};
    std::vector<ParamUse> params = {};
    Tensor value = {};
    double bytes = 0;  // read and written by the forward pass
    bool needs_grad = true;
    std::function<void(Tape&, const Node&)> backward = {};
    std::vector<void*> saved = {};  // arena blocks that only backward reads
    Tensor grad = {};               // no memory before a gradient arrives
    double forward_seconds = 0, backward_seconds = 0;
};

// The last reader of each row of an inference pass: the next pass of the same network gives the memory of a value back
// as soon as that reader has run.
struct Liveness {
    std::vector<int> last_use;  // by row; -1: keep
};

class InferenceWeights;

// State that a tape takes over from earlier steps and leaves for later ones.
struct StepMemory {
    InferenceWeights* inference_weights = nullptr;  // for Mode::infer only, like liveness
    Liveness* liveness = nullptr;
    bool* random = nullptr;  // set by ops that draw random numbers, whose calls differ from step to step
};

// Which values must have rows of their own, for readers of the tape. The fewer, the more ops a backend can run as one.
enum class Rows {
    fewest,       // outputs of convolutions and linear layers
    activations,  // these, and each layer's activation: behind norm, addition and ReLU
    each_op,      // outputs of every op: norm, addition and ReLU apart
};

// Of numbers that every rank of a run has: those of all of them, by rank. Every rank makes the same calls with as many
// numbers.
using OfRanks = std::function<std::vector<std::vector<double>>(const std::vector<double>& mine)>;

enum class Mode {
    train,  // batch statistics, dropout, a gradient
    eval,   // running statistics; a gradient too, if backward is called
    infer,  // as eval, with norms folded into the convolutions and nothing kept for a gradient
};

struct TapeOptions {
    Mode mode = Mode::eval;
    uint64_t dropout_key = 0;
    bool dropout = true;
    Rows rows = Rows::fewest;
    bool accumulate = false;  // gradients of parameters are added to those of the step before
    bool profile = false;     // time each op; see read_times()
    // Where norms in training leave the batch's own mean and variance, at the offsets that the running ones have in
    // ParamStore::statistics(), which then stay as they are. Its memory starts as zeros. Null: the running ones move.
    par* batch_statistics = nullptr;
    // Norms in training take mean and variance of the batches of all ranks together; null: of this one.
    const OfRanks* of_ranks = nullptr;
};

class Tape {
public:
    // `scratch` grows to the largest size that an op needs.
    Tape(const Kernels& kernels,
         Arena& arena,
         Buffer& scratch,
         const TapeOptions& options,
         const StepMemory& memory = {});
    ~Tape();
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    const Kernels& kernels() const { return kernels_; }
    const TapeOptions& options() const { return options_; }
    bool training() const { return options_.mode == Mode::train; }
    InferenceWeights* inference_weights() const {
        return options_.mode == Mode::infer ? memory_.inference_weights : nullptr;
    }

    const std::vector<Node>& nodes() const { return nodes_; }
    const Node& node(Var v) const { return nodes_[v.row]; }
    Tensor value(Var v) const { return nodes_[v.row].value; }
    Tensor grad(Var v) const { return nodes_[v.row].grad; }
    bool needs_grad(Var v) const { return nodes_[v.row].needs_grad; }
    // Waits for the device and sets the times of the rows. For tapes with TapeOptions::profile.
    void read_times();

    // A profiler shows the host's work during its life under this name.
    class Range {
    public:
        Range(const Ranges* ranges, const std::string& name) : ranges_(ranges) {
            if (ranges_) ranges_->push(name.c_str());
        }
        ~Range() {
            if (ranges_) ranges_->pop();
        }
        Range(const Range&) = delete;
        Range& operator=(const Range&) = delete;

    private:
        const Ranges* ranges_;
    };
    Range range(const std::string& name) const { return Range(kernels_.ranges, name); }

    // For ops that draw random numbers from the step's key.
    void draws_random() {
        if (memory_.random) *memory_.random = true;
    }

    // Memory of this step: for an output, for what backward reads again, and for the duration of a kernel.
    Tensor empty(const Map& map);
    void* take(size_t bytes) { return arena_.take(bytes); }
    void give(void* block) { arena_.give(block); }
    void* scratch(size_t bytes) { return scratch_.grow(kernels_.memory, bytes); }

    Var input(Tensor value, bool needs_grad = false);
    Var record(Node node);
    void keep(Var v);  // its value lives until the end of the step

    // Where a norm in training writes to for this running mean or variance.
    par* moving(const Param& statistic) const;
    // For norms, with TapeOptions::batch_statistics: how fast the running ones follow, the same for all norms of a step.
    void leave_statistics(double momentum);
    double left_momentum() const { return left_momentum_; }  // 0: none was left

    // Where an op's backward writes the gradient of an input: the buffer, and whether to replace its contents (the
    // first op that does so) or to add to them. Null where no gradient is wanted.
    struct Slot {
        act* data;
        Write write;
    };
    Slot grad_slot(Var v);
    Write param_write() const { return options_.accumulate ? Write::add : Write::replace; }

    // Where backward starts: a row and its gradient, of the value's shape; without one a loss, whose gradient is 1.
    struct Seed {
        Var root;
        Tensor grad = {};
    };
    // Runs the backward of every row from the last seed up. Values and gradients return to the arena as they die, kept
    // rows excepted.
    void backward(const std::vector<Seed>& seeds);
    // Backward calls `visit` with the row's whole gradient before it flows on to the row's inputs.
    void on_gradient(Var row, std::function<void(const Tensor&)> visit) { gradient_hooks_[row.row] = std::move(visit); }
    // Backward calls `visit` after each row, from the last one that takes part to the first: parameters that no earlier
    // row has have their whole gradient then.
    void after_backward_of(std::function<void(int row)> visit) { after_row_ = std::move(visit); }

private:
    void release(Node& node);
    void lap(int row, bool backward);

    const Kernels& kernels_;
    Arena& arena_;
    Buffer& scratch_;
    TapeOptions options_;
    StepMemory memory_;
    Liveness* liveness_;  // null outside Mode::infer
    bool replaying_ = false;
    const int exceptions_;  // under way when the pass began
    std::vector<Node> nodes_;
    std::vector<char> kept_;
    std::map<int, std::function<void(const Tensor&)>> gradient_hooks_;
    std::function<void(int row)> after_row_;
    double left_momentum_ = 0;
    struct Lap {
        OwnedEvent end;
        int row;
        bool backward;
    };
    std::vector<Lap> laps_;
};

}  // namespace fp
