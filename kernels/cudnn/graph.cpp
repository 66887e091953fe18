#include "kernels/cudnn/graph.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <set>

namespace fp::cudnn {
namespace {

constexpr size_t kMostWorkspace = size_t(1) << 30;
// Of each heuristic, from its first choice on: later ones are slower, and each costs up to a second to compile.
constexpr int64_t kMostPlans = 16;
constexpr int kTimedRuns = 5;

// Memory of the search. Tensors are filled with numbers that are small and not zero: zeros cost less power.
class SearchBuffer {
public:
    SearchBuffer(size_t bytes, cudaStream_t stream) {
        if (bytes == 0) return;
        if (cudaMalloc(&data_, bytes) != cudaSuccess) {
            cudaGetLastError();  // the caller goes on without it
            data_ = nullptr;
            return;
        }
        check(cudaMemsetAsync(data_, 0x3c, bytes, stream), "memory for a search of plans");
    }
    ~SearchBuffer() { cudaFree(data_); }
    SearchBuffer(SearchBuffer&& o) noexcept : data_(std::exchange(o.data_, nullptr)) {}
    SearchBuffer(const SearchBuffer&) = delete;
    SearchBuffer& operator=(const SearchBuffer&) = delete;
    void* data() const { return data_; }  // null where there was no memory

private:
    void* data_ = nullptr;
};

struct Stopwatch {
    cudaEvent_t from = nullptr, until = nullptr;
    Stopwatch() {
        check(cudaEventCreate(&from), "event");
        check(cudaEventCreate(&until), "event");
    }
    ~Stopwatch() {
        cudaEventDestroy(from);
        cudaEventDestroy(until);
    }
};

Descriptor engine_of(const Descriptor& config) {
    Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t raw = engine.get();
    int64_t count = 0;
    check(cudnnBackendGetAttribute(config.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                   &raw),
          "engine of a plan");
    return engine;
}

// Whether the engine computes what the precision says: float32 means no tensor core and no lower precision.
bool is_allowed(const Descriptor& engine) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t count = 0;
    check(cudnnBackendGetAttribute(engine.get(), CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                   CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes),
          "notes of an engine");
    const auto has = [&](cudnnBackendNumericalNote_t note) {
        return std::find(notes, notes + count, note) != notes + count;
    };
    const Libraries& lib = libraries();
    if (lib.precision == Precision::f32 &&
        (has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE) || has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)))
        return false;
    return !has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION) &&
           !(lib.deterministic && has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC));
}

// "engine 12: 2=3 13=64": the engine and its knobs, each with its choice.
std::string name_of(const Descriptor& engine, const Descriptor& config) {
    int64_t index = -1, count = 0;
    check(cudnnBackendGetAttribute(engine.get(), CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &index),
          "number of an engine");
    std::string name = text("engine ", index, ":");
    std::vector<Descriptor> knobs;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (int i = 0; i < CUDNN_KNOB_TYPE_COUNTS; ++i)
        raw.push_back(knobs.emplace_back(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR).get());
    check(cudnnBackendGetAttribute(config.get(), CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                   int64_t(raw.size()), &count, raw.data()),
          "settings of an engine");
    for (int64_t i = 0; i < std::min(count, int64_t(raw.size())); ++i) {
        cudnnBackendKnobType_t type{};
        int64_t value = 0, one = 0;
        check(cudnnBackendGetAttribute(raw[size_t(i)], CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &one,
                                       &type),
              "setting of an engine");
        check(cudnnBackendGetAttribute(raw[size_t(i)], CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &one,
                                       &value),
              "setting of an engine");
        name += text(" ", int(type), "=", value);
    }
    return name;
}

// The plans that a heuristic names, best first.
std::vector<Descriptor> configurations(const Descriptor& graph, cudnnBackendHeurMode_t mode) {
    Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)
        .set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, mode);
    if (heuristic.try_finalize() != CUDNN_STATUS_SUCCESS) return {};
    std::vector<Descriptor> found;
    std::vector<cudnnBackendDescriptor_t> raw;
    for (int64_t i = 0; i < kMostPlans; ++i)
        raw.push_back(found.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
    int64_t count = 0;
    if (cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                 kMostPlans, &count, raw.data()) != CUDNN_STATUS_SUCCESS)
        return {};
    found.erase(found.begin() + std::clamp<int64_t>(count, 0, kMostPlans), found.end());
    return found;
}

}  // namespace

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t made = nullptr;
    check(cudnnBackendCreateDescriptor(type, &made), "descriptor");
    descriptor_.reset(new cudnnBackendDescriptor_t(made));
}

void Plan::run(const std::vector<Placed>& tensors, cudnnHandle_t cudnn) const {
    check(try_run(tensors, workspace(workspace_), cudnn), name_.c_str());
}

cudnnStatus_t Plan::try_run(const std::vector<Placed>& tensors, void* workspace, cudnnHandle_t cudnn) const {
    std::vector<int64_t> numbers;
    std::vector<void*> data;
    for (const auto& [number, place] : tensors) {
        numbers.push_back(number);
        data.push_back(const_cast<void*>(place));
    }
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, data.data(), data.size())
        .set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, numbers)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, workspace)
        .finalize("a plan's arguments");
    return cudnnBackendExecute(cudnn, plan_.get(), pack.get());
}

int OperationGraph::tensor(const std::array<int64_t, 4>& sizes, cudnnDataType_t type, bool stored) {
    const auto [n, c, h, w] = sizes;
    const int number = int(tensors_.size()) + 1;
    Descriptor& t = tensors_.emplace_back(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, int64_t(number))
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, int64_t(16))
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w})
        .set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, 1, w * c, c})
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, !stored)
        .finalize("tensor");
    bytes_.push_back(stored ? size_t(n * c * h * w) * (type == CUDNN_DATA_FLOAT ? 4 : 2) : 0);
    return number;
}

