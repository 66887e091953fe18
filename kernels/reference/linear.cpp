// Linear layer: the filter is as large as the map. i stands for (c, h, w) in this order.
//
//   forward          y[n,k]  = bias[k] + sum_i w[k,i] x[n,i]
//   backward_data    dx[n,i] = sum_k w[k,i] dy[n,k]
//   backward_filter  dw[k,i] = sum_n dy[n,k] x[n,i]       dbias[k] = sum_n dy[n,k]
#include <algorithm>
#include <vector>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

// The offset of element i from its sample, or from its filter: Map::at(0,c,h,w), Filter::at(0,c,h,w).
struct Offsets {
    std::vector<int64_t> x, w;

    explicit Offsets(const LinearShape& shape) {
        for (int c = 0; c < shape.x.c; ++c)
            for (int h = 0; h < shape.x.h; ++h)
                for (int v = 0; v < shape.x.w; ++v) {
                    x.push_back(shape.x.at(0, c, h, v));
                    w.push_back(shape.w.at(0, c, h, v));
                }
    }
    size_t count() const { return x.size(); }
};

size_t scratch_bytes(const LinearShape&) { return 0; }

template <class T>
void forward(const LinearShape& shape, const Linear::Forward& a, void*, Stream) {
    const auto x = view<T>(shape.x, a.x);
    const auto w = view<T>(shape.w, a.w);
    const auto* bias = as<T>(a.bias);
    const auto y = view<T>(shape.y(), a.y);
    const Offsets at(shape);

#pragma omp parallel for if (shape.macs() > kWorthThreads)
    for (int k = 0; k < shape.w.k; ++k)
        for (int n = 0; n < shape.x.n; ++n) {
            const T *filter = &w(k, 0, 0, 0), *sample = &x(n, 0, 0, 0);
            double sum = bias ? double(bias[k]) : 0.0;
            for (size_t i = 0; i < at.count(); ++i) sum += double(filter[at.w[i]]) * sample[at.x[i]];
            y(n, k, 0, 0) = T(sum);
        }
    zero_padding(y);
}

template <class T>
void backward_data(const LinearShape& shape, const Linear::BackwardData& a, void*, Stream) {
    const auto dy = view<T>(shape.y(), a.dy);
    const auto w = view<T>(shape.w, a.w);
    const auto dx = view<T>(shape.x, a.dx);
    const Offsets at(shape);
    constexpr size_t kChunk = 512;  // each filter is then read once, in contiguous runs

#pragma omp parallel for if (shape.macs() > kWorthThreads)
    for (size_t first = 0; first < at.count(); first += kChunk) {
        const size_t count = std::min(kChunk, at.count() - first);
        std::vector<double> sums(size_t(shape.x.n) * count);
        for (int k = 0; k < shape.w.k; ++k) {
            const T* filter = &w(k, 0, 0, 0);
            for (int n = 0; n < shape.x.n; ++n) {
                const double slope = dy(n, k, 0, 0);
                for (size_t i = 0; i < count; ++i) sums[size_t(n) * count + i] += filter[at.w[first + i]] * slope;
            }
        }
        for (int n = 0; n < shape.x.n; ++n)
            for (size_t i = 0; i < count; ++i)
                put((&dx(n, 0, 0, 0))[at.x[first + i]], sums[size_t(n) * count + i], a.write);
    }
    zero_padding(dx);
}

template <class T>
void backward_filter(const LinearShape& shape, const Linear::BackwardFilter& a, void*, Stream) {
    const auto x = view<T>(shape.x, a.x);
    const auto dy = view<T>(shape.y(), a.dy);
    const auto dw = view<T>(shape.w, a.dw);
    auto* dbias = as<T>(a.dbias);
    const Offsets at(shape);

#pragma omp parallel for if (shape.macs() > kWorthThreads)
    for (int k = 0; k < shape.w.k; ++k) {
        std::vector<double> sums(at.count());
        double sum = 0;
        for (int n = 0; n < shape.x.n; ++n) {
            const double slope = dy(n, k, 0, 0);
            const T* sample = &x(n, 0, 0, 0);
            for (size_t i = 0; i < at.count(); ++i) sums[i] += slope * sample[at.x[i]];
            sum += slope;
        }
        for (size_t i = 0; i < at.count(); ++i) put((&dw(k, 0, 0, 0))[at.w[i]], sums[i], a.write);
        if (dbias) put(dbias[k], sum, a.write);
    }
    zero_padding(dw);
    if (dbias) zero_padding(dbias, shape.w.k, shape.y().stored_c());
}

template <class T>
constexpr Linear linear{.scratch_bytes = scratch_bytes,
                        .forward = forward<T>,
                        .backward_data = backward_data<T>,
                        .backward_filter = backward_filter<T>};

}  // namespace

extern const Linear linear_f32{linear<float>};
extern const Linear linear_f64{linear<double>};

}  // namespace fp::reference
