// Linear layer: a filter as large as the map.
//
//   forward          y[n,k] = bias[k] + sum_chw w[k,c,h,w] x[n,c,h,w]
//   backward_data    dx[n,c,h,w] = sum_k w[k,c,h,w] dy[n,k]
//   backward_filter  dw[k,c,h,w] = sum_n dy[n,k] x[n,c,h,w]       dbias[k] = sum_n dy[n,k]
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

size_t scratch_bytes(const LinearShape&) { return 0; }

template <class T>
void forward(const LinearShape& shape,
             const act* x_act,
             const par* w_par,
             const par* bias_par,
             act* y_act,
             void*,
             Stream) {
    const auto x = view<T>(shape.x, x_act);
    const auto weight = view<T>(shape.w, w_par);
    const auto* bias = static_cast<const T*>(bias_par);
    const auto y = view<T>(shape.y(), y_act);

#pragma omp parallel for collapse(2) if (shape.macs() > kWorthThreads)
    for (int n = 0; n < y.map.n; ++n)
        for (int k = 0; k < y.map.c; ++k) {
            double sum = bias ? double(bias[k]) : 0.0;
            for (int c = 0; c < shape.w.c; ++c)
                for (int h = 0; h < shape.w.r; ++h)
                    for (int w = 0; w < shape.w.s; ++w)
                        sum += double(weight(k, c, h, w)) * x(n, c, h, w);
            y(n, k, 0, 0) = T(sum);
        }
    zero_padding(y);
}

template <class T>
void backward_data(const LinearShape& shape,
                   const act* dy_act,
                   const par* w_par,
                   act* dx_act,
                   Write write,
                   void*,
                   Stream) {
    const auto dy = view<T>(shape.y(), dy_act);
    const auto weight = view<T>(shape.w, w_par);
    const auto dx = view<T>(shape.x, dx_act);

    for_each(dx.map, [&](int n, int c, int h, int w) {
        double sum = 0;
        for (int k = 0; k < shape.w.k; ++k) sum += double(weight(k, c, h, w)) * dy(n, k, 0, 0);
        put(dx(n, c, h, w), sum, write);
    });
    zero_padding(dx);
}

template <class T>
void backward_filter(const LinearShape& shape,
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
    auto* dbias = static_cast<T*>(dbias_par);

#pragma omp parallel for if (shape.macs() > kWorthThreads)
    for (int k = 0; k < shape.w.k; ++k) {
        for (int c = 0; c < shape.w.c; ++c)
            for (int h = 0; h < shape.w.r; ++h)
                for (int w = 0; w < shape.w.s; ++w) {
                    double sum = 0;
                    for (int n = 0; n < x.map.n; ++n) sum += double(dy(n, k, 0, 0)) * x(n, c, h, w);
                    put(dw(k, c, h, w), sum, write);
                }
        if (dbias) {
            double sum = 0;
            for (int n = 0; n < x.map.n; ++n) sum += dy(n, k, 0, 0);
            put(dbias[k], sum, write);
        }
    }
    zero_padding(dw);
    if (dbias) zero_padding(dbias, dy.map.c, dy.map.stored_c());
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
