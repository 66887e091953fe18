// The ops of ops.cpp in double, all pixels of a channel, from the numbers that their inputs were drawn from.
#include <algorithm>
#include <cmath>

#include "bench/gpu/ops.h"
#include "engine/core/elements.h"

namespace fp {
namespace {

struct InDouble {
    const OpTensors& o;

    template <class Block>
    std::vector<char> host(const Block& b) const {
        std::vector<char> raw(b.bytes());
        o.k.memory.copy_out(raw.data(), b.data(), raw.size(), {});
        return raw;
    }
    struct Compared {
        double wrong = 0, right = 0;
        void add(double got, double want) {
            wrong += (got - want) * (got - want);
            right += want * want;
        }
        double error() const { return wrong == 0 ? 0 : std::sqrt(wrong / std::max(right, 1e-300)); }
    };
    double rounded(double v) const {
        return o.k.activation == Type::bf16 ? double(to_float(to_bf16(float(v)))) : double(float(v));
    }

    // Of one channel, logical NHW.
    double error_of(int c,
                    const std::vector<char>& out,
                    const std::vector<char>& taps,
                    const std::vector<char>& gradient,
                    const std::vector<char>& of_residual_) const {
        const auto vector = [&](const Buffer& b) { return element(host(b).data(), o.k.parameter, c); };
        const bool pair = o.name.starts_with("pair");
        const bool bn = o.name.starts_with("bn") || pair, stem = o.name.starts_with("stem");
        const double eps = o.norm.eps, rs = 1 / std::sqrt(double(kVariance) + eps);
        const double g = o.of_gamma.at(Map{.c = o.x.c}, 0, c, 0, 0), b = o.of_beta.at(Map{.c = o.x.c}, 0, c, 0, 0);
        Compared of_y, of_dx, of_dz, of_sums, of_taps;
        if (bn || stem) {
            of_sums.add(vector(o.mean), kMean);
            of_sums.add(vector(o.rstd), rs);
        }
        const int64_t pixels = int64_t(o.x.n) * o.x.pixels();
        std::vector<double> z(size_t(pixels), 0.0), dz_(size_t(pixels), 0.0);
        const auto at = [&](int n, int h, int w) { return size_t((int64_t(n) * o.x.h + h) * o.x.w + w); };
        const auto xhat = [&](int n, int h, int w) { return (o.of_x.at(o.x, n, c, h, w) - double(kMean)) * rs; };
        const auto xhat2 = [&](int n, int h, int w) {  // of a pair's other half
            return (o.of_residual.at(o.x, n, c, h, w) - double(kMean)) * rs;
        };
        const auto beside = [&](int n, int h, int w) {  // what is added to the o.norm
            if (pair) return o.apart ? rounded(g * xhat2(n, h, w) + b) : g * xhat2(n, h, w) + b;
            return o.residual ? o.of_residual.at(o.x, n, c, h, w) : 0.0;
        };
        for (int n = 0; n < o.x.n; ++n)
            for (int h = 0; h < o.x.h; ++h)
                for (int w = 0; w < o.x.w; ++w) {
                    double v = o.of_x.at(o.x, n, c, h, w);
                    if (bn || stem) {
                        v = g * xhat(n, h, w) + b + beside(n, h, w);
                        v = std::max(v, 0.0);
                        if (stem) v = rounded(v);
                    }
                    z[at(n, h, w)] = v;
                }
        if (bn) {
            for (int n = 0; n < o.x.n; ++n)
                for (int h = 0; h < o.x.h; ++h)
                    for (int w = 0; w < o.x.w; ++w) {
                        of_y.add(element(out.data(), o.k.activation, o.x.at(n, c, h, w)), z[at(n, h, w)]);
                        dz_[at(n, h, w)] = z[at(n, h, w)] > 0 ? o.of_dy.at(o.x, n, c, h, w) : 0;
                    }
        } else if (o.name.starts_with("avgpool")) {
            for (int n = 0; n < o.x.n; ++n) {
                double sum = 0;
                for (int h = 0; h < o.x.h; ++h)
                    for (int w = 0; w < o.x.w; ++w) {
                        sum += z[at(n, h, w)];
                        dz_[at(n, h, w)] = o.of_dy.at(o.y, n, c, 0, 0) / double(o.x.pixels());
                    }
                of_y.add(element(out.data(), o.k.activation, o.y.at(n, c, 0, 0)), sum / double(o.x.pixels()));
            }
        } else {
            for (int n = 0; n < o.y.n; ++n)
                for (int p = 0; p < o.y.h; ++p)
                    for (int q = 0; q < o.y.w; ++q) {
                        int tap = -1;
                        double best = 0;
                        for (int r = 0; r < o.window; ++r)
                            for (int t = 0; t < o.window; ++t) {
                                const int h = 2 * p + r - o.pool.pad, w = 2 * q + t - o.pool.pad;
                                if (h < 0 || w < 0 || h >= o.x.h || w >= o.x.w) continue;
                                if (tap >= 0 && z[at(n, h, w)] <= best) continue;
                                best = z[at(n, h, w)];
                                tap = r * o.window + t;
                            }
                        of_y.add(element(out.data(), o.k.activation, o.y.at(n, c, p, q)), best);
                        // The device rounds z from float32: now and then another one wins. Its tap then counts.
                        const int told_tap = uint8_t(taps[size_t(o.y.at(n, c, p, q))]);
                        const bool nobody = stem && !o.apart && best <= 0;
                        of_taps.add(told_tap == (nobody ? 255 : tap) ? 1 : 0.99, 1);
                        if (told_tap == 255 || told_tap >= o.window * o.window) continue;
                        const int h = 2 * p + told_tap / o.window - o.pool.pad,
                                  w = 2 * q + told_tap % o.window - o.pool.pad;
                        if (stem && z[at(n, h, w)] <= 0) continue;
                        dz_[at(n, h, w)] += o.of_dy.at(o.y, n, c, p, q);
                    }
        }
        if (o.name.ends_with("backward")) {
            double sum = 0, sum_xhat = 0, sum_xhat2 = 0;
            const double m = double(pixels);
            if (bn || stem) {
                for (int n = 0; n < o.x.n; ++n)
                    for (int h = 0; h < o.x.h; ++h)
                        for (int w = 0; w < o.x.w; ++w) {
                            if (stem && o.apart) dz_[at(n, h, w)] = rounded(dz_[at(n, h, w)]);
                            sum += dz_[at(n, h, w)];
                            sum_xhat += dz_[at(n, h, w)] * xhat(n, h, w);
                            if (pair) sum_xhat2 += dz_[at(n, h, w)] * xhat2(n, h, w);
                        }
                // Beside the root of m, which is what such sums of random signs come to.
                of_sums.add(vector(o.dbeta) / std::sqrt(m) + 1, sum / std::sqrt(m) + 1);
                of_sums.add(vector(o.dgamma) / std::sqrt(m) + 1, sum_xhat / std::sqrt(m) + 1);
            }
            for (int n = 0; n < o.x.n; ++n)
                for (int h = 0; h < o.x.h; ++h)
                    for (int w = 0; w < o.x.w; ++w) {
                        const double d = dz_[at(n, h, w)];
                        const double want = bn || stem ? g * rs * (d - sum / m - xhat(n, h, w) * sum_xhat / m) : d;
                        const int64_t place = o.x.at(n, c, h, w);
                        of_dx.add(element(gradient.data(), o.k.activation, place), want);
                        if (pair)
                            of_dz.add(element(of_residual_.data(), o.k.activation, place),
                                      g * rs * (d - sum / m - xhat2(n, h, w) * sum_xhat2 / m));
                        else if (o.residual)
                            of_dz.add(element(of_residual_.data(), o.k.activation, place), d);
                    }
        }
        double worst = 0;
        for (const Compared* one : {&of_y, &of_dx, &of_dz, &of_sums, &of_taps})
            worst = std::max(worst, std::isfinite(one->error()) ? one->error() : 1e9);
        return worst;
    }

