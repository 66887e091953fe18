// What the host's convolutions and linear layers run on: never oneDNN's reference loops, Winograd and the
// forms of small maps where they are wanted and right there, the same bits each time.
#include <gmock/gmock.h>

#include <thread>

#include "kernels/cpu/conv.h"
#include "kernels/cpu/onednn.h"
#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

using cpu::ConvCall;

const Kernels& host() { return kernels(Backend::cpu); }

ConvShape conv_shape(const Kernels& k, Map x, int filters, int window, int stride, int pad) {
    x.block = x.c == 3 ? k.image_block(x.c) : k.block(x.c);
    return {.x = x,
            .w = k.filter(filters, x.c, window, window, x.block),
            .stride = stride,
            .pad = pad,
            .y_block = k.block(filters)};
}

LinearShape linear_shape(const Kernels& k, Map x, int outputs) {
    x.block = k.block(x.c);
    return {.x = x, .w = k.filter(outputs, x.c, x.h, x.w, x.block), .y_block = k.block(outputs)};
}

struct Network {
    std::vector<ConvShape> convs;
    std::vector<LinearShape> linears;
};

// ResNet-18 (bottleneck false) and -50 with these widths of their four stages.
Network resnet(const Kernels& k, int n, int size, std::vector<int> widths, bool bottleneck) {
    Network net;
    const auto conv = [&](int c, int h, int filters, int window, int stride) {
        net.convs.push_back(conv_shape(k, {.n = n, .c = c, .h = h, .w = h}, filters, window, stride, window / 2));
    };
    conv(3, size, widths[0], 7, 2);
    int c = widths[0], h = size / 4;
    for (size_t stage = 0; stage < widths.size(); ++stage) {
        const int width = widths[stage], out = bottleneck ? 4 * width : width;
        const int stride = stage == 0 ? 1 : 2, smaller = h / stride;
        if (stride == 2 || c != out) conv(c, h, out, 1, stride);
        if (bottleneck) conv(c, h, width, 1, 1);
        conv(bottleneck ? width : c, h, width, 3, stride);
        if (bottleneck) conv(width, smaller, out, 1, 1);
        if (bottleneck) conv(out, smaller, width, 1, 1);
        conv(width, smaller, width, 3, 1);
        c = out, h = smaller;
    }
    net.linears.push_back(linear_shape(k, {.n = n, .c = c}, 8));
    return net;
}

Network vgg11(const Kernels& k, int n, int size, std::vector<int> widths) {
    Network net;
    int c = 3, h = size;
    for (size_t i = 0; i < widths.size(); ++i) {
        net.convs.push_back(conv_shape(k, {.n = n, .c = c, .h = h, .w = h}, widths[i], 3, 1, 1));
        c = widths[i];
        if (i != 2 && i != 4 && i != 6) h /= 2;  // what a pool follows
    }
    net.linears.push_back(linear_shape(k, {.n = n, .c = c, .h = 7, .w = 7}, 4096));
    net.linears.push_back(linear_shape(k, {.n = n, .c = 4096}, 4096));
    net.linears.push_back(linear_shape(k, {.n = n, .c = 4096}, 8));
    return net;
}

TEST(OneDnn, NoReferenceLoops) {
    std::vector<Network> networks;
    for (const auto& [n, size] : {std::pair{128, 64}, {1, 224}}) {
        for (const std::vector<int>& widths : {std::vector{64, 128, 256, 512}, {45, 91, 183, 371}}) {
            networks.push_back(resnet(host(), n, size, widths, false));
            networks.push_back(resnet(host(), n, size, widths, true));
        }
        networks.push_back(vgg11(host(), n, size, {64, 128, 256, 256, 512, 512, 512, 512}));
        networks.push_back(vgg11(host(), n, size, {45, 91, 183, 183, 371, 371, 371, 371}));
    }
    for (const Network& net : networks) {
        for (const ConvShape& s : net.convs) {
            for (const ConvCall call :
                 {ConvCall::forward, ConvCall::backward_data, ConvCall::backward_filter, ConvCall::infer}) {
                const std::string runs = cpu::implementation(s, call);
                EXPECT_FALSE(runs.starts_with("ref"))
                    << runs << " for " << s.x.c << " channels on " << s.x.h << " x " << s.x.w;
            }
        }
        for (const LinearShape& s : net.linears) {
            EXPECT_NO_THROW(host().linear.scratch_bytes(s)) << s.x.c << " to " << s.w.k;
        }
    }
}

TEST(OneDnn, AlgorithmFollowsTheShape) {
    if (host().block(64) != 16) GTEST_SKIP() << "oneDNN has Winograd for AVX-512 only";
    const auto runs = [](Map x, int stride, ConvCall call) {
        return cpu::implementation(conv_shape(host(), x, x.c, 3, stride, 1), call);
    };
    const Map large{.n = 16, .c = 64, .h = 56, .w = 56}, one{.n = 1, .c = 64, .h = 8, .w = 8},
        small{.n = 128, .c = 512, .h = 2, .w = 2};
    // oneDNN 3 has no Winograd: its direct convolution takes the place.
    const auto wino = ::testing::HasSubstr(dnnl::version()->major < 3 ? "wino" : "jit:");
    EXPECT_THAT(runs(large, 1, ConvCall::forward), wino);
    EXPECT_THAT(runs(large, 1, ConvCall::backward_filter), wino);
    EXPECT_THAT(runs(large, 2, ConvCall::forward), ::testing::HasSubstr("jit:"));
    EXPECT_THAT(runs(one, 1, ConvCall::forward), ::testing::HasSubstr("jit:"));
    EXPECT_THAT(runs(one, 1, ConvCall::infer), wino);
    EXPECT_EQ(runs(small, 1, ConvCall::backward_filter), "bilinear");
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

TEST(OneDnn, EveryAlgorithmIsTheReference) {
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

TEST(OneDnn, SameBitsEachTime) {
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

// Plans are made by whoever comes first.
TEST(OneDnn, ThreadsShareThePlans) {
    const Map x{.n = 2, .c = 21, .h = 10, .w = 10};
    std::vector<Results> results(4);
    std::vector<std::thread> threads;
    for (Results& r : results) threads.emplace_back([&] { r = run(host(), x, 35, 3, 1); });
    for (std::thread& t : threads) t.join();
    for (const Results& r : results) {
        EXPECT_EQ(r.y, results[0].y);
        EXPECT_EQ(r.dw, results[0].dw);
    }
}

}  // namespace
}  // namespace fp::testing
