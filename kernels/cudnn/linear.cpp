// Linear layers by cuBLAS, which is column-major: our rows are its columns.
//
//   forward          y (n,k)  = x (n,l) w (k,l)^T     l: the stored length of a sample
//   backward_data    dx (n,l) = dy (n,k) w (k,l)
//   backward_filter  dw (k,l) = dy (n,k)^T x (n,l)
//
// In bf16 the weight is converted to scratch first; dw is float32.
#include "kernels/cudnn/libraries.h"

namespace fp::cudnn {
namespace {

struct Sizes {
    int n, k, length, y_row;
    explicit Sizes(const LinearShape& s)
        : n(s.x.n), k(s.w.k), length(int(s.x.stored() / s.x.n)), y_row(s.y().stored_c()) {}
    int64_t weights() const { return int64_t(k) * length; }
    size_t weight_bytes() const { return size_t(round_up(weights() * 2, 256)); }
};

bool converts() { return libraries().activation() == Type::bf16; }

size_t scratch_bytes(const LinearShape& s) {
    if (!converts()) return 0;
    const Sizes g(s);
    return g.weight_bytes() + size_t(g.y_row) * 2;
}

const void* library_weight(const Sizes& g, const par* w, void* scratch, Stream stream) {
    if (!converts()) return w;
    to_bf16(static_cast<const float*>(w), g.weights(), g.weights(), scratch, stream);
    return scratch;
}

// c = a b (+ c), as column-major matrices of m x k, k x n and m x n; `c_type` of c.
void multiply(cublasOperation_t op_a,
              cublasOperation_t op_b,
              int m,
              int n,
              int k,
              const void* a,
              int row_a,
              const void* b,
              int row_b,
              void* c,
              int row_c,
              cudaDataType_t c_type,
              Write write,
              Stream stream) {
    const Libraries& lib = libraries();
    check(cublasSetStream(lib.cublas, static_cast<cudaStream_t>(lib.own->order.native(stream))),
          "stream");
    const cudaDataType_t type = converts() ? CUDA_R_16BF : CUDA_R_32F;
    const cublasComputeType_t compute =
        lib.precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const float keep = beta(write);
    check(cublasGemmEx(lib.cublas, op_a, op_b, m, n, k, &kOne, a, type, row_a, b, type, row_b,
                       &keep, c, c_type, row_c, compute, CUBLAS_GEMM_DEFAULT),
          "product");
}

void forward(const LinearShape& s,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    const Sizes g(s);
    const Libraries& lib = libraries();
    const size_t e = size_t(bytes_of(lib.activation()));
    if (g.y_row > g.k) lib.own->memory.zero(y, size_t(g.n) * g.y_row * e, stream);
    multiply(CUBLAS_OP_T, CUBLAS_OP_N, g.k, g.n, g.length, library_weight(g, w, scratch, stream),
             g.length, x, g.length, y, g.y_row, converts() ? CUDA_R_16BF : CUDA_R_32F,
             Write::replace, stream);
    if (!bias) return;
    const void* add = bias;
    if (converts()) {
        void* to = static_cast<char*>(scratch) + g.weight_bytes();
        to_bf16(static_cast<const float*>(bias), g.y_row, g.y_row, to, stream);
        add = to;
    }
    const MapDescriptor row({.c = s.w.k, .block = s.y_block}, lib.data_type()),
        rows(s.y(), lib.data_type());
    check(cudnnAddTensor(lib.on(stream), &kOne, row, add, &kOne, rows, y), "bias");
}

void backward_data(const LinearShape& s,
                   const act* dy,
                   const par* w,
                   act* dx,
                   Write write,
                   void* scratch,
                   Stream stream) {
    const Sizes g(s);
    multiply(CUBLAS_OP_N, CUBLAS_OP_N, g.length, g.n, g.k, library_weight(g, w, scratch, stream),
             g.length, dy, g.y_row, dx, g.length, converts() ? CUDA_R_16BF : CUDA_R_32F, write,
             stream);
}

void backward_filter(const LinearShape& s,
                     const act* x,
                     const act* dy,
                     par* dw,
                     par* dbias,
                     Write write,
                     void* scratch,
                     Stream stream) {
    const Sizes g(s);
    const Libraries& lib = libraries();
    multiply(CUBLAS_OP_N, CUBLAS_OP_T, g.length, g.k, g.n, x, g.length, dy, g.y_row, dw, g.length,
             CUDA_R_32F, write, stream);
    if (!dbias) return;
    void* to = converts() ? static_cast<char*>(scratch) + g.weight_bytes() : dbias;
    const float keep = converts() ? 0 : beta(write);
    const MapDescriptor row({.c = s.w.k, .block = s.y_block}, lib.data_type()),
        rows(s.y(), lib.data_type());
    check(cudnnConvolutionBackwardBias(lib.on(stream), &kOne, rows, dy, &keep, row, to),
          "bias gradient");
    if (converts()) from_bf16(to, g.y_row, static_cast<float*>(dbias), write, stream);
}

}  // namespace

extern const Linear linear{.scratch_bytes = scratch_bytes,
                           .forward = forward,
                           .backward_data = backward_data,
                           .backward_filter = backward_filter};

}  // namespace fp::cudnn
