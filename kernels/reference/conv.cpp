// Convolution.
//
//   forward          y[n,k,p,q]  = bias[k] + sum_crs w[k,c,r,s] x[n,c,h,w]     h = p stride + r - pad
//   backward_data    dx[n,c,h,w] = sum_k sum_rs w[k,c,r,s] dy[n,k,p,q]         w = q stride + s - pad
//   backward_filter  dw[k,c,r,s] = sum_npq dy[n,k,p,q] x[n,c,h,w]              dbias[k] = sum_npq dy
//
// Taps outside the map count as zero; the loops walk only the outputs whose tap lies on it, row by row.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

struct Range {
    int first, last;  // one past
    int count() const { return last - first; }
};

// The outputs i whose tap r meets the input: 0 <= i stride + r - pad < size.
Range outputs_on_input(int size, int outputs, int stride, int pad, int r) {
    const int reach = size - 1 + pad - r;  // the largest i stride
    const int first = pad > r ? int(ceil_div(pad - r, stride)) : 0;
    const int last = reach < 0 ? 0 : std::min(outputs, reach / stride + 1);
    return {std::min(first, last), last};
}

size_t scratch_bytes(const ConvShape&) { return 0; }

template <class T>
void infer(const ConvShape& shape,
           const act* x_act,
           const void* prepared,
           const par* bias_par,
           const act* residual_act,
           bool relu,
           act* y_act,
           void*,
           Stream) {
    const auto x = view<T>(shape.x, x_act);
    const auto weight = view<T>(shape.w, prepared);
    const auto* bias = static_cast<const T*>(bias_par);
    const auto residual = view<T>(shape.y(), residual_act);
    const auto y = view<T>(shape.y(), y_act);
    const int step = shape.stride * shape.x.block;  // from one output's tap to the next's

#pragma omp parallel for collapse(2) if (shape.macs() > kWorthThreads)
    for (int n = 0; n < y.map.n; ++n)
        for (int k = 0; k < y.map.c; ++k) {
            std::vector<double> plane(y.map.pixels(), bias ? double(bias[k]) : 0.0);
            for (int c = 0; c < shape.w.c; ++c)
                for (int r = 0; r < shape.w.r; ++r) {
                    const Range rows =
                        outputs_on_input(x.map.h, y.map.h, shape.stride, shape.pad, r);
                    for (int s = 0; s < shape.w.s; ++s) {
                        const Range row =
                            outputs_on_input(x.map.w, y.map.w, shape.stride, shape.pad, s);
                        if (row.count() == 0) continue;
                        const double w = weight(k, c, r, s);
                        for (int p = rows.first; p < rows.last; ++p) {
                            const T* in = &x(n, c, p * shape.stride + r - shape.pad,
                                             row.first * shape.stride + s - shape.pad);
                            double* out = &plane[p * y.map.w + row.first];
                            for (int q = 0; q < row.count(); ++q) out[q] += w * in[q * step];
                        }
                    }
                }
            for (int p = 0; p < y.map.h; ++p)
                for (int q = 0; q < y.map.w; ++q) {
                    double z = plane[p * y.map.w + q];
                    if (residual_act) z += residual(n, k, p, q);
                    y(n, k, p, q) = T(relu && z <= 0 ? 0 : z);
                }
        }
    zero_padding(y);
}

template <class T>
void forward(const ConvShape& shape,
             const act* x,
             const par* w,
             const par* bias,
             act* y,
             void* scratch,
             Stream stream) {
    infer<T>(shape, x, w, bias, nullptr, false, y, scratch, stream);
}

