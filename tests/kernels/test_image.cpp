#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

Values normalize(const Kernels& k,
                 const Map& m,
                 const std::vector<uint8_t>& pixels,
                 const std::vector<float>& means,
                 const std::vector<float>& stds,
                 int skipped = 0) {  // bytes before the first pixel
    const Device on{k};
    const Map map = on.image(m);
    std::vector<uint8_t> behind(size_t(skipped) + pixels.size(), 7);
    std::copy(pixels.begin(), pixels.end(), behind.begin() + skipped);
    const Array<uint8_t> rgb(k, behind);
    const Array<float> mean(k, means), std(k, stds);
    const Tensor x = on.act_out(map);
    k.image.normalize(map, {.rgb = rgb + skipped, .mean = mean, .std = std, .x = x}, {});
    return x.values();
}

TEST(Image, ByHand) {
    const Map m{.c = 3, .h = 1, .w = 2};
    const Values x = normalize(exact(), m, {0, 51, 255, 102, 255, 0}, {0, 0.5, 1}, {1, 0.5, 2});
    expect_close(x, {0, 0.4, -0.6, 1, 0, -0.5}, 1e-15, "x");
}

class ImageOn : public OnBackend {};
FP_ON_EVERY_BACKEND(ImageOn);

TEST_P(ImageOn, AgreesWithTheReference) {
    for (const Map& m : {Map{.n = 2, .c = 3, .h = 16, .w = 16}, Map{.n = 3, .c = 3, .h = 7, .w = 5},
                         Map{.n = 3, .c = 3, .h = 67, .w = 67}, Map{.n = 1, .c = 3, .h = 1, .w = 1}}) {
        SCOPED_TRACE(text("map ", m.n, "x", m.h, "x", m.w));
        std::vector<uint8_t> rgb;
        for (int64_t i = 0; i < m.logical(); ++i) rgb.push_back(uint8_t(uniform_below(256, 1, uint64_t(i))));
        const std::vector<float> zero{0, 0, 0}, one{1, 1, 1};
        const std::vector<float> mean{0.485f, 0.456f, 0.406f}, std{0.229f, 0.224f, 0.225f};
        expect_close(normalize(table(), m, rgb, zero, one), normalize(exact(), m, rgb, zero, one), tolerance(),
                     "scaled");
        expect_close(normalize(table(), m, rgb, mean, std), normalize(exact(), m, rgb, mean, std), tolerance(),
                     "normalised");
        expect_close(normalize(table(), m, rgb, mean, std, 1), normalize(exact(), m, rgb, mean, std), tolerance(),
                     "at an odd address");
    }
}

}  // namespace
}  // namespace fp::testing
