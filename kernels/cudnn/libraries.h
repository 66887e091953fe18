// The vendor's libraries: handles, errors, descriptors.
#pragma once

#include <cublas_v2.h>
#include <cudnn.h>

#include "kernels/error.h"
#include "kernels/kernels.h"

namespace fp::cudnn {

inline void check(cudnnStatus_t status, const char* what) {
    FP_REQUIRE(status == CUDNN_STATUS_SUCCESS, Exit::device, "cudnn: ", what, ": ",
               cudnnGetErrorString(status));
}
inline void check(cublasStatus_t status, const char* what) {
    FP_REQUIRE(status == CUBLAS_STATUS_SUCCESS, Exit::device, "cublas: ", what, ": ",
               cublasGetStatusString(status));
}

// One of each library, made at first use on the selected GPU. `own` is the table of our kernels, for what
// the libraries do not have. `deterministic` (environment FP_CUDNN_DETERMINISTIC=1) leaves out algorithms
// whose results may differ from run to run.
struct Libraries {
    cudnnHandle_t cudnn = nullptr;
    cublasHandle_t cublas = nullptr;
    const Kernels* own = nullptr;
    Precision precision = Precision::f32;
    bool deterministic = false;

    Type activation() const { return own->activation; }
    cudnnDataType_t data_type() const {
        return activation() == Type::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    }
    cudnnHandle_t on(Stream s) const {
        check(cudnnSetStream(cudnn, static_cast<cudaStream_t>(own->order.native(s))), "stream");
        return cudnn;
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

// convert.cu. `rows` numbers of `from` to bf16, zeros from there to `all`; and back, replacing or adding.
void to_bf16(const float* from, int64_t rows, int64_t all, void* to, Stream);
void from_bf16(const void* from, int64_t count, float* to, Write, Stream);

}  // namespace fp::cudnn
