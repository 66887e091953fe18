// The ops of ops.cpp in double, all pixels of a channel, from the numbers that their inputs were drawn from.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "bench/worker/ops.h"
#include "engine/core/elements.h"

namespace fp {
namespace {

// What a call of set 0 left.
struct Left {
    std::vector<char> out, taps, dx, dresidual, mean, rstd, dgamma, dbeta;

    explicit Left(const OpTensors& o)
        : out(on_host(o.k, o.outs[0])),
          taps(o.winners.empty() ? std::vector<char>() : on_host(o.k, o.winners[0])),
          dx(on_host(o.k, o.dx)),
          dresidual(on_host(o.k, o.dresidual)),
          mean(on_host(o.k, o.mean)),
          rstd(on_host(o.k, o.rstd)),
          dgamma(on_host(o.k, o.dgamma)),
          dbeta(on_host(o.k, o.dbeta)) {}
};

struct Compared {
    double wrong = 0, right = 0;
    void add(double got, double want) {
        wrong += (got - want) * (got - want);
        right += want * want;
    }
    double error() const {
        const double relative = wrong == 0 ? 0 : std::sqrt(wrong / std::max(right, 1e-300));
        return std::isfinite(relative) ? relative : 1e9;
    }
};

// One channel c: z is what the op makes of x before pooling, dz the gradient that reaches it; logical N,H,W.
struct Channel {
    const OpTensors& o;
    const Left& left;
    int c;
    bool pair = o.name.starts_with("pair"), bn = o.name.starts_with("bn") || pair, stem = o.name.starts_with("stem");
    double rs = 1 / std::sqrt(double(kVariance) + o.norm.eps);
    double g = o.of_gamma.at(Map{.c = o.x.c}, 0, c, 0, 0), b = o.of_beta.at(Map{.c = o.x.c}, 0, c, 0, 0);
    int64_t pixels = int64_t(o.x.n) * o.x.pixels();
    std::vector<double> z = std::vector<double>(size_t(pixels), 0.0), dz = z;
    Compared of_y = {}, of_dx = {}, of_dresidual = {}, of_sums = {}, of_taps = {};

    size_t at(int n, int h, int w) const { return size_t((int64_t(n) * o.x.h + h) * o.x.w + w); }
    double xhat(int n, int h, int w) const { return (o.of_x.at(o.x, n, c, h, w) - double(kMean)) * rs; }
    double xhat2(int n, int h, int w) const {  // of the other norm of a pair
        return (o.of_residual.at(o.x, n, c, h, w) - double(kMean)) * rs;
    }
    double activation(const std::vector<char>& of, int64_t place) const {
        return element(of.data(), o.k.activation, place);
    }
    double parameter(const std::vector<char>& of) const { return element(of.data(), o.k.parameter, c); }
    double rounded(double v) const {
        return o.k.activation == Type::bf16 ? double(to_float(to_bf16(float(v)))) : double(float(v));
    }
    double added(int n, int h, int w) const {
        if (pair) return o.apart ? rounded(g * xhat2(n, h, w) + b) : g * xhat2(n, h, w) + b;
        return o.residual ? o.of_residual.at(o.x, n, c, h, w) : 0.0;
    }

    double error() {
        each_pixel(o.x, [&](int n, int h, int w) {
            double& v = z[at(n, h, w)];
            v = o.of_x.at(o.x, n, c, h, w);
            if (bn || stem) v = std::max(g * xhat(n, h, w) + b + added(n, h, w), 0.0);
            if (stem) v = rounded(v);
        });
        if (bn || stem) {
            of_sums.add(parameter(left.mean), kMean);
            of_sums.add(parameter(left.rstd), rs);
        }
        if (bn)
            each_pixel(o.x, [&](int n, int h, int w) {
                of_y.add(activation(left.out, o.x.at(n, c, h, w)), z[at(n, h, w)]);
                dz[at(n, h, w)] = z[at(n, h, w)] > 0 ? o.of_dy.at(o.x, n, c, h, w) : 0;
            });
        else if (o.name.starts_with("avgpool"))
            average();
        else
            each_pixel(o.y, [&](int n, int p, int q) { maximum(n, p, q); });
        if (o.name.ends_with("backward")) gradients();
        double worst = 0;
        for (const Compared* one : {&of_y, &of_dx, &of_dresidual, &of_sums, &of_taps})
            worst = std::max(worst, one->error());
        return worst;
    }

