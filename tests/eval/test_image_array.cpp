// A network over arrays: bytes, numbers, and a tape that was filled by hand give the same.
#include "engine/eval/image_array.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/network_values.h"

namespace fp {
namespace {

constexpr int kSide = 32, kImages = 5;
const Preprocessing kPreprocessing{.image_size = kSide, .mean = {.5f, .25f, .125f}, .std = {.5f, .25f, 2.f}};

uint8_t byte_at(int n, int c, int h, int w) { return uint8_t(37 * n + 101 * c + 7 * h * h + 13 * w); }

// The same images as bytes (n, h, w, c), and as numbers (n, c, h, w).
struct Images {
    std::vector<uint8_t> rgb;
    std::vector<float> planes;
};
Images images() {
    Images out;
    for (int n = 0; n < kImages; ++n)
        for (int h = 0; h < kSide; ++h)
            for (int w = 0; w < kSide; ++w)
                for (int c = 0; c < 3; ++c) out.rgb.push_back(byte_at(n, c, h, w));
    for (int n = 0; n < kImages; ++n)
        for (int c = 0; c < 3; ++c)
            for (int h = 0; h < kSide; ++h)
                for (int w = 0; w < kSide; ++w) out.planes.push_back(float(byte_at(n, c, h, w)) / 255);
    return out;
}

struct ImageArrays : ::testing::Test {
    const Kernels& k = kernels(Backend::cpu);
    std::unique_ptr<Network> net =
        testing::random_network({.arch = "resnet18", .classes = 3, .stem = "small", .width = .125}, k, 3);
    Session session{*net};
    Images x = images();

    std::vector<float> logits(const ImageArray& array, int batch_size = 32) {
        return run({session, kPreprocessing, array, Output::logits, batch_size});
    }
};

void expect_near(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], tolerance) << i;
}

TEST_F(ImageArrays, GiveTheLogitsOfATapeThatIsFilledByHand) {
    const Map map{.n = kImages, .c = 3, .h = kSide, .w = kSide, .block = k.image_block(3)};
    const Buffer input = testing::upload_map(k, map, [&](uint64_t i) {
        const size_t c = size_t(i / (kSide * kSide) % 3);
        return (double(x.planes[size_t(i)]) - kPreprocessing.mean[c]) / kPreprocessing.std[c];
    });
    Tape tape = session.begin({.mode = Mode::eval});
    const Var out = net->forward(tape, tape.input({input.as<act>(), map}));
    const std::vector<double> wanted = testing::download(k, tape.value(out));
    const std::vector<float> expected(wanted.begin(), wanted.end());
    ASSERT_GT(std::abs(expected[0] - expected[3]), 1e-3);  // images differ

    expect_near(logits({.n = kImages, .rgb = x.rgb.data()}), expected, 2e-5);
    expect_near(logits({.n = kImages, .planes = x.planes.data()}), expected, 2e-5);
    expect_near(logits({.n = kImages, .planes = x.planes.data()}, 2), expected, 2e-5);
}

TEST_F(ImageArrays, ProbabilitiesAreTheSoftmax) {
    const ImageArray array{.n = kImages, .rgb = x.rgb.data()};
    const std::vector<float> z = logits(array), p = run({session, kPreprocessing, array});
    for (size_t n = 0; n < kImages; ++n) {
        const float* row = z.data() + 3 * n;
        const double sum = std::exp(row[0]) + std::exp(row[1]) + std::exp(row[2]);
        for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(p[3 * n + c], std::exp(row[c]) / sum, 1e-6);
    }
}

TEST_F(ImageArrays, WhatProgressThrowsEndsThePass) {
    std::vector<int64_t> seen;
    const ImageArray array{.n = kImages, .rgb = x.rgb.data()};
    const auto stop_at_4 = [&](int64_t done, int64_t all) {
        EXPECT_EQ(all, kImages);
        seen.push_back(done);
        if (done == 4) throw Error("stopped");
    };
    EXPECT_THROW(run({session, kPreprocessing, array, Output::logits, 2, stop_at_4}), Error);
    EXPECT_EQ(seen, (std::vector<int64_t>{2, 4}));
    EXPECT_EQ(logits(array).size(), 3u * kImages);  // and the next one runs
}

}  // namespace
}  // namespace fp
