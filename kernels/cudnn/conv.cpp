// Convolutions by cuDNN: its fastest algorithm for each shape and direction, found by trying them all once.
//
// Filters go to the library with as many rows as the output has stored channels, rows of zeros behind the
// logical ones, so that both maps are packed; that takes a copy where the count is not a multiple of eight, and
// in bf16. Workspace, then that copy, lie in the caller's scratch.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>

#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

constexpr size_t kMostWorkspace = size_t(2) << 30;
constexpr size_t kAlign = 256;

struct Algorithm {
    int number = 0;
    size_t workspace = 0;
};

// One convolution as the library sees it.
struct Plan {
    MapDescriptor x, y, bias;
    cudnnFilterDescriptor_t w = nullptr;
    cudnnConvolutionDescriptor_t conv = nullptr;
    Algorithm forward, backward_data, backward_filter;
    size_t rows, stored;  // numbers of the filter, logical rows and all

    explicit Plan(const ConvShape& s)
        : x(s.x, libraries().data_type()),
          y(s.y(), libraries().data_type()),
          bias({.c = s.w.k, .block = s.y_block}, libraries().data_type()),
          rows(size_t(s.w.stored())),
          stored(rows / size_t(s.w.k) * size_t(s.y().stored_c())) {
        const Libraries& lib = libraries();
        check(cudnnCreateFilterDescriptor(&w), "filter descriptor");
        check(cudnnSetFilter4dDescriptor(w, lib.data_type(), CUDNN_TENSOR_NHWC, s.y().stored_c(),
                                         s.x.stored_c(), s.w.r, s.w.s),
              "filter descriptor");
        check(cudnnCreateConvolutionDescriptor(&conv), "convolution descriptor");
        check(cudnnSetConvolution2dDescriptor(conv, s.pad, s.pad, s.stride, s.stride, 1, 1,
                                              CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
              "convolution descriptor");
        check(cudnnSetConvolutionMathType(
                  conv, lib.precision == Precision::f32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH),
              "math type");
        constexpr int kMost = 16;
        int found = 0;
        cudnnConvolutionFwdAlgoPerf_t f[kMost];
        check(cudnnFindConvolutionForwardAlgorithm(lib.cudnn, x, w, conv, y, kMost, &found, f),
              "search of forward algorithms");
        forward = best(f, found, "forward");
        cudnnConvolutionBwdDataAlgoPerf_t d[kMost];
        check(cudnnFindConvolutionBackwardDataAlgorithm(lib.cudnn, w, y, conv, x, kMost, &found, d),
              "search of backward data algorithms");
        backward_data = best(d, found, "backward data");
        cudnnConvolutionBwdFilterAlgoPerf_t b[kMost];
        check(
            cudnnFindConvolutionBackwardFilterAlgorithm(lib.cudnn, x, y, conv, w, kMost, &found, b),
            "search of backward filter algorithms");
        backward_filter = best(b, found, "backward filter");
        // The fused call without ReLU exists for this algorithm alone.
        size_t bytes = 0;
        check(
            cudnnGetConvolutionForwardWorkspaceSize(
                lib.cudnn, x, w, conv, y, CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, &bytes),
            "workspace");
        fused_workspace = std::max(bytes, forward.workspace);
    }
    ~Plan() {
        cudnnDestroyConvolutionDescriptor(conv);
        cudnnDestroyFilterDescriptor(w);
    }
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    size_t fused_workspace = 0;
    size_t workspace() const {
        return std::max({fused_workspace, backward_data.workspace, backward_filter.workspace});
    }
    bool copies() const { return libraries().activation() == Type::bf16 || rows != stored; }
    size_t filter_bytes() const { return stored * size_t(bytes_of(libraries().activation())); }

private:
    // The list is sorted by time.
    template <class Perf>
    static Algorithm best(const Perf* perf, int count, const char* what) {
        for (int i = 0; i < count; ++i)
            if (perf[i].status == CUDNN_STATUS_SUCCESS && perf[i].memory <= kMostWorkspace &&
                (!libraries().deterministic || perf[i].determinism == CUDNN_DETERMINISTIC))
                return {int(perf[i].algo), perf[i].memory};
        fail_with(Exit::device, "cudnn: no ", what, " algorithm for this shape");
    }
};

Plan& plan_of(const ConvShape& s) {
    const auto key = std::make_tuple(s.x.n, s.x.c, s.x.h, s.x.w, s.x.block, s.w.k, s.w.r, s.w.s,
                                     s.stride, s.pad, s.y_block, libraries().precision);
    static std::mutex mutex;
    static std::map<decltype(key), std::unique_ptr<Plan>> plans;
    const std::lock_guard lock(mutex);
    auto& plan = plans[key];
    if (!plan) plan = std::make_unique<Plan>(s);
    return *plan;
}

// Where things lie in scratch, behind the workspace.
size_t filter_at(const Plan& p) { return size_t(round_up(int64_t(p.workspace()), kAlign)); }
size_t bias_at(const Plan& p) {
    return filter_at(p) +
           (p.copies() ? size_t(round_up(int64_t(p.filter_bytes()), kAlign)) : size_t(0));
}

size_t scratch_bytes(const ConvShape& s) {
    const Plan& p = plan_of(s);
    return bias_at(p) + size_t(s.y().stored_c()) * sizeof(float);
}

// The filter as the library wants it, at `to`.
void lay_out(const Plan& p, const par* w, void* to, Stream stream) {
    const Memory& memory = libraries().own->memory;
    if (libraries().activation() == Type::bf16) {
        to_bf16(static_cast<const float*>(w), int64_t(p.rows), int64_t(p.stored), to, stream);
        return;
    }
    memory.copy(to, w, p.rows * sizeof(float), stream);
    if (p.stored > p.rows)
        memory.zero(static_cast<float*>(to) + p.rows, (p.stored - p.rows) * sizeof(float), stream);
}

const void* library_filter(const Plan& p, const par* w, void* scratch, Stream stream) {
    if (!p.copies()) return w;
    void* to = static_cast<char*>(scratch) + filter_at(p);
    lay_out(p, w, to, stream);
    return to;
}

// A bias is float32 to us, and of the maps' type to the library.
const void* library_bias(
    const Plan& p, const ConvShape& s, const par* bias, void* scratch, Stream stream) {
    if (libraries().activation() != Type::bf16) return bias;
    void* to = static_cast<char*>(scratch) + bias_at(p);
    to_bf16(static_cast<const float*>(bias), s.y().stored_c(), s.y().stored_c(), to, stream);
    return to;
}

void forward(const ConvShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    const Plan& p = plan_of(s);
    const cudnnHandle_t cudnn = libraries().on(stream);
    check(cudnnConvolutionForward(cudnn, &kOne, p.x, x, p.w, library_filter(p, w, scratch, stream),
                                  p.conv, cudnnConvolutionFwdAlgo_t(p.forward.number), scratch,
                                  p.workspace(), &kZero, p.y, y),
          "convolution");
    if (bias)
        check(cudnnAddTensor(cudnn, &kOne, p.bias, library_bias(p, s, bias, scratch, stream), &kOne,
                             p.y, y),
              "bias");
}

void backward_data(const ConvShape& s,
                   const act* dy,
                   const par* w,
                   act* dx,
                   Write write,
                   void* scratch,
                   Stream stream) {
    const Plan& p = plan_of(s);
    const float b = beta(write);
    check(cudnnConvolutionBackwardData(libraries().on(stream), &kOne, p.w,
                                       library_filter(p, w, scratch, stream), p.y, dy, p.conv,
                                       cudnnConvolutionBwdDataAlgo_t(p.backward_data.number),
                                       scratch, p.workspace(), &b, p.x, dx),
          "backward data");
}

void backward_filter(const ConvShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    const Plan& p = plan_of(s);
    const Memory& memory = libraries().own->memory;
    const cudnnHandle_t cudnn = libraries().on(stream);
    void* own = static_cast<char*>(scratch) + filter_at(p);
    void* to = p.copies() ? own : dw;
    const float b = p.copies() ? 0 : beta(write);
    check(cudnnConvolutionBackwardFilter(cudnn, &kOne, p.x, x, p.y, dy, p.conv,
                                         cudnnConvolutionBwdFilterAlgo_t(p.backward_filter.number),
                                         scratch, p.workspace(), &b, p.w, to),
          "backward filter");
    if (libraries().activation() == Type::bf16) {
        from_bf16(own, int64_t(p.rows), static_cast<float*>(dw), write, stream);
    } else if (p.copies()) {
        const Map numbers{.c = int(p.rows), .block = 1};
        if (write == Write::replace)
            memory.copy(dw, own, p.rows * sizeof(float), stream);
        else
            libraries().own->add.accumulate(numbers, own, dw, write, stream);
    }
    if (!dbias) return;
    const bool converts = libraries().activation() == Type::bf16;
    void* bias = converts ? static_cast<char*>(scratch) + bias_at(p) : dbias;
    const float of_bias = converts ? 0 : beta(write);
    check(cudnnConvolutionBackwardBias(cudnn, &kOne, p.y, dy, &of_bias, p.bias, bias),
          "bias gradient");
    if (converts) from_bf16(bias, s.y().stored_c(), static_cast<float*>(dbias), write, stream);
}

size_t prepared_bytes(const ConvShape& s, bool, bool) { return plan_of(s).filter_bytes(); }

void prepare(const ConvShape& s, bool, bool, const par* w, void* prepared, Stream stream) {
    lay_out(plan_of(s), w, prepared, stream);
}

void infer(const ConvShape& s,
           const act* x,
           const void* prepared,
           const par* bias,
           const act* residual,
           bool relu,
           act* y,
           void* scratch,
           Stream stream) {
    const Plan& p = plan_of(s);
    FP_CHECK(bias, "cudnn: inference wants a bias, zeros if need be");
    cudnnActivationDescriptor_t activation = nullptr;
    check(cudnnCreateActivationDescriptor(&activation), "activation descriptor");
    check(cudnnSetActivationDescriptor(activation,
                                       relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY,
                                       CUDNN_NOT_PROPAGATE_NAN, 0),
          "activation descriptor");
    const auto algorithm = relu ? cudnnConvolutionFwdAlgo_t(p.forward.number)
                                : CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
    const float of_residual = residual ? 1 : 0;
    const cudnnStatus_t status = cudnnConvolutionBiasActivationForward(
        libraries().on(stream), &kOne, p.x, x, p.w, prepared, p.conv, algorithm, scratch,
        p.workspace(), &of_residual, p.y, residual ? residual : y, p.bias,
        library_bias(p, s, bias, scratch, stream), activation, p.y, y);
    cudnnDestroyActivationDescriptor(activation);
    check(status, "convolution with bias, residual and activation");
}

}  // namespace

extern const Conv conv{.scratch_bytes = scratch_bytes,
                       .forward = forward,
                       .backward_data = backward_data,
                       .backward_filter = backward_filter,
                       .prepared_bytes = prepared_bytes,
                       .prepare = prepare,
                       .infer = infer};

}  // namespace fp::cudnn
