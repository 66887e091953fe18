// All weights of a model in one block of memory, their gradients in a second, their momenta in a third (engine/train).
// A Param is a name and an offset in these blocks, so a few kernel launches update the whole model. Filters come first,
// vectors (norm scales, biases) behind them, so that weight decay can leave those out.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/core/memory.h"
#include "kernels/kernels.h"

namespace fp {

class ParamStore;

struct Param {
    enum class Kind {
        filter,     // convolution weight, file shape [K,C,R,S]
        linear,     // fully connected weight, file shape [K, C*R*S]
        vector,     // one number per channel: norm scale and shift, bias
        statistic,  // one number per channel, not trained: running mean and variance
    };
    std::string name = {};  // torchvision's key
    Kind kind = Kind::filter;
    Filter shape = {};  // vectors: k channels, everything else 1
    bool trainable = true;
    par* value = nullptr;
    int64_t offset = 0;                 // elements from the start of the trained (or statistics) block
    const ParamStore* store = nullptr;  // that it is in, from allocate() on

    bool trained() const { return kind != Kind::statistic; }
    par* grad() const;  // null for statistics
    std::vector<int64_t> file_shape() const;
    int64_t count() const { return shape.logical(); }
};

// A parameter's block on the device, from values in the order of files.
Buffer parameter_block(const Kernels&, const Filter&, const std::vector<double>& values);
// One with the values of a parameter, those of filter k times scale[k], in `memory`, which grows where it is too small.
par* scaled_block(const Kernels&, const Param&, const std::vector<double>& scale, Buffer& memory);

class ParamStore {
public:
    explicit ParamStore(const Kernels& k) : kernels_(k) {}
    ParamStore(const ParamStore&) = delete;
    ParamStore& operator=(const ParamStore&) = delete;

    // Declares a parameter, whose address stays the same as long as the store lives. allocate() gives all of them
    // memory, set to zero; no parameter can be added after it.
    Param* add_filter(std::string name, int k, int c, int r, int s, int x_block);
    Param* add_linear(std::string name, int k, int c, int r, int s, int x_block);
    Param* add_vector(std::string name, int channels, Param::Kind kind = Param::Kind::vector);
    void allocate();

    const Kernels& kernels() const { return kernels_; }
    const std::deque<Param>& all() const { return params_; }
    std::deque<Param>& all() { return params_; }
    const Param* find(const std::string& name) const;

    // Values in the order of files (OIHW, no padding), converted to and from the backend's layout and type.
    std::vector<double> get(const Param& p) const { return read(p, p.value); }
    std::vector<double> get_grad(const Param& p) const { return read(p, p.grad()); }
    std::vector<float> get_f32(const Param& p) const;
    void set(const Param& p, const double* values);
    void set_f32(const Param& p, const float* values);

    // The same for another block with the layout of the trained one (momenta, averages).
    std::vector<double> get_block(const Param& p, const void* block) const;
    void set_block(const Param& p, void* block, const double* values) const;

    // The flat blocks. That of the gradients is made, of zeros, when it is first asked for: inference has none.
    par* values() const { return values_.as<par>(); }
    par* grads() const;
    par* statistics() const { return statistics_.as<par>(); }
    int64_t trained_count() const { return trained_count_; }
    int64_t statistics_count() const { return statistics_count_; }
    // Contiguous runs of trainable elements: those of filters, or those of vectors.
    struct Run {
        int64_t begin, end;
    };
    std::vector<Run> runs(bool filters) const;

    int64_t parameters() const;  // logical trained elements

    // Changes with every change of a value. What was derived from another version is stale.
    int64_t version() const { return version_; }
    void touch() { ++version_; }

private:
    friend struct Param;
    Buffer zeros(int64_t count) const;
    std::vector<double> read(const Param& p, const void* device) const;
    void* in_block(const Param& p, const void* block) const;
    Param* add(Param p);

    const Kernels& kernels_;
    std::deque<Param> params_;
    Buffer values_, statistics_;
    mutable Buffer grads_;
    int64_t trained_count_ = 0, statistics_count_ = 0, version_ = 0;
};

}  // namespace fp