template <class T>
void backward_data(const ConvShape& shape,
                   const act* dy_act,
                   const par* w_par,
                   act* dx_act,
                   Write write,
                   void*,
                   Stream) {
    const auto dy = view<T>(shape.y(), dy_act);
    const auto weight = view<T>(shape.w, w_par);
    const auto dx = view<T>(shape.x, dx_act);

#pragma omp parallel for collapse(2) if (shape.macs() > kWorthThreads)
    for (int n = 0; n < dx.map.n; ++n)
        for (int c = 0; c < dx.map.c; ++c) {
            std::vector<double> plane(dx.map.pixels());
            for (int k = 0; k < shape.w.k; ++k)
                for (int r = 0; r < shape.w.r; ++r) {
                    const Range rows =
                        outputs_on_input(dx.map.h, dy.map.h, shape.stride, shape.pad, r);
                    for (int s = 0; s < shape.w.s; ++s) {
                        const Range row =
                            outputs_on_input(dx.map.w, dy.map.w, shape.stride, shape.pad, s);
                        if (row.count() == 0) continue;
                        const double w = weight(k, c, r, s);
                        for (int p = rows.first; p < rows.last; ++p) {
                            const T* in = &dy(n, k, p, row.first);
                            double* out = &plane[(p * shape.stride + r - shape.pad) * dx.map.w +
                                                 row.first * shape.stride + s - shape.pad];
                            for (int q = 0; q < row.count(); ++q)
                                out[q * shape.stride] += w * in[q * dy.map.block];
                        }
                    }
                }
            for (int h = 0; h < dx.map.h; ++h)
                for (int w = 0; w < dx.map.w; ++w)
                    put(dx(n, c, h, w), plane[h * dx.map.w + w], write);
        }
    zero_padding(dx);
}

template <class T>
void backward_filter(const ConvShape& shape,
                     const act* x_act,
                     const act* dy_act,
                     par* dw_par,
                     par* dbias_par,
                     Write write,
                     void*,
                     Stream) {
    const auto x = view<T>(shape.x, x_act);
    const auto dy = view<T>(shape.y(), dy_act);
    const auto dw = view<T>(shape.w, dw_par);
    const int step = shape.stride * shape.x.block;

#pragma omp parallel for collapse(2) if (shape.macs() > kWorthThreads)
    for (int k = 0; k < shape.w.k; ++k)
        for (int c = 0; c < shape.w.c; ++c) {
            std::vector<double> columns(dy.map.w);  // sums over n and p; those are added at the end
            for (int r = 0; r < shape.w.r; ++r) {
                const Range rows = outputs_on_input(x.map.h, dy.map.h, shape.stride, shape.pad, r);
                for (int s = 0; s < shape.w.s; ++s) {
                    const Range row =
                        outputs_on_input(x.map.w, dy.map.w, shape.stride, shape.pad, s);
                    std::fill(columns.begin(), columns.end(), 0.0);
                    if (row.count() > 0)
                        for (int n = 0; n < x.map.n; ++n)
                            for (int p = rows.first; p < rows.last; ++p) {
                                const T* in = &x(n, c, p * shape.stride + r - shape.pad,
                                                 row.first * shape.stride + s - shape.pad);
                                const T* out = &dy(n, k, p, row.first);
                                for (int q = 0; q < row.count(); ++q)
                                    columns[q] += double(out[q * dy.map.block]) * in[q * step];
                            }
                    double sum = 0;
                    for (const double column : columns) sum += column;
                    put(dw(k, c, r, s), sum, write);
                }
            }
        }
    zero_padding(dw);

    auto* dbias = static_cast<T*>(dbias_par);
    if (!dbias) return;
    for (int k = 0; k < dy.map.c; ++k) {
        double sum = 0;
        for (int n = 0; n < dy.map.n; ++n)
            for (int p = 0; p < dy.map.h; ++p)
                for (int q = 0; q < dy.map.w; ++q) sum += dy(n, k, p, q);
        put(dbias[k], sum, write);
    }
    zero_padding(dbias, dy.map.c, dy.map.stored_c());
}

// A prepared filter is a copy of it.
template <class T>
size_t prepared_bytes(const ConvShape& shape, bool, bool) {
    return size_t(shape.w.stored()) * sizeof(T);
}

template <class T>
void prepare(const ConvShape& shape, bool, bool, const par* w, void* prepared, Stream) {
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
