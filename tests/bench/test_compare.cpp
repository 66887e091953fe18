// What bench/gpu's checks of whole tensors must not miss: an element that is wrong, one that nobody wrote, and a byte
// outside.
#include "bench/worker/compare.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/bf16.h"

namespace fp {
namespace {

constexpr double kTolerance = 1e-3;

struct Tensor {
    const Kernels& k;
    Map map;
    Guarded block;

    Tensor(Backend backend, int channels, Precision precision = Precision::f32)
        : k(kernels(backend, precision)),
          map{.n = 3, .c = channels, .h = 5, .w = 4, .block = k.block(channels)},
          block(k, size_t(map.stored()) * size_t(bytes_of(k.activation))) {
        const Buffer drawn = upload(k, k.activation, map, {.seed = 5, .exact = Type::bf16});
        k.memory.copy(block.data(), drawn.data(), block.bytes(), {});
    }
    void set(int n, int c, int h, int w, float value) {
        const int64_t at = map.at(n, c, h, w);
        if (k.activation == Type::bf16)
            static_cast<bf16*>(block.data())[at] = to_bf16(value);
        else
            static_cast<float*>(block.data())[at] = value;
    }
    Output output() const { return {"y", block, k.activation, map}; }
};

nlohmann::json beside(const Tensor& got, const Tensor& want) {
    return compare(got.k, got.output(), want.k, want.output(), kTolerance);
}

class CompareOn : public ::testing::TestWithParam<std::tuple<Backend, Precision>> {
protected:
    Tensor ours() const { return {std::get<0>(GetParam()), 24, std::get<1>(GetParam())}; }
};

TEST_P(CompareOn, EqualTensorsAreEqualInEveryLayout) {
    for (const Tensor& want : {Tensor(Backend::reference, 24), ours()}) {
        const nlohmann::json found = beside(ours(), want);
        EXPECT_EQ(found["elements"], 3 * 24 * 5 * 4);
        EXPECT_EQ(found["wrong"], 0);
        EXPECT_EQ(found["rms"], 0);
        EXPECT_FALSE(found.contains("first"));
    }
}

TEST_P(CompareOn, NamesTheOneElementThatIsWrong) {
    Tensor got = ours();
    got.set(2, 19, 3, 1, 50.0f);
    for (const Tensor& want : {Tensor(Backend::reference, 24), ours()}) {
        const nlohmann::json found = beside(got, want);
        EXPECT_EQ(found["wrong"], 1);
        EXPECT_EQ(found["unwritten"], 0);
        EXPECT_GT(found["worst"], 10);
        const nlohmann::json first = found["first"][0];
        EXPECT_EQ((std::vector<int>{first[0], first[1], first[2], first[3]}),
                  (std::vector<int>{2, 3, 1, 19}));  // n h w c
        EXPECT_EQ(first[4], "50");
        EXPECT_EQ(found["by_channel_mod_64"][0], nlohmann::json({19, 1}));
        EXPECT_EQ(found["by_pixel_mod_128"][0], nlohmann::json({2 * 20 + 3 * 4 + 1, 1}));
    }
}

TEST_P(CompareOn, CountsWhatNobodyWrote) {
    Tensor got = ours();
    for (int c = 0; c < 8; ++c) got.set(1, c, 0, 0, std::nanf(""));
    const nlohmann::json found = beside(got, ours());
    EXPECT_EQ(found["wrong"], 8);
    EXPECT_EQ(found["unwritten"], 8);
    EXPECT_EQ(unwritten(got.k, got.output()), 8);
    EXPECT_GT(found["rms"], 1);
    // Not even where the other side has none either.
    EXPECT_EQ(beside(got, got)["wrong"], 8);
}

TEST_P(CompareOn, LetsTheRoundingOfSumsPass) {
    Tensor want = ours(), got = ours();
    want.set(0, 0, 0, 0, 0.0f);
    got.set(0, 0, 0, 0, 0.5e-3f);
    EXPECT_EQ(beside(got, want)["wrong"], 0);
    got.set(0, 0, 0, 0, 3e-3f);
    EXPECT_EQ(beside(got, want)["wrong"], 1);
}

INSTANTIATE_TEST_SUITE_P(Backends,
                         CompareOn,
                         ::testing::Values(std::tuple{Backend::reference, Precision::f32},
                                           std::tuple{Backend::cpu, Precision::f32},
                                           std::tuple{Backend::emulated, Precision::f32},
                                           std::tuple{Backend::emulated, Precision::bf16}),
                         [](const auto& tested) {
                             return std::string(name(std::get<0>(tested.param))) + "_" +
                                    std::string(name(std::get<1>(tested.param)));
                         });

TEST(Guarded, ATouchOnEitherSideIsSeen) {
    const Kernels& k = kernels(Backend::emulated);
    for (const int64_t at : {int64_t(-1), int64_t(-4096), int64_t(100), int64_t(100 + 4095)}) {
        const Guarded block(k, 100);
        EXPECT_TRUE(block.intact());
        static_cast<char*>(block.data())[at] ^= 1;
        EXPECT_FALSE(block.intact()) << at;
    }
}

TEST(Guarded, StartsAsNaNInEveryElement) {
    const Kernels& k = kernels(Backend::emulated);
    const Guarded block(k, 70'000);
    for (size_t i = 0; i < block.bytes() / 4; ++i) EXPECT_TRUE(std::isnan(static_cast<const float*>(block.data())[i]));
}

}  // namespace
}  // namespace fp
