// Linear layers by cuBLAS, which is column-major: our rows are its columns.
//
//   forward          y (n,k)  = x (n,l) w (k,l)^T     l: the stored length of a sample
//   backward_data    dx (n,l) = dy (n,k) w (k,l)
//   backward_filter  dw (k,l) = dy (n,k)^T x (n,l)
//
// In bf16 the weight is first converted, into scratch; dw is float32. A bias gradient is a product with a vector of
// ones.
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

// Scratch: the weight's copy, then the ones of the bias gradient's product.
size_t ones_at(const Sizes& g) { return converts() ? g.weight_bytes() : 0; }
size_t scratch_bytes(const LinearShape& s) {
    const Sizes g(s);
    return ones_at(g) + size_t(g.n) * size_t(bytes_of(libraries().activation()));
}

const void* library_weight(const Sizes& g, const par* w, void* scratch, Stream stream) {
    if (!converts()) return w;
    to_bf16(as<float>(w), g.weights(), g.weights(), scratch, stream);
    return scratch;
}

cudaDataType_t activation_type() { return converts() ? CUDA_R_16BF : CUDA_R_32F; }

void forward(const LinearShape& s, const Linear::Forward& a, void* scratch, Stream stream) {
    const Sizes g(s);
    const Libraries& lib = libraries();
    const size_t e = size_t(bytes_of(lib.activation()));
    if (g.y_row > g.k) lib.own->memory.zero(a.y, size_t(g.n) * g.y_row * e, stream);
    multiply({.op_a = CUBLAS_OP_T,
              .op_b = CUBLAS_OP_N,
              .m = g.k,
              .n = g.n,
              .k = g.length,
              .a = library_weight(g, a.w, scratch, stream),
              .row_a = g.length,
              .b = a.x,
              .row_b = g.length,
              .c = a.y,
              .row_c = g.y_row,
              .c_type = activation_type()},
             Write::replace, stream);
    if (a.bias) finish_map(s.y(), {.bias = a.bias, .residual = nullptr, .relu = false}, a.y, stream);
}

void backward_data(const LinearShape& s, const Linear::BackwardData& a, void* scratch, Stream stream) {
    const Sizes g(s);
    multiply({.op_a = CUBLAS_OP_N,
              .op_b = CUBLAS_OP_N,
              .m = g.length,
              .n = g.n,
              .k = g.k,
              .a = library_weight(g, a.w, scratch, stream),
              .row_a = g.length,
              .b = a.dy,
              .row_b = g.y_row,
              .c = a.dx,
              .row_c = g.length,
              .c_type = activation_type()},
             a.write, stream);
}

void backward_filter(const LinearShape& s, const Linear::BackwardFilter& a, void* scratch, Stream stream) {
    const Sizes g(s);
    multiply({.op_a = CUBLAS_OP_N,
              .op_b = CUBLAS_OP_T,
              .m = g.length,
              .n = g.k,
              .k = g.n,
              .a = a.x,
              .row_a = g.length,
              .b = a.dy,
              .row_b = g.y_row,
              .c = a.dw,
              .row_c = g.length,
              .c_type = CUDA_R_32F},
             a.write, stream);
    if (a.dbias)
        column_sums({a.dy, g.n, g.y_row}, as<float>(a.dbias), a.write, static_cast<char*>(scratch) + ones_at(g),
                    stream);
}

}  // namespace

extern const Linear linear{.scratch_bytes = scratch_bytes,
                           .forward = forward,
                           .backward_data = backward_data,
                           .backward_filter = backward_filter};

void multiply(const Product& p, Write write, Stream stream) {
    const Libraries& lib = libraries();
    const cublasComputeType_t compute =
        lib.precision == Precision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const float keep = beta(write);
    check(cublasGemmEx(lib.cublas_on(stream), p.op_a, p.op_b, p.m, p.n, p.k, &kOne, p.a, activation_type(), p.row_a,
                       p.b, activation_type(), p.row_b, &keep, p.c, p.c_type, p.row_c, compute, CUBLAS_GEMM_DEFAULT),
          "product");
}

void column_sums(const Rows& of, float* sums, Write write, void* ones, Stream stream) {
    fill_ones(of.count, ones, stream);
    multiply({.op_a = CUBLAS_OP_N,
              .op_b = CUBLAS_OP_N,
              .m = of.columns,
              .n = 1,
              .k = int(of.count),
              .a = of.data,
              .row_a = of.columns,
              .b = ones,
              .row_b = int(of.count),
              .c = sums,
              .row_c = of.columns,
              .c_type = CUDA_R_32F},
             write, stream);
}

}  // namespace fp::cudnn
