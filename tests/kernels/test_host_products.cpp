// The host's convolutions and linear layers: the algorithm that a shape is given, each algorithm against the reference,
// the same bits each time and on any number of threads.
#include <omp.h>

#include "kernels/executed.h"
#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

const Kernels& host() { return kernels(Backend::cpu); }

ConvShape conv_shape(const Kernels& k, Map x, int filters, int window, int stride, int pad) {
    x.block = x.c == 3 ? k.image_block(x.c) : k.block(x.c);
    return {.x = x,
            .w = k.filter(filters, x.c, window, window, x.block),
            .stride = stride,
            .pad = pad,
            .y_block = k.block(filters)};
}

TEST(HostProducts, AlgorithmFollowsTheShape) {
    const auto runs = [](Map x, int stride, ConvPass pass) {
        return executed_share(host(), conv_shape(host(), x, x.c, 3, stride, 1), pass).implementation;
    };
    const Map large{.n = 16, .c = 64, .h = 56, .w = 56}, deep{.n = 1, .c = 512, .h = 4, .w = 4},
        small{.n = 128, .c = 512, .h = 2, .w = 2};
    EXPECT_EQ(runs(large, 1, ConvPass::forward), "winograd");
    EXPECT_EQ(runs(large, 1, ConvPass::input_gradient), "winograd");
    EXPECT_EQ(runs(large, 1, ConvPass::filter_gradient), "winograd");
    EXPECT_EQ(runs(large, 2, ConvPass::forward), "direct");
    EXPECT_EQ(runs(deep, 1, ConvPass::forward), "direct");  // the transform of the filters would cost more
    EXPECT_EQ(runs(small, 1, ConvPass::filter_gradient), "bilinear");
}

struct Inputs {
    Values x, w, bias, residual, dy, dx_before, dw_before;
};

struct Results {
    Values y, inferred, dx, dx_added, dw, dw_added, dbias;
};

// All that a convolution does, from the same numbers on any backend.
Results run(const Kernels& k, Map m, int filters, int window, int stride) {
    const ConvShape s = conv_shape(k, m, filters, window, stride, window / 2);
    const Inputs in{.x = random_values(s.x.logical(), 1),
                    .w = random_values(s.w.logical(), 2),
                    .bias = random_values(filters, 3),
                    .residual = random_values(s.y().logical(), 4),
                    .dy = random_values(s.y().logical(), 5),
                    .dx_before = random_values(s.x.logical(), 6),
                    .dw_before = random_values(s.w.logical(), 7)};
    const Device on{k};
    const Tensor x = on.act_in(s.x, in.x), w = on.par_in(s.w, in.w), bias = on.par_in(on.channels(filters), in.bias),
                 dy = on.act_in(s.y(), in.dy), residual = on.act_in(s.y(), in.residual), y = on.act_out(s.y()),
                 inferred = on.act_out(s.y()), dx = on.act_out(s.x), dw = on.par_out(s.w),
                 dx_added = on.act_in(s.x, in.dx_before), dw_added = on.par_in(s.w, in.dw_before),
                 dbias = on.par_out(on.channels(filters)),
                 more = on.par_in(on.channels(filters), Values(size_t(filters), 0));
    const Buffer scratch(k, k.conv.scratch_bytes(s));
    const Buffer prepared(k, k.conv.prepared_bytes(s, {.residual = true, .relu = true}));
    void* const free = scratch.data();
    k.conv.forward(s, {.x = x, .w = w, .bias = bias, .y = y}, free, {});
    k.conv.prepare(s, {.residual = true, .relu = true}, w, prepared.data(), {});
    k.conv.infer(s,
                 {.x = x, .prepared = prepared.data(), .bias = bias, .residual = residual, .relu = true, .y = inferred},
                 free, {});
    k.conv.infer(s,
                 {.x = x, .prepared = prepared.data(), .bias = bias, .residual = residual, .relu = true, .y = residual},
                 free, {});  // in place
    k.conv.backward_data(s, {.dy = dy, .w = w, .dx = dx, .write = Write::replace}, free, {});
    k.conv.backward_data(s, {.dy = dy, .w = w, .dx = dx_added, .write = Write::add}, free, {});
    k.conv.backward_filter(s, {.x = x, .dy = dy, .dw = dw, .dbias = dbias, .write = Write::replace}, free, {});
    k.conv.backward_filter(s, {.x = x, .dy = dy, .dw = dw_added, .dbias = more, .write = Write::add}, free, {});
    scratch.read();  // checks that nothing was written past its end
    EXPECT_EQ(residual.values(), inferred.values());
    EXPECT_EQ(more.values(), dbias.values());
    return {y.values(),  inferred.values(), dx.values(),   dx_added.values(),
            dw.values(), dw_added.values(), dbias.values()};
}

