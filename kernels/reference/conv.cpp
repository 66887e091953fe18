// Convolution.
//
//   forward          y[n,k,p,q]  = sum_rsc w[k,c,r,s] x[n,c,h,w] + bias[k]     h = p stride + r - pad
//   backward_data    dx[n,c,h,w] = sum_rsk w[k,c,r,s] dy[n,k,p,q]              w = q stride + s - pad
//   backward_filter  dw[k,c,r,s] = sum_npq dy[n,k,p,q] x[n,c,h,w]              dbias[k] = sum_npq dy
//
// Taps outside the map count as zero and are skipped. Tests train whole networks on this backend, so it must not be too
// slow: the operands are first copied as doubles, maps to N,H,W,C and filters to K/16,R,S,C,16, and sixteen outputs are
// summed at once, each in the order above.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

constexpr int kLanes = 16;

Map channels_last(Map m) { return m.block = m.c, m; }

// Filter k of lane k % 16 reads its c in a run.
Filter in_lanes(Filter f) { return f.k_block = kLanes, f.c_block = f.c, f; }

// The filter of backward_data: k and c change places.
Filter transposed(Filter f) { return std::swap(f.k, f.c), in_lanes(f); }

template <class T>
std::vector<double> repacked(const MapView<const T>& x, const Map& to) {
    std::vector<double> out(size_t(to.stored()));
    for_each(to, [&](int n, int c, int h, int w) { out[size_t(to.at(n, c, h, w))] = x(n, c, h, w); });
    return out;
}

template <class T>
std::vector<double> repacked(const FilterView<const T>& w, const Filter& to, bool transpose) {
    std::vector<double> out(size_t(to.stored()));
#pragma omp parallel for if (double(to.logical()) > kWorthThreads)
    for (int k = 0; k < to.k; ++k)
        for (int c = 0; c < to.c; ++c)
            for (int r = 0; r < to.r; ++r)
                for (int s = 0; s < to.s; ++s)
                    out[size_t(to.at(k, c, r, s))] = transpose ? w(c, k, r, s) : w(k, c, r, s);
    return out;
}

// sum += a b in every lane
void add_scaled(double* sum, double a, const double* b) {
#pragma omp simd
    for (int lane = 0; lane < kLanes; ++lane) sum[lane] += a * b[lane];
}

// Along one side of a map: which element the output at i reads through tap r, or -1 for none.
struct Taps {
    int window;
    std::vector<int> source;
    int operator()(int i, int r) const { return source[size_t(i) * size_t(window) + size_t(r)]; }
};

// Output p reads input p stride + r - pad.
Taps taps(int inputs, int outputs, int window, int stride, int pad) {
    Taps t{window, {}};
    for (int p = 0; p < outputs; ++p)
        for (int r = 0; r < window; ++r) {
            const int h = p * stride + r - pad;
            t.source.push_back(h >= 0 && h < inputs ? h : -1);
        }
    return t;
}

// The inverse: the input at h is read by the output p with p stride + r - pad = h.
Taps taps_back(int inputs, int outputs, int window, int stride, int pad) {
    Taps t{window, {}};
    for (int h = 0; h < inputs; ++h)
        for (int r = 0; r < window; ++r) {
            const int reach = h + pad - r;
            const bool reads = reach >= 0 && reach % stride == 0 && reach / stride < outputs;
            t.source.push_back(reads ? reach / stride : -1);
        }
    return t;
}

struct Correlation {
    Map x_map;
    std::vector<double> x;
    Filter filter;
    std::vector<double> w;
    Taps rows, columns;
};

// store(n, k, p, q, sum_rsc w[k,c,r,s] x[n, c, rows(p,r), columns(q,s)]) for every element of y.
template <class Store>
void correlate(const Correlation& of, const Map& y, const Store& store) {
    const Filter& filter = of.filter;
    const double macs = double(y.logical()) * filter.c * filter.r * filter.s;
#pragma omp parallel for collapse(2) if (macs > kWorthThreads)
    for (int tile = 0; tile < filter.k_blocks(); ++tile)
        for (int n = 0; n < y.n; ++n)
            for (int p = 0; p < y.h; ++p)
                for (int q = 0; q < y.w; ++q) {
                    double sum[kLanes] = {};
                    for (int r = 0; r < filter.r; ++r)
                        for (int s = 0; s < filter.s; ++s) {
                            const int h = of.rows(p, r), v = of.columns(q, s);
                            if (h < 0 || v < 0) continue;
                            const double* in = &of.x[size_t(of.x_map.at(n, 0, h, v))];
                            const double* weight = &of.w[size_t(filter.at(tile * kLanes, 0, r, s))];
                            for (int c = 0; c < filter.c; ++c) add_scaled(sum, in[c], weight + c * kLanes);
                        }
                    for (int k = tile * kLanes; k < std::min(y.c, (tile + 1) * kLanes); ++k)
                        store(n, k, p, q, sum[k % kLanes]);
                }
}

size_t scratch_bytes(const ConvShape&) { return 0; }

