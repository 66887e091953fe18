// The tape: one row per op, in the order they ran. Backward walks it from the end; the pruner reads it to
// learn which channels are tied; the profiler reads it to print what each op cost.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/memory.h"
#include "engine/core/params.h"
#include "engine/core/tensor.h"
#include "kernels/kernels.h"

namespace fp {

// A row of the tape.
struct Var {
    int row = -1;
    explicit operator bool() const { return row >= 0; }
};

// Whether an op starts a set of channels of its own (a convolution) or carries its inputs' on (a batch
// norm, an addition).
enum class Channels { fresh, tied };

// A parameter of an op, and whose channels its axes follow: rows (K) those of the op's output, columns (C)
// those of its first input.
struct ParamUse {
    const Param* param;
    bool columns = false;
};

class Tape;

// A row. Its op says what its value is; where several ops ran as one, it is the last one's and the others' are
// nowhere:
//   input, linear, relu, add, maxpool, avgpool, dropout
//   conv2d             in Mode::infer with the norm, addition and ReLU behind it
//   batchnorm, batchnorm_add, batchnorm_relu, batchnorm_add_relu, batchnorm_relu_maxpool
//   batchnorm_in_pair  a norm that is computed by the batchnorm_pair which reads this row: no value, a map alone
//   batchnorm_pair     relu(norm(first input) + norm(x)), x being the input of the second, a batchnorm_in_pair
struct Node {
    std::string_view op;
    std::string layer = {};  // torchvision's module name, where there is one
    std::vector<Var> inputs = {};
    Channels channels = Channels::tied;
    std::vector<ParamUse> params = {};
    Tensor value = {};
    int stride = 1, pad = 0,
        window = 0;              // of a convolution (its window is the filter's) or a max pool
    double eps = 0;              // of a norm
    double macs = 0, bytes = 0;  // of the forward
    bool needs_grad = true;
    std::function<void(Tape&, const Node&)> backward = {};
    std::vector<void*> saved = {};  // arena blocks that only backward reads
    Tensor grad = {};               // no memory until something flows back
    double forward_seconds = 0, backward_seconds = 0;
};

// The rows of an inference pass and who reads each last: the next pass of the same network can give a
// value's memory back as soon as it is dead.
struct Liveness {
    std::vector<int> last_use;  // by row; -1: keep
};

class FoldedWeights;

// Which values whoever reads the tape wants to find in a row. The fewer, the more ops a backend runs as one.
enum class Rows {
    fewest,       // those of convolutions and linear layers
    activations,  // and of each layer's activation, behind norm, addition and ReLU
    each_op,      // of every op: norm, addition and ReLU apart
};

enum class Mode {
    train,  // batch statistics, dropout, a gradient
    eval,   // running statistics; a gradient too, if asked for
    infer,  // as eval, norms folded into the convolutions, nothing kept for a gradient
};

struct TapeOptions {
    Mode mode = Mode::eval;
    uint64_t dropout_key = 0;
    bool dropout = true;
    Rows rows = Rows::fewest;
    bool accumulate = false;   // gradients of parameters are added to what is there
    double norm_momentum = 0;  // of running statistics, in place of the layers' own; 0: theirs
    bool profile = false;      // mark the time behind each op; see read_times()
};

class Tape {
public:
    // `scratch` grows to what the hungriest op needs. `folded` and `liveness` serve Mode::infer alone.
    Tape(const Kernels& kernels,
         Arena& arena,
         Buffer& scratch,
         TapeOptions options = {},
         FoldedWeights* folded = nullptr,
         Liveness* liveness = nullptr);
    ~Tape();
    Tape(const Tape&) = delete;
    Tape& operator=(const Tape&) = delete;

    const Kernels& kernels() const { return kernels_; }
    const TapeOptions& options() const { return options_; }
    bool training() const { return options_.mode == Mode::train; }
    FoldedWeights* folded() const { return options_.mode == Mode::infer ? folded_ : nullptr; }
    Stream stream() const { return {}; }

    const std::vector<Node>& nodes() const { return nodes_; }
    const Node& node(Var v) const { return nodes_[v.row]; }
    Tensor value(Var v) const { return nodes_[v.row].value; }
    Tensor grad(Var v) const { return nodes_[v.row].grad; }
    bool needs_grad(Var v) const { return nodes_[v.row].needs_grad; }
    // Waits for the device, and fills the rows' times of a tape that profiles.
    void read_times();

    // While it lives, a profiler shows the host's work under this name.
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

    // Whether every step gives the device the same calls: not where dropout has drawn from the step's key.
    bool repeatable() const { return repeatable_; }
    void draws_from_key() { repeatable_ = false; }

    Var find(std::string_view layer, std::string_view op) const;  // the last such row, or none

    // Memory of this step: for an output, for what backward must see again, and for a moment.
    Tensor empty(const Map& map);
    void* take(size_t bytes) { return arena_.take(bytes); }
    void give(void* block) { arena_.give(block); }
    void* scratch(size_t bytes) { return scratch_.grow(kernels_.memory, bytes); }

    Var input(Tensor value, bool needs_grad = false);
    Var record(Node node);
    void keep(Var v);  // its value outlives backward, and inference's early release

    // Where an op's backward writes: the buffer, and whether it is the first to do so. Null where no
    // gradient is wanted.
    struct Slot {
        act* data;
        Write write;
    };
    Slot grad_slot(Var v);
    Write param_write() const { return options_.accumulate ? Write::add : Write::replace; }

    // Seeds each root with its gradient (of the value's shape) and runs every backward above, last first.
    // Values and gradients are given back to the arena as they die, kept rows excepted.
    struct Seed {
        Var root;
        Tensor grad;
    };
    void backward(const std::vector<Seed>& seeds);

private:
    void release(Node& node);
    void lap(int row, bool backward);

    const Kernels& kernels_;
    Arena& arena_;
    Buffer& scratch_;
    TapeOptions options_;
    FoldedWeights* folded_;
    Liveness* liveness_;
    bool replaying_ = false;
    std::vector<Node> nodes_;
    std::vector<char> kept_;
    bool repeatable_ = true;
    struct Lap {
        Mark end;
        int row;
        bool backward;
    };
    std::vector<Lap> laps_;
};

}  // namespace fp
