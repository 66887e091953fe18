// cuDNN's graph interface: operations on described tensors, and the fastest plan that the library offers for them.
//
//   OperationGraph graph;
//   const int x = graph.tensor(...), w = graph.tensor(...), y = graph.tensor(...);
//   graph.convolution(OperationGraph::Pass::forward, s, x, w, y);
//   Plan plan = graph.fastest(cudnn);             // tries every plan that the heuristics name, warm
//   plan.run({{x, x_data}, {w, w_data}, {y, y_data}}, cudnn);
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {

// One object of the backend interface.
class Descriptor {
public:
    explicit Descriptor(cudnnBackendDescriptorType_t);
    Descriptor(Descriptor&&) = default;
    Descriptor& operator=(Descriptor&&) = default;

    template <class T>
    Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const T* values, size_t count) {
        check(cudnnBackendSetAttribute(get(), name, type, int64_t(count), values), "attribute");
        return *this;
    }
    template <class T>
    Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, T value) {
        return set(name, type, &value, 1);
    }
    Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<int64_t>& values) {
        return set(name, CUDNN_TYPE_INT64, values.data(), values.size());
    }
    Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other) {
        return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, other.get());
    }
    Descriptor& finalize(const char* what) {
        check(cudnnBackendFinalize(get()), what);
        return *this;
    }
    cudnnStatus_t try_finalize() { return cudnnBackendFinalize(get()); }
    cudnnBackendDescriptor_t get() const { return *descriptor_; }

private:
    struct Destroy {
        void operator()(cudnnBackendDescriptor_t* d) const {
            cudnnBackendDestroyDescriptor(*d);
            delete d;
        }
    };
    std::unique_ptr<cudnnBackendDescriptor_t, Destroy> descriptor_;
};

// A tensor's number in its graph, and where it lies in memory.
using Placed = std::pair<int, const void*>;

// A graph made ready to run in one way.
class Plan {
public:
    void run(const std::vector<Placed>&, cudnnHandle_t) const;
    // What it took when it was chosen.
    double seconds() const { return seconds_; }
    // The engine and its settings, as cuDNN numbers them.
    const std::string& name() const { return name_; }

private:
    friend class OperationGraph;
    Plan(Descriptor plan, Descriptor configuration, size_t workspace, std::string name)
        : plan_(std::move(plan)),
          configuration_(std::move(configuration)),
          workspace_(workspace),
          name_(std::move(name)) {}
    cudnnStatus_t try_run(const std::vector<Placed>&, void* workspace, cudnnHandle_t) const;
    // The plan of an engine configuration, timed on `tensors`; empty where it cannot run.
    static std::optional<Plan> timed(
        Descriptor configuration, std::string name, const std::vector<Placed>& tensors, cudnnHandle_t, cudaStream_t);

    Descriptor plan_, configuration_;
    size_t workspace_;
    double seconds_ = 0;
    std::string name_;
};

class OperationGraph {
public:
    enum class Pass { forward, data, filter };

    // A tensor of sizes (n,c,h,w), channels innermost. One that is not `stored` exists between operations alone.
    int tensor(const std::array<int64_t, 4>& sizes, cudnnDataType_t, bool stored = true);
    // forward: y of x and w. data: x (the gradient) of y and w. filter: w (the gradient) of x and y.
    void convolution(Pass, const ConvShape&, int x, int w, int y);
    void add(int a, int b, int out);  // b may have size 1 where a has more
    void relu(int x, int out);

    // The fastest of the plans that the library's heuristics name: each runs once, which compiles and loads it, and is
    // then timed warm on buffers of this function's own. On the handle's stream; never while
    // a graph is captured. Empty where the library has none.
    std::optional<Plan> fastest(cudnnHandle_t) const;

private:
    void pointwise(cudnnPointwiseMode_t, int x, std::optional<int> b, int out);

    std::vector<Descriptor> tensors_, operations_;
    std::vector<Descriptor> described_;  // by the operations, and needed as long as they are
    std::vector<size_t> bytes_;          // of each tensor, 0 where it is not stored
};

// The workspace that every plan shares, on the library's stream: grows, and never moves under a captured graph.
void* workspace(size_t bytes);

}  // namespace fp::cudnn