struct Case {
    const char* name;
    Map x;
    int k, window, stride;
};
// Enough images and channels for every algorithm; odd widths, odd maps, uneven tiles of images.
const Case kCases[] = {
    {"Winograd", {.n = 3, .c = 45, .h = 12, .w = 12}, 37, 3, 1},
    {"Winograd, part of a tile", {.n = 9, .c = 33, .h = 7, .w = 7}, 64, 3, 1},
    {"Toeplitz", {.n = 37, .c = 45, .h = 2, .w = 2}, 83, 3, 1},
    {"Toom-Cook", {.n = 33, .c = 19, .h = 3, .w = 3}, 37, 3, 1},
    {"Toeplitz by Toom-Cook", {.n = 32, .c = 17, .h = 2, .w = 3}, 16, 3, 1},
    {"1x1 map", {.n = 40, .c = 45, .h = 1, .w = 1}, 17, 3, 1},
    {"4x4 map, stride 2", {.n = 35, .c = 33, .h = 4, .w = 4}, 49, 3, 2},
    {"3x3 map, stride 2", {.n = 35, .c = 17, .h = 3, .w = 3}, 16, 3, 2},
    {"2x2 map, 5x5 window", {.n = 32, .c = 16, .h = 2, .w = 2}, 16, 5, 1},
    {"1x1 window", {.n = 3, .c = 45, .h = 9, .w = 7}, 91, 1, 2},
};

TEST(HostProducts, EveryAlgorithmIsTheReference) {
    for (const Case& c : kCases) {
        SCOPED_TRACE(c.name);
        const Results got = run(host(), c.x, c.k, c.window, c.stride);
        const Results want = run(exact(), c.x, c.k, c.window, c.stride);
        const double most = tolerance(Type::f32);
        expect_close(got.y, want.y, most, "y");
        expect_close(got.inferred, want.inferred, most, "inferred");
        expect_close(got.dx, want.dx, most, "dx");
        expect_close(got.dx_added, want.dx_added, most, "dx added");
        expect_close(got.dw, want.dw, most, "dw");
        expect_close(got.dw_added, want.dw_added, most, "dw added");
        expect_close(got.dbias, want.dbias, most, "dbias");
    }
}

TEST(HostProducts, SameBitsEachTime) {
    for (const Case& c : kCases) {
        SCOPED_TRACE(c.name);
        const Results once = run(host(), c.x, c.k, c.window, c.stride);
        const Results again = run(host(), c.x, c.k, c.window, c.stride);
        EXPECT_EQ(once.y, again.y);
        EXPECT_EQ(once.inferred, again.inferred);
        EXPECT_EQ(once.dx, again.dx);
        EXPECT_EQ(once.dw, again.dw);
        EXPECT_EQ(once.dbias, again.dbias);
    }
}

TEST(HostProducts, BitsDoNotDependOnThreads) {
    for (const Case& c : kCases) {
        SCOPED_TRACE(c.name);
        const int before = omp_get_max_threads();
        std::vector<Results> results;
        for (const int threads : {1, 2, 5}) {
            omp_set_num_threads(threads);
            results.push_back(run(host(), c.x, c.k, c.window, c.stride));
        }
        omp_set_num_threads(before);
        for (const Results& r : results) {
            EXPECT_EQ(r.y, results[0].y);
            EXPECT_EQ(r.inferred, results[0].inferred);
            EXPECT_EQ(r.dx, results[0].dx);
            EXPECT_EQ(r.dw, results[0].dw);
            EXPECT_EQ(r.dbias, results[0].dbias);
        }
    }
}

}  // namespace
}  // namespace fp::testing
