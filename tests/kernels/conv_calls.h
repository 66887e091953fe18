// Convolutions as tests call them: a case, its inputs, and the result of each pass on a backend.
#pragma once

#include "tests/kernels/compare.h"

namespace fp::testing {

struct ConvCase {
    const char* name;
    Map x;
    int k, window, stride, pad;
    bool image = false;  // the input is an image, in its own layout and without a gradient
};

struct Inputs {
    Values x, w, bias{}, residual{}, dy{}, dx_before{}, dw_before{}, dbias_before{};
};

inline ConvShape shape_on(const Device& on, const ConvCase& c) {
    const Map x = c.image ? on.image(c.x) : on.map(c.x);
    return {.x = x,
            .w = on.k.filter(c.k, c.x.c, c.window, c.window, x.block),
            .stride = c.stride,
            .pad = c.pad,
            .y_block = on.k.block(c.k)};
}

inline Inputs random_inputs(const ConvCase& c, Type activation, Type parameter) {
    const ConvShape s = shape_on({exact()}, c);
    return {.x = random_values(s.x.logical(), 1, activation),
            .w = random_values(s.w.logical(), 2, parameter),
            .bias = random_values(s.w.k, 3, parameter),
            .residual = random_values(s.y().logical(), 4, activation),
            .dy = random_values(s.y().logical(), 5, activation),
            .dx_before = random_values(s.x.logical(), 6, activation),
            .dw_before = random_values(s.w.logical(), 7, parameter),
            .dbias_before = random_values(s.w.k, 8, parameter)};
}

inline Values forward(const Kernels& k, const ConvCase& c, const Inputs& in, bool bias) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
    const Tensor b = on.par_in(on.channels(s.w.k), in.bias), y = on.act_out(s.y());
    k.conv.forward(s, {.x = x, .w = w, .bias = b.if_given(bias), .y = y}, scratch.data(), {});
    return y.values();
}

inline Values infer(const Kernels& k, const ConvCase& c, const Inputs& in, bool bias, bool residual, bool relu) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Conv::Fused fused{.residual = residual, .relu = relu};
    const Buffer prepared(k, k.conv.prepared_bytes(s, fused));
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w);
    const Tensor b = on.par_in(on.channels(s.w.k), in.bias), z = on.act_in(s.y(), in.residual);
    const Tensor y = on.act_out(s.y());
    k.conv.prepare(s, fused, w, prepared.data(), {});
    k.memory.synchronize({});
    k.conv.infer(s,
                 {.x = x,
                  .prepared = prepared.data(),
                  .bias = b.if_given(bias),
                  .residual = z.if_given(residual),
                  .relu = relu,
                  .y = y},
                 scratch.data(), {});
    return y.values();
}

inline Values backward_data(const Kernels& k, const ConvCase& c, const Inputs& in, Write write) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Tensor dy = on.act_in(s.y(), in.dy), w = on.par_in(s.w, in.w);
    const Tensor dx = on.act_grad(s.x, write, in.dx_before);
    k.conv.backward_data(s, {.dy = dy, .w = w, .dx = dx, .write = write}, scratch.data(), {});
    return dx.values();
}

struct FilterGradient {
    Values dw, dbias;
};

inline FilterGradient backward_filter(const Kernels& k, const ConvCase& c, const Inputs& in, bool bias, Write write) {
    const Device on{k};
    const ConvShape s = shape_on(on, c);
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), dy = on.act_in(s.y(), in.dy);
    const Tensor dw = on.par_grad(s.w, write, in.dw_before);
    const Tensor dbias = on.par_grad(on.channels(s.w.k), write, in.dbias_before);
    k.conv.backward_filter(s, {.x = x, .dy = dy, .dw = dw, .dbias = dbias.if_given(bias), .write = write},
                           scratch.data(), {});
    return {dw.values(), bias ? dbias.values() : Values()};
}

// dw and dbias of a backend in bf16 against the reference. The inputs are bf16 numbers and nothing else is rounded to
// bf16, so the tolerance is that of float32.
inline void expect_filter_gradient(const Kernels& k, const ConvCase& c, const Inputs& in) {
    for (const Write write : {Write::replace, Write::add}) {
        const auto got = backward_filter(k, c, in, true, write), want = backward_filter(exact(), c, in, true, write);
        expect_close(got.dw, want.dw, tolerance(Type::f32), "dw");
        expect_close(got.dbias, want.dbias, tolerance(Type::f32), "dbias");
    }
}

// The moments in `raw`, combined over their parts, against sums in double over the output as it is stored. The mean of
// n float32 numbers is off by a few roundings of itself; the sum of squares by as many of its own and by what the
// means' roundings do to it, 2 |mean| sqrt(n square) each.
inline void expect_moments_of(const Values& stored, const std::vector<std::byte>& raw, const ConvShape& s, int parts) {
    constexpr double kRounding = 0x1p-24;
    const Map y = s.y();
    const auto* got = reinterpret_cast<const float*>(raw.data());
    const int64_t pixels = y.pixels(), all = y.n * pixels, c = y.stored_c();
    const float* counts = got + parts * 2 * c;
    ASSERT_EQ(raw.size(), size_t(parts) * size_t(2 * c + 1) * sizeof(float));
    ASSERT_GT(counts[0], 0);
    for (int f = 0; f < c; ++f) {
        const auto value = [&](int64_t i) {
            return f < s.w.k ? stored[size_t((i / pixels * s.w.k + f) * pixels + i % pixels)] : 0.0;
        };
        double mean = 0, square = 0, told_count = 0, told_mean = 0, told_square = 0;
        for (int64_t i = 0; i < all; ++i) mean += value(i) / double(all);
        for (int64_t i = 0; i < all; ++i) square += std::pow(value(i) - mean, 2);
        for (int64_t i = 0; i < parts; ++i) {
            const double n = counts[i];
            if (n == 0) continue;
            const double off = got[2 * i * c + f] - told_mean, together = told_count + n;
            told_square += got[(2 * i + 1) * c + f] + off * off * n * told_count / together;
            told_mean += off * n / together;
            told_count = together;
        }
        ASSERT_EQ(told_count, double(all)) << "channel " << f;
        ASSERT_NEAR(told_mean, mean, 4 * kRounding * (std::abs(mean) + 4 * std::sqrt(square / double(all))))
            << "channel " << f;
        ASSERT_NEAR(told_square, square, 32 * kRounding * (square + std::abs(mean) * std::sqrt(double(all) * square)))
            << "channel " << f;
    }
}

}  // namespace fp::testing
