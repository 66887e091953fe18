#include "kernels/cpu/bilinear.h"

namespace fp::cpu {
namespace {

// The index of the plane that is the single pixel or tap `at`; adds it if it is new.
int single(std::vector<Plane>& planes, int at) {
    int i = 0;
    while (i < int(planes.size()) && planes[size_t(i)][0].at != at) ++i;
    if (i == int(planes.size())) planes.push_back({{at, 1}});
    return i;
}

Bilinear direct(int size, int window, int outputs, int stride, int pad) {
    Bilinear form;
    for (int p = 0; p < outputs; ++p) {
        for (int r = 0; r < window; ++r) {
            const int h = p * stride + r - pad;
            if (h < 0 || h >= size) continue;
            form.products.push_back({single(form.x, h), single(form.w, r), single(form.y, p)});
        }
    }
    return form;
}

Bilinear toeplitz() {
    return {.x = {{{0, 1}}, {{0, 1}, {1, 1}}, {{1, 1}}},
            .w = {{{0, 1}, {1, -1}}, {{1, 1}}, {{2, 1}, {1, -1}}},
            .y = {{{1, 1}}, {{0, 1}, {1, 1}}, {{0, 1}}},
            .products = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}}};
}

// Planes from rows of factors, without the zeros.
std::vector<Plane> planes_of(const std::vector<std::vector<float>>& rows) {
    std::vector<Plane> planes;
    for (const auto& row : rows) {
        Plane& plane = planes.emplace_back();
        for (size_t i = 0; i < row.size(); ++i) {
            if (row[i] != 0) plane.push_back({int(i), row[i]});
        }
    }
    return planes;
}

Bilinear toom_cook() {
    constexpr float half = 1.0f / 2, sixth = 1.0f / 6;
    return {
        .x = planes_of({{-1, -2, 1}, {-2, -1, 1}, {2, -3, 1}, {-1, 0, 1}, {2, -1, -2}}),
        .w = planes_of(
            {{half, 0, 0}, {-half, -half, -half}, {-sixth, sixth, -sixth}, {sixth, 2 * sixth, 4 * sixth}, {0, 0, 1}}),
        .y = planes_of({{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {1, 2, 4}, {0, 0, 1}}),
        .products = {{0, 0, 0}, {1, 1, 1}, {2, 2, 2}, {3, 3, 3}, {4, 4, 4}}};
}

Bilinear one_dimension(int size, int window, int outputs, int stride, int pad) {
    if (window == 3 && stride == 1 && pad == 1) {
        if (size == 2) return toeplitz();
        if (size == 3) return toom_cook();
    }
    return direct(size, window, outputs, stride, pad);
}

std::vector<Plane> outer(const std::vector<Plane>& rows, const std::vector<Plane>& columns, int width) {
    std::vector<Plane> planes;
    for (const Plane& row : rows) {
        for (const Plane& column : columns) {
            Plane& plane = planes.emplace_back();
            for (const Part& i : row) {
                for (const Part& j : column) {
                    plane.push_back({i.at * width + j.at, i.factor * j.factor});
                }
            }
        }
    }
    return planes;
}

}  // namespace

Bilinear bilinear(const ConvShape& s) {
    const Bilinear rows = one_dimension(s.x.h, s.w.r, s.p(), s.stride, s.pad);
    const Bilinear columns = one_dimension(s.x.w, s.w.s, s.q(), s.stride, s.pad);
    Bilinear form{
        outer(rows.x, columns.x, s.x.w), outer(rows.w, columns.w, s.w.s), outer(rows.y, columns.y, s.q()), {}};
    for (const auto& i : rows.products) {
        for (const auto& j : columns.products) {
            form.products.push_back({i.x * int(columns.x.size()) + j.x, i.w * int(columns.w.size()) + j.w,
                                     i.y * int(columns.y.size()) + j.y});
        }
    }
    return form;
}

}  // namespace fp::cpu
