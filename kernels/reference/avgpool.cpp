// Adaptive average pooling to p x q cells; cell (i, j) is rows first(i) .. last(i) - 1 and columns alike.
//
//   y[n,c,i,j]  = (1 / cell size) sum over the cell of x[n,c,h,w]
//   dx[n,c,h,w] = sum over the cells that contain (h,w) of dy[n,c,i,j] / cell size
#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

struct Cell {
    int top, bottom, left, right;  // bottom and right one past
    bool holds(int h, int w) const { return h >= top && h < bottom && w >= left && w < right; }
    int size() const { return (bottom - top) * (right - left); }
};

Cell cell(const AvgPoolShape& shape, int i, int j) {
    return {.top = AvgPoolShape::first(i, shape.x.h, shape.p),
            .bottom = AvgPoolShape::last(i, shape.x.h, shape.p),
            .left = AvgPoolShape::first(j, shape.x.w, shape.q),
            .right = AvgPoolShape::last(j, shape.x.w, shape.q)};
}

template <class T>
void forward(const AvgPoolShape& shape, const AvgPool::Forward& args, Stream) {
    const auto x = view<T>(shape.x, args.x);
    const auto y = view<T>(shape.y(), args.y);
    for_each(y.map, [&](int n, int c, int i, int j) {
        const Cell in = cell(shape, i, j);
        double sum = 0;
        for (int h = in.top; h < in.bottom; ++h)
            for (int w = in.left; w < in.right; ++w) sum += x(n, c, h, w);
        y(n, c, i, j) = T(sum / in.size());
    });
    zero_padding(y);
}

template <class T>
void backward(const AvgPoolShape& shape, const AvgPool::Backward& args, Stream) {
    const auto dy = view<T>(shape.y(), args.dy);
    const auto dx = view<T>(shape.x, args.dx);
    for_each(dx.map, [&](int n, int c, int h, int w) {
        double sum = 0;
        for (int i = 0; i < shape.p; ++i)
            for (int j = 0; j < shape.q; ++j)
                if (const Cell in = cell(shape, i, j); in.holds(h, w)) sum += dy(n, c, i, j) / double(in.size());
        put(dx(n, c, h, w), sum, args.write);
    });
    zero_padding(dx);
}

template <class T>
constexpr AvgPool avgpool{.forward = forward<T>, .backward = backward<T>};

}  // namespace

extern const AvgPool avgpool_f32{avgpool<float>};
extern const AvgPool avgpool_f64{avgpool<double>};

}  // namespace fp::reference
