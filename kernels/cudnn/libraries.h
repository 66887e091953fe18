// The vendor's libraries: handles, errors, descriptors.
#pragma once

#include <cublas_v2.h>
#include <cudnn.h>

#include <string>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cudnn {

inline void check(cudnnStatus_t status, const char* what) {
    FP_REQUIRE(status == CUDNN_STATUS_SUCCESS, Exit::device, "cudnn: ", what, ": ", cudnnGetErrorString(status));
}
inline void check(cublasStatus_t status, const char* what) {
    FP_REQUIRE(status == CUBLAS_STATUS_SUCCESS, Exit::device, "cublas: ", what, ": ", cublasGetStatusString(status));
}

inline void check(cudaError_t status, const char* what) {
    FP_REQUIRE(status == cudaSuccess, Exit::device, "cudnn: ", what, ": ", cudaGetErrorString(status));
}

// One of each library, made at first use on the selected GPU. `own` is the table of our kernels, for what
// the libraries do not have. `deterministic` (environment FP_CUDNN_DETERMINISTIC=1) leaves out algorithms
// whose results may differ from run to run.
struct Libraries {
    cudnnHandle_t cudnn = nullptr;
    cublasHandle_t cublas = nullptr;
    void* cublas_workspace = nullptr;  // of kCublasWorkspace bytes
    const Kernels* own = nullptr;
    Precision precision = Precision::f32;
    bool deterministic = false;

    Type activation() const { return own->activation; }
    cudnnDataType_t data_type() const { return activation() == Type::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT; }
    cudaStream_t native(Stream s) const { return static_cast<cudaStream_t>(own->streams.native(s)); }
    cudnnHandle_t on(Stream s) const {
        check(cudnnSetStream(cudnn, native(s)), "stream");
        return cudnn;
    }
    // cuBLAS forgets its workspace with each stream it is given, and would allocate one while a graph is captured.
    static constexpr size_t kCublasWorkspace = size_t(32) << 20;
    cublasHandle_t cublas_on(Stream s) const {
        check(cublasSetStream(cublas, native(s)), "stream");
        check(cublasSetWorkspace(cublas, cublas_workspace, kCublasWorkspace), "workspace");
        return cublas;
    }
};
// Of the table that runs: the one whose find() answered last.
const Libraries& libraries();

// A map in memory, N H W C with the stored channels.
class MapDescriptor {
public:
    MapDescriptor(const Map& m, cudnnDataType_t type) {
        check(cudnnCreateTensorDescriptor(&d_), "tensor descriptor");
        check(cudnnSetTensor4dDescriptor(d_, CUDNN_TENSOR_NHWC, type, m.n, m.stored_c(), m.h, m.w),
              "tensor descriptor");
    }
    ~MapDescriptor() { cudnnDestroyTensorDescriptor(d_); }
    MapDescriptor(const MapDescriptor&) = delete;
    MapDescriptor& operator=(const MapDescriptor&) = delete;
    operator cudnnTensorDescriptor_t() const { return d_; }

private:
    cudnnTensorDescriptor_t d_ = nullptr;
};

// beta of the libraries' y = alpha op + beta y.
inline float beta(Write write) { return write == Write::add ? 1.0f : 0.0f; }
inline constexpr float kOne = 1, kZero = 0;

// Column-major c = a b (+ c), of m x k, k x n and m x n; a and b as activations are, `c_type` of c. op_a and op_b say
// whether a and b lie transposed; row_a, row_b and row_c are the distances from column to column. (linear.cpp)
struct Product {
    cublasOperation_t op_a, op_b;
    int m, n, k;
    const void* a;
    int row_a;
    const void* b;
    int row_b;
    void* c;
    int row_c;
    cudaDataType_t c_type;
};
void multiply(const Product&, Write, Stream);

// sums[c] = (or +=) the sum over rows of data[row][c], as a product with a vector of ones, which is written to `ones`.
// data and ones are of the activation type. (linear.cpp)
struct Rows {
    const void* data;
    int64_t count;
    int columns;
};
void column_sums(const Rows&, float* sums, Write, void* ones, Stream);

// ---- elementwise.cu

// `rows` numbers of `from` to bf16, zeros from there to `all`; and back, replacing or adding.
void to_bf16(const float* from, int64_t rows, int64_t all, void* to, Stream);
void from_bf16(const void* from, int64_t count, float* to, Write, Stream);
// `count` ones, as activations are.
void fill_ones(int64_t count, void* to, Stream);
// y = relu(y + bias[c] + residual), each step if given; bias and residual may be null.
struct Finishing {
    const par* bias;
    const act* residual;
    bool relu;
};
void finish_map(const Map&, const Finishing&, act* y, Stream);
// Zeros in the channels of a map that stand behind the logical ones.
void zero_padding(const Map&, act*, Stream);

// ---- table.cpp

// Remembers which plan was chosen for what: a line of what fairprune_cudnn_plans() returns.
void note_plan(const std::string&);

}  // namespace fp::cudnn
