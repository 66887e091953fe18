#include "engine/prune/criteria/skewness.h"

#include <cmath>

#include "engine/core/elements.h"
#include "engine/parallel/agree.h"
#include "engine/parallel/gather.h"
#include "engine/prune/criteria/criteria.h"
#include "kernels/error.h"

namespace fp {

std::vector<double> skewness(const Kernels& k, const Features& f) {
    const Map& m = f.map;
    FP_REQUIRE(m.pixels() >= 3, Exit::data, "criterion skewness: the maps of ", f.layer, " have ", m.pixels(),
               " pixels, 3 at least are needed");
    const int64_t one = m.stored() / m.n;
    std::vector<double> out(m.c, 0.0);
    if (m.c == 0) return out;  // a rank without channels
    for (int n = 0; n < m.n; ++n) {
        const std::vector<double> x = read_activations(k, f.data.data(), n * one, one);
        for (int c = 0; c < m.c; ++c) {
            double mean = 0, m2 = 0, m3 = 0;
            auto each = [&](auto&& add) {
                for (int h = 0; h < m.h; ++h)
                    for (int w = 0; w < m.w; ++w) add(x[size_t(m.at(0, c, h, w))]);
            };
            each([&](double v) { mean += v / double(m.pixels()); });
            each([&](double v) {
                const double d = v - mean;
                m2 += d * d / double(m.pixels());
                m3 += d * d * d / double(m.pixels());
            });
            // A map that only rounding tells from a constant one has no shape.
            if (m2 > 1e-12 * mean * mean) out[c] += std::abs(m3) / std::pow(m2, 1.5) / m.n;
        }
    }
    return out;
}

namespace {

// The mean over a set's scored layers; the highest goes first.
void score_skewness(const Scoring& s, ChannelScores& out) {
    SetScores& sum = out.sets;
    std::map<std::string, int> layers;
    s.for_each_layer([&](Features& f, const std::function<void()>&) {
        const std::string& set = set_of(s.sets, f.layer).name();
        const Comm& ranks = s.options.predict.comm();
        std::vector<double> own;
        agree(ranks, [&] { own = skewness(s.network().kernels(), f); });
        const std::vector<double> all = gather_all(ranks, own);
        sum[set].resize(all.size(), 0.0);
        for (size_t c = 0; c < all.size(); ++c) sum[set][c] -= all[c];
        ++layers[set];
    });
    for (auto& [set, values] : sum)
        for (double& v : values) v /= layers[set];
}

}  // namespace

namespace criteria {
extern const Criterion skewness{.name = "skewness",
                                .says = "mean |skewness| of a channel's maps: the highest go",
                                .paper = "https://arxiv.org/abs/2509.00745",
                                .needs = Needs::images,
                                .score = score_skewness,
                                .settings = "tap"};
}

}  // namespace fp