void OperationGraph::convolution(Pass pass, const ConvShape& s, int x, int w, int y) {
    Descriptor& how = described_.emplace_back(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    how.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, int64_t(2))
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, {s.pad, s.pad})
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, {s.pad, s.pad})
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, {s.stride, s.stride})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1})
        .finalize("convolution");
    struct Names {
        cudnnBackendDescriptorType_t operation;
        cudnnBackendAttributeName_t how, x, w, y, alpha, beta;
    };
    static constexpr Names kNames[] = {
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};
    const Names& names = kNames[int(pass)];
    const auto at = [&](int number) -> const Descriptor& { return tensors_[size_t(number - 1)]; };
    operations_.emplace_back(names.operation)
        .set(names.how, how)
        .set(names.x, at(x))
        .set(names.w, at(w))
        .set(names.y, at(y))
        .set(names.alpha, CUDNN_TYPE_FLOAT, kOne)
        .set(names.beta, CUDNN_TYPE_FLOAT, kZero)
        .finalize("convolution of a graph");
}

void OperationGraph::add(int a, int b, int out) { pointwise(CUDNN_POINTWISE_ADD, a, b, out); }
void OperationGraph::relu(int x, int out) { pointwise(CUDNN_POINTWISE_RELU_FWD, x, {}, out); }

void OperationGraph::pointwise(cudnnPointwiseMode_t mode, int x, std::optional<int> b, int out) {
    Descriptor& how = described_.emplace_back(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    how.set(CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, mode)
        .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, CUDNN_DATA_FLOAT)
        .finalize("pointwise operation");
    const auto at = [&](int number) -> const Descriptor& { return tensors_[size_t(number - 1)]; };
    Descriptor& operation = operations_.emplace_back(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR)
                                .set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how)
                                .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, at(x))
                                .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, at(out));
    if (b) operation.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, at(*b));
    operation.finalize("pointwise operation of a graph");
}

std::optional<Plan> Plan::timed(Descriptor configuration,
                                std::string name,
                                const std::vector<Placed>& tensors,
                                cudnnHandle_t cudnn,
                                cudaStream_t stream) {
    Descriptor made(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    made.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, cudnn)
        .set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    if (made.try_finalize() != CUDNN_STATUS_SUCCESS) return {};
    int64_t bytes = 0, count = 0;
    check(cudnnBackendGetAttribute(made.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
                                   &bytes),
          "a plan's workspace");
    if (size_t(bytes) > kMostWorkspace) return {};
    Plan plan(std::move(made), std::move(configuration), size_t(bytes), std::move(name));
    const SearchBuffer workspace(size_t(bytes), stream);
    if (bytes > 0 && !workspace.data()) return {};
    if (plan.try_run(tensors, workspace.data(), cudnn) != CUDNN_STATUS_SUCCESS) return {};
    check(cudaStreamSynchronize(stream), plan.name().c_str());
    const Stopwatch watch;
    float least = 0;
    for (int i = 0; i < kTimedRuns; ++i) {
        check(cudaEventRecord(watch.from, stream), "event");
        check(plan.try_run(tensors, workspace.data(), cudnn), plan.name().c_str());
        check(cudaEventRecord(watch.until, stream), "event");
        check(cudaEventSynchronize(watch.until), plan.name().c_str());
        float now = 0;
        check(cudaEventElapsedTime(&now, watch.from, watch.until), "event");
        least = i == 0 ? now : std::min(least, now);
    }
    plan.seconds_ = least / 1e3;
    return plan;
}

std::optional<Plan> OperationGraph::fastest(cudnnHandle_t cudnn) const {
    std::vector<cudnnBackendDescriptor_t> operations;
    for (const Descriptor& o : operations_) operations.push_back(o.get());
    Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, cudnn)
        .set(CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, operations.data(), operations.size());
    if (graph.try_finalize() != CUDNN_STATUS_SUCCESS) return {};

    cudaStream_t stream = nullptr;
    check(cudnnGetStream(cudnn, &stream), "stream");
    std::vector<SearchBuffer> buffers;
    std::vector<Placed> tensors;
    for (size_t i = 0; i < bytes_.size(); ++i) {
        if (bytes_[i] == 0) continue;
        void* data = buffers.emplace_back(bytes_[i], stream).data();
        FP_REQUIRE(data, Exit::device, "cudnn: no memory for a search of plans: ", bytes_[i], " bytes");
        tensors.emplace_back(int(i) + 1, data);
    }

    std::optional<Plan> best;
    std::set<std::string> tried;
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B, CUDNN_HEUR_MODE_FALLBACK}) {
        if (mode == CUDNN_HEUR_MODE_FALLBACK && best) break;
        for (Descriptor& config : configurations(graph, mode)) {
            const Descriptor engine = engine_of(config);
            std::string name = name_of(engine, config);
            if (!is_allowed(engine) || !tried.insert(name).second) continue;
            auto plan = Plan::timed(std::move(config), std::move(name), tensors, cudnn, stream);
            if (plan && (!best || plan->seconds_ < best->seconds_)) best = std::move(plan);
        }
    }
    return best;
}

void* workspace(size_t bytes) {
    // Older blocks stay, since captured graphs may name them.
    static std::vector<std::pair<void*, size_t>> blocks;
    if (bytes == 0) return nullptr;
    if (blocks.empty() || blocks.back().second < bytes) {
        void* block = nullptr;
        check(cudaMalloc(&block, bytes), "workspace");
        blocks.emplace_back(block, bytes);
    }
    return blocks.back().first;
}

}  // namespace fp::cudnn