template <class T>
void infer(const ConvShape& shape, const Conv::Infer& a, void*, Stream) {
    const auto* bias = as<T>(a.bias);
    const auto residual = view<T>(shape.y(), a.residual);
    const auto y = view<T>(shape.y(), a.y);
    const FilterView<const T> w{shape.w, static_cast<const T*>(a.prepared)};
    const Map x_map = channels_last(shape.x);
    const Filter filter = in_lanes(shape.w);
    correlate({.x_map = x_map,
               .x = repacked(view<T>(shape.x, a.x), x_map),
               .filter = filter,
               .w = repacked(w, filter, false),
               .rows = taps(x_map.h, y.map.h, filter.r, shape.stride, shape.pad),
               .columns = taps(x_map.w, y.map.w, filter.s, shape.stride, shape.pad)},
              y.map, [&](int n, int k, int p, int q, double z) {
                  if (bias) z += bias[k];
                  if (a.residual) z += residual(n, k, p, q);
                  y(n, k, p, q) = T(a.relu && z <= 0 ? 0 : z);
              });
    zero_padding(y);
}

template <class T>
void forward(const ConvShape& shape, const Conv::Forward& a, void* scratch, Stream stream) {
    infer<T>(shape, Conv::Infer::of(a, a.w), scratch, stream);
}

template <class T>
void backward_data(const ConvShape& shape, const Conv::BackwardData& a, void*, Stream) {
    const auto dx = view<T>(shape.x, a.dx);
    const Map dy_map = channels_last(shape.y());
    const Filter filter = transposed(shape.w);
    correlate({.x_map = dy_map,
               .x = repacked(view<T>(shape.y(), a.dy), dy_map),
               .filter = filter,
               .w = repacked(view<T>(shape.w, a.w), filter, true),
               .rows = taps_back(dx.map.h, dy_map.h, filter.r, shape.stride, shape.pad),
               .columns = taps_back(dx.map.w, dy_map.w, filter.s, shape.stride, shape.pad)},
              dx.map, [&](int n, int c, int h, int v, double sum) { put(dx(n, c, h, v), sum, a.write); });
    zero_padding(dx);
}

template <class T>
void backward_filter(const ConvShape& shape, const Conv::BackwardFilter& a, void*, Stream) {
    const auto dw = view<T>(shape.w, a.dw);
    const Filter filter = in_lanes(shape.w);
    const Map x_map = channels_last(shape.x);
    Map dy_map = shape.y();
    dy_map.block = kLanes;
    const auto x = repacked(view<T>(shape.x, a.x), x_map);
    const auto dy = repacked(view<T>(shape.y(), a.dy), dy_map);
    const Taps rows = taps(x_map.h, dy_map.h, filter.r, shape.stride, shape.pad);
    const Taps columns = taps(x_map.w, dy_map.w, filter.s, shape.stride, shape.pad);

#pragma omp parallel for collapse(3) if (shape.macs() > kWorthThreads)
    for (int tile = 0; tile < filter.k_blocks(); ++tile)
        for (int r = 0; r < filter.r; ++r)
            for (int s = 0; s < filter.s; ++s) {
                std::vector<double> sums(size_t(filter.c) * kLanes);
                for (int n = 0; n < dy_map.n; ++n)
                    for (int p = 0; p < dy_map.h; ++p)
                        for (int q = 0; q < dy_map.w; ++q) {
                            const int h = rows(p, r), v = columns(q, s);
                            if (h < 0 || v < 0) continue;
                            const double* in = &x[size_t(x_map.at(n, 0, h, v))];
                            const double* slope = &dy[size_t(dy_map.at(n, tile * kLanes, p, q))];
                            for (int c = 0; c < filter.c; ++c) add_scaled(&sums[size_t(c * kLanes)], in[c], slope);
                        }
                for (int k = tile * kLanes; k < std::min(filter.k, (tile + 1) * kLanes); ++k)
                    for (int c = 0; c < filter.c; ++c)
                        put(dw(k, c, r, s), sums[size_t(c * kLanes + k % kLanes)], a.write);
            }
    zero_padding(dw);

    auto* dbias = as<T>(a.dbias);
    if (!dbias) return;
    for (int k = 0; k < dy_map.c; ++k) {
        double sum = 0;
        for (int n = 0; n < dy_map.n; ++n)
            for (int p = 0; p < dy_map.h; ++p)
                for (int q = 0; q < dy_map.w; ++q) sum += dy[size_t(dy_map.at(n, k, p, q))];
        put(dbias[k], sum, a.write);
    }
    zero_padding(dbias, dy_map.c, shape.y().stored_c());
}

// A prepared filter is a copy of it.
template <class T>
size_t prepared_bytes(const ConvShape& shape, Conv::Fused) {
    return size_t(shape.w.stored()) * sizeof(T);
}

template <class T>
void prepare(const ConvShape& shape, Conv::Fused, const par* w, void* prepared, Stream) {
    std::memcpy(prepared, w, size_t(shape.w.stored()) * sizeof(T));
}

template <class T>
constexpr Conv conv{.scratch_bytes = scratch_bytes,
                    .forward = forward<T>,
                    .backward_data = backward_data<T>,
                    .backward_filter = backward_filter<T>,
                    .prepared_bytes = prepared_bytes<T>,
                    .prepare = prepare<T>,
                    .infer = infer<T>};

}  // namespace

extern const Conv conv_f32{conv<float>};
extern const Conv conv_f64{conv<double>};

}  // namespace fp::reference