    double error() const {
        if (o.name == "round") {
            const auto got = host(o.outs[0]);
            Compared all;
            for (int64_t i = 0; i < o.x.n; ++i)
                all.add(element(got.data(), Type::bf16, i), o.of_x.at(Map{.n = o.x.n}, int(i), 0, 0, 0));
            return all.error();
        }
        if (o.name == "image") {
            const auto got = host(o.dx), bytes = host(o.rgb);
            Compared all;
            const double three[3] = {0.4f, 0.5f, 0.6f};
            for (int64_t i = 0; i < o.x.logical(); ++i)
                all.add(element(got.data(), o.k.activation, i / 3 * o.x.stored_c() + i % 3),
                        (uint8_t(bytes[size_t(i)]) / 255.0 - three[i % 3]) / three[i % 3]);
            for (int64_t i = 0; i < o.x.stored() / o.x.stored_c(); ++i)
                for (int c = 3; c < o.x.stored_c(); ++c)
                    all.add(element(got.data(), o.k.activation, i * o.x.stored_c() + c), 0);
            return all.error();
        }
        const auto out = host(o.outs[0]);
        const auto taps = o.winners.empty() ? std::vector<char>() : host(o.winners[0]);
        const bool gives = o.name.ends_with("backward");
        const auto gradient = gives ? host(o.dx) : std::vector<char>();
        const auto second = gives && o.residual ? host(o.dresidual) : std::vector<char>();
        double worst = 0;
        const bool small = o.x.logical() < 10'000'000;
        for (const int c : small ? all_channels() : std::vector<int>{0, o.x.c / 2 + 1, o.x.c - 1})
            worst = std::max(worst, error_of(c, out, taps, gradient, second));
        return worst;
    }
    std::vector<int> all_channels() const {
        std::vector<int> all;
        for (int c = 0; c < o.x.c; ++c) all.push_back(c);
        return all;
    }
};

}  // namespace

double error_in_double(const OpTensors& o) { return InDouble{o}.error(); }

}  // namespace fp
