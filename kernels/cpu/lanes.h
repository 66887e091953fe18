// Vectors of channels: GCC's and clang's vector extension, so one source makes AVX-512, AVX2 or NEON.
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/error.h"

namespace fp::cpu {

// What one register of the machine compiled for holds.
constexpr int kNativeLanes = __BIGGEST_ALIGNMENT__ / sizeof(float);

template <class T, int L>
struct VectorOf {
    typedef T type __attribute__((vector_size(L * sizeof(T))));
    typedef T in_memory __attribute__((vector_size(L * sizeof(T)), aligned(sizeof(T)), may_alias));
};
template <int L>
using Floats = typename VectorOf<float, L>::type;
template <int L>
using Doubles = typename VectorOf<double, L>::type;
template <int L>
using Ints = typename VectorOf<int32_t, L>::type;

template <int L>
inline Floats<L> load(const float* p) {
    return *reinterpret_cast<const typename VectorOf<float, L>::in_memory*>(p);
}
template <int L>
inline void store(float* p, const Floats<L>& v) {
    *reinterpret_cast<typename VectorOf<float, L>::in_memory*>(p) = v;
}
template <int L>
inline Doubles<L> load(const double* p) {
    return *reinterpret_cast<const typename VectorOf<double, L>::in_memory*>(p);
}
template <int L>
inline void store(double* p, const Doubles<L>& v) {
    *reinterpret_cast<typename VectorOf<double, L>::in_memory*>(p) = v;
}

// body(integral_constant of the block): what is inside the call knows it at compile time.
template <class Body>
void with_block(int block, const Body& body) {
    FP_CHECK(block == 8 || block == 16, "channels in blocks of ", block, ", wants 8 or 16");
    block == 16 ? body(std::integral_constant<int, 16>()) : body(std::integral_constant<int, 8>());
}

// body(true_type or false_type, ...) for flags that an inner loop should not ask for.
template <class Body>
void with_flag(bool flag, const Body& body) {
    flag ? body(std::true_type()) : body(std::false_type());
}

}  // namespace fp::cpu