    void average() {
        std::vector<double> sums(size_t(o.x.n), 0.0);
        each_pixel(o.x, [&](int n, int h, int w) {
            sums[size_t(n)] += z[at(n, h, w)];
            dz[at(n, h, w)] = o.of_dy.at(o.y, n, c, 0, 0) / double(o.x.pixels());
        });
        for (int n = 0; n < o.x.n; ++n)
            of_y.add(activation(left.out, o.y.at(n, c, 0, 0)), sums[size_t(n)] / double(o.x.pixels()));
    }

    // One window. The device rounds z from float32, so now and then another tap wins there: then its tap gets the gradient.
    void maximum(int n, int p, int q) {
        int winner = -1;
        double best = 0;
        for (int tap = 0; tap < o.window * o.window; ++tap) {
            const int h = 2 * p + tap / o.window - o.pool.pad, w = 2 * q + tap % o.window - o.pool.pad;
            if (h < 0 || w < 0 || h >= o.x.h || w >= o.x.w) continue;
            if (winner >= 0 && z[at(n, h, w)] <= best) continue;
            best = z[at(n, h, w)];
            winner = tap;
        }
        of_y.add(activation(left.out, o.y.at(n, c, p, q)), best);
        const int told = uint8_t(left.taps[size_t(o.y.at(n, c, p, q))]);
        const bool nobody = stem && !o.apart && best <= 0;
        of_taps.add(told == (nobody ? 255 : winner) ? 1 : 0.99, 1);
        if (told >= o.window * o.window) return;
        const int h = 2 * p + told / o.window - o.pool.pad, w = 2 * q + told % o.window - o.pool.pad;
        if (!stem || z[at(n, h, w)] > 0) dz[at(n, h, w)] += o.of_dy.at(o.y, n, c, p, q);
    }

    void gradients() {
        double sum = 0, sum_xhat = 0, sum_xhat2 = 0;
        const double m = double(pixels);
        if (bn || stem) {
            each_pixel(o.x, [&](int n, int h, int w) {
                double& d = dz[at(n, h, w)];
                if (stem && o.apart) d = rounded(d);
                sum += d;
                sum_xhat += d * xhat(n, h, w);
                if (pair) sum_xhat2 += d * xhat2(n, h, w);
            });
            // Beside the root of m, which is what such sums of random signs come to.
            of_sums.add(parameter(left.dbeta) / std::sqrt(m) + 1, sum / std::sqrt(m) + 1);
            of_sums.add(parameter(left.dgamma) / std::sqrt(m) + 1, sum_xhat / std::sqrt(m) + 1);
        }
        each_pixel(o.x, [&](int n, int h, int w) {
            const double d = dz[at(n, h, w)];
            const int64_t place = o.x.at(n, c, h, w);
            of_dx.add(activation(left.dx, place),
                      bn || stem ? g * rs * (d - sum / m - xhat(n, h, w) * sum_xhat / m) : d);
            if (o.residual)
                of_dresidual.add(activation(left.dresidual, place),
                                 pair ? g * rs * (d - sum / m - xhat2(n, h, w) * sum_xhat2 / m) : d);
        });
    }
};

double error_of_round(const OpTensors& o) {
    const std::vector<char> got = on_host(o.k, o.outs[0]);
    Compared all;
    for (int64_t i = 0; i < o.x.n; ++i)
        all.add(element(got.data(), Type::bf16, i), o.of_x.at(Map{.n = o.x.n}, int(i), 0, 0, 0));
    return all.error();
}

double error_of_image(const OpTensors& o) {
    const std::vector<char> got = on_host(o.k, o.dx), bytes = on_host(o.k, o.rgb);
    const int stored = o.x.stored_c();
    Compared all;
    for (int64_t i = 0; i < o.x.stored(); ++i) {
        const int64_t c = i % stored, place = i / stored * 3 + c;  // channels behind the third are zeros
        const double three[3] = {0.4f, 0.5f, 0.6f};
        const double want = c < 3 ? (uint8_t(bytes[size_t(place)]) / 255.0 - three[c]) / three[c] : 0;
        all.add(element(got.data(), o.k.activation, i), want);
    }
    return all.error();
}

}  // namespace

double error_in_double(const OpTensors& o) {
    if (o.name == "round") return error_of_round(o);
    if (o.name == "image") return error_of_image(o);
    const Left left(o);
    std::vector<int> channels{0, o.x.c / 2 + 1, o.x.c - 1};
    if (o.x.logical() < 10'000'000) {
        channels.resize(size_t(o.x.c));
        std::iota(channels.begin(), channels.end(), 0);
    }
    double worst = 0;
    for (const int c : channels) worst = std::max(worst, Channel{.o = o, .left = left, .c = c}.error());
    return worst;
}

}  // namespace fp
