#include "engine/prune/skewness.h"

#include <cmath>

#include "kernels/error.h"

namespace fp {
namespace {

template <class T>
std::vector<double> skewness_of(const Kernels& k, const Features& f) {
    const Map& m = f.map;
    std::vector<T> x(size_t(m.stored()));
    k.memory.copy_out(x.data(), f.data.data(), x.size() * sizeof(T), {});
    std::vector<double> out(m.c, 0.0);
    for (int n = 0; n < m.n; ++n)
        for (int c = 0; c < m.c; ++c) {
            double mean = 0, m2 = 0, m3 = 0;
            auto each = [&](auto&& add) {
                for (int h = 0; h < m.h; ++h)
                    for (int w = 0; w < m.w; ++w) add(double(x[size_t(m.at(n, c, h, w))]));
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
    return out;
}

}  // namespace

std::vector<double> skewness(const Kernels& k, const Features& f) {
    FP_CHECK(k.activation != Type::bf16, "skewness: bf16");
    FP_REQUIRE(f.map.pixels() >= 3, Exit::data, "criterion skewness: the maps of ", f.layer,
               " have ", f.map.pixels(), " pixels, 3 at least are needed");
    return k.activation == Type::f64 ? skewness_of<double>(k, f) : skewness_of<float>(k, f);
}

}  // namespace fp
