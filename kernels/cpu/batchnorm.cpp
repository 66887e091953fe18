// Batch normalisation, with the residual addition and the ReLU that may follow it.
//
//   xhat = (x - mean) rstd,  rstd = 1 / sqrt(var + eps)     per channel over m = n h w elements
//   y    = act(gamma xhat + beta + residual)
//   g    = 0 where y <= 0 (with ReLU), else dy             dresidual = g
//   dgamma = sum g xhat      dbeta = sum g
//   dx   = gamma rstd (g - dbeta / m - xhat dgamma / m)     batch statistics
//   dx   = gamma rstd g                                     given statistics
//
// Layout   Channels in blocks of 4, 8 or 16, one vector per pixel. The padding of y is zero because gamma, beta and x are
//          zero there.
// Sums     A unit of work is a run of images of one channel block, split into tiles of at most 128 pixels. Sums within
//          a tile are in float; tiles and units are combined in double and in a fixed order, so results depend on the
//          shape alone. Variance is accumulated about the mean of the previous tile to avoid cancellation: where that
//          mean is far from the tile's own, the distance between the two is a part of the variance of the same size.
// Traffic  train reads x twice and writes y; backward reads x, dy (and y with ReLU) twice and writes dx. Channel blocks
//          are processed in batches that stay in a shared cache between the two passes.
// Bound    memory.
#include <cmath>

#include "kernels/cpu/batchnorm_units.h"
#include "kernels/cpu/lanes.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

// Mean and sum of squared deviations from it, of `count` elements per channel.
template <int B>
struct Moments {
    double count = 0;
    Doubles<B> mean{}, squares{};

    void join(const Moments& next) {
        const double total = count + next.count;
        const Doubles<B> apart = next.mean - mean;
        mean += apart * (next.count / total);
        squares += next.squares + apart * apart * (count * next.count / total);
        count = total;
    }
};

template <int B>
Moments<B> moments(const NormUnits& units, const NormUnit& unit, const float* x) {
    Moments<B> all;
    Floats<B> shift{};
    for_tiles(units, unit, [&](const NormTile& tile) {
        if (all.count == 0) {
            Floats<B> sum{};
            for_pixels<B>(units, tile, [&](int64_t i) { sum += load<B>(x + i); });
            shift = sum / float(tile.count());
        }
        Floats<B> sum{}, squares{};
        for_pixels<B>(units, tile, [&](int64_t i) {
            const Floats<B> d = load<B>(x + i) - shift;
            sum += d;
            squares += d * d;
        });
        const auto count = double(tile.count());
        const Doubles<B> away = widen<B>(sum) / count;
        const Doubles<B> mean = widen<B>(shift) + away;
        all.join({count, mean, widen<B>(squares) - away * away * count});
        shift = narrow<B>(mean);
    });
    return all;
}

// y = act((x - mean) scale + shift + residual)
struct Normalized {
    const float *x, *residual;
    float* y;
};
template <int B>
struct Line {
    Floats<B> mean, scale, shift;
};
template <int B, bool kRelu, bool kResidual>
void normalize(const NormUnits& units, const NormUnit& unit, const Normalized& maps, const Line<B>& line) {
    // Copies: the compiler must assume that a store to y changes `maps` and `line`.
    const float *x = maps.x, *residual = maps.residual;
    float* const y = maps.y;
    const Floats<B> mean = line.mean, scale = line.scale, shift = line.shift;
    for_tiles(units, unit, [&](const NormTile& tile) {
        for_pixels<B>(units, tile, [&](int64_t i) {
            Floats<B> z = (load<B>(x + i) - mean) * scale + shift;
            if (kResidual) z += load<B>(residual + i);
            if (kRelu) z = z <= 0 ? Floats<B>{} : z;
            store<B>(y + i, z);
        });
    });
}

template <int B>
void normalize(const BatchNormShape& s,
               const NormUnits& units,
               const NormUnit& unit,
               const Normalized& maps,
               const Line<B>& line) {
    with_flag(s.relu, [&](auto relu) {
        with_flag(s.residual, [&](auto has_residual) { normalize<B, relu, has_residual>(units, unit, maps, line); });
    });
}

size_t scratch_bytes(const BatchNormShape& s) { return NormScratch::bytes(s.x); }

// A fused multiply-add, since a compiler may or may not make one of a product and a sum.
float moved(float running, double momentum, float batch) {
    return float(std::fma(momentum, double(batch), (1 - momentum) * double(running)));
}

void follow(int64_t count, int batches, double momentum, const BatchNorm::Follow& args, Stream) {
    auto* running = as<float>(args.running);
    const auto* of = as<float>(args.of);
    for (int batch = 0; batch < batches; ++batch)
        for (int64_t i = 0; i < count; ++i) running[i] = moved(running[i], momentum, of[batch * count + i]);
}

void train(const BatchNormShape& s, const BatchNorm::Train& args, void* scratch_block, Stream) {
    const Normalized maps{.x = as<float>(args.x), .residual = as<float>(args.residual), .y = as<float>(args.y)};
    const auto *gamma = as<float>(args.gamma), *beta = as<float>(args.beta);
    auto *running_mean = as<float>(args.running_mean), *running_var = as<float>(args.running_var);
    auto *mean = as<float>(args.mean), *rstd = as<float>(args.rstd);
    const NormUnits units{s.x};
    const NormScratch scratch(s.x, scratch_block);
    const double m = double(s.x.n) * double(s.x.pixels());
    // y = (x - mean) scale + shift, where shift corrects for the rounding of mean to float.
    float *scale = scratch.first, *shift = scratch.second;

    with_block(s.x.block, [&](auto block) {
        constexpr int B = block;
        const auto sum = [&](int i) {
            const Moments<B> part = moments<B>(units, units[i], maps.x);
            store<B>(scratch.of(i, B), part.mean);
            store<B>(scratch.of(i, B) + B, part.squares);
        };
        const auto finish = [&](int channels) {
            Moments<B> all;
            for (int i = channels * units.per_block(); i < (channels + 1) * units.per_block(); ++i) {
                const NormUnit unit = units[i];
                all.join({double(unit.last - unit.first) * double(s.x.pixels()), load<B>(scratch.of(i, B)),
                          load<B>(scratch.of(i, B) + B)});
            }
            for (int lane = 0; lane < B; ++lane) {
                const int c = channels * B + lane;
                const double mu = all.mean[lane], var = all.squares[lane] / m;
                const double r = c < s.x.c ? 1 / std::sqrt(var + s.eps) : 0.0;
                mean[c] = float(mu);
                rstd[c] = float(r);
                running_mean[c] = moved(running_mean[c], s.momentum, mean[c]);
                running_var[c] = moved(running_var[c], s.momentum, float(m > 1 ? var * m / (m - 1) : var));
                scale[c] = float(gamma[c] * r);
                shift[c] = float(beta[c] - (mu - mean[c]) * gamma[c] * r);
            }
        };
        const auto apply = [&](int i) {
            const NormUnit unit = units[i];
            const int c = unit.block * B;
            normalize<B>(s, units, unit, maps,
                         {.mean = load<B>(mean + c), .scale = load<B>(scale + c), .shift = load<B>(shift + c)});
        };
        in_batches(units, s.residual ? 3 : 2, sum, finish, apply);
    });
}

void infer(const BatchNormShape& s, const BatchNorm::Infer& args, Stream) {
    const Normalized maps{.x = as<float>(args.x), .residual = as<float>(args.residual), .y = as<float>(args.y)};
    const auto *gamma = as<float>(args.gamma), *beta = as<float>(args.beta);
    const auto *mean = as<float>(args.running_mean), *var = as<float>(args.running_var);
    const NormUnits units{s.x};
    with_block(s.x.block, [&](auto block) {
        constexpr int B = block;
#pragma omp parallel for schedule(dynamic) if (s.x.stored() > kPiece)
        for (int i = 0; i < units.count(); ++i) {
            const NormUnit unit = units[i];
            const int c = unit.block * B;
            Floats<B> scale;
            for (int lane = 0; lane < B; ++lane)
                scale[lane] = float(gamma[c + lane] / std::sqrt(var[c + lane] + s.eps));
            normalize<B>(s, units, unit, maps, {.mean = load<B>(mean + c), .scale = scale, .shift = load<B>(beta + c)});
        }
    });
}

struct Differentiated {
    const float *x, *y, *dy;
    float *dx, *dresidual;  // dresidual may be null
    Write dresidual_write;
};

// g and its sums over a unit; g is also written to dresidual, if there is one.
template <int B, bool kRelu>
void sum_gradient(
    const NormUnits& units, const NormUnit& unit, const Differentiated& maps, const Floats<B>& mean, double* partial) {
    const float *x = maps.x, *y = maps.y, *dy = maps.dy;
    float* const dresidual = maps.dresidual;
    const bool add = maps.dresidual_write == Write::add;
    Doubles<B> sum{}, sum_away{};
    for_tiles(units, unit, [&](const NormTile& tile) {
        Floats<B> part{}, part_away{};
        for_pixels<B>(units, tile, [&](int64_t i) {
            Floats<B> g = load<B>(dy + i);
            if (kRelu) g = load<B>(y + i) <= 0 ? Floats<B>{} : g;
            part += g;
            part_away += g * (load<B>(x + i) - mean);
            if (dresidual) store<B>(dresidual + i, add ? load<B>(dresidual + i) + g : g);
        });
        sum += widen<B>(part);
        sum_away += widen<B>(part_away);
    });
    store<B>(partial, sum);
    store<B>(partial + B, sum_away);
}

// dx = scale (g - drift - (x - mean) slope)
template <int B>
struct GradientLine {
    Floats<B> mean, scale, drift, slope;
};
template <int B, bool kRelu, bool kAdd>
void propagate(const NormUnits& units, const NormUnit& unit, const Differentiated& maps, const GradientLine<B>& line) {
    const Floats<B> mean = line.mean, scale = line.scale, drift = line.drift, slope = line.slope;
    const float *x = maps.x, *y = maps.y, *dy = maps.dy;
    float* const dx = maps.dx;
    for_tiles(units, unit, [&](const NormTile& tile) {
        for_pixels<B>(units, tile, [&](int64_t i) {
            Floats<B> g = load<B>(dy + i);
            if (kRelu) g = load<B>(y + i) <= 0 ? Floats<B>{} : g;
            g = scale * (g - drift - (load<B>(x + i) - mean) * slope);
            store<B>(dx + i, kAdd ? load<B>(dx + i) + g : g);
        });
    });
}

template <class Rstd>
struct Statistics {
    const float* mean;
    Rstd rstd;      // rstd(c)
    bool of_batch;  // they depend on x
};

// Of one channel block, from the sums of its units: dgamma, dbeta, and drift and slope of propagate.
template <int B, class Rstd>
void finish_gradient(const NormUnits& units,
                     int channels,
                     const NormScratch& scratch,
                     const Statistics<Rstd>& of,
                     const BatchNorm::Gradients& to) {
    const double m = double(units.map.n) * double(units.map.pixels());
    float *drift = scratch.first, *slope = scratch.second;
    Doubles<B> sum_g{}, sum_away{};
    for (int i = channels * units.per_block(); i < (channels + 1) * units.per_block(); ++i) {
        sum_g += load<B>(scratch.of(i, B));
        sum_away += load<B>(scratch.of(i, B) + B);
    }
    for (int lane = 0; lane < B; ++lane) {
        const int c = channels * B + lane;
        const double r = of.rstd(c), scaled = sum_away[lane] * r;
        const auto put = [&](float* slot, double value) {
            if (slot) slot[c] = to.par_write == Write::add ? slot[c] + float(value) : float(value);
        };
        put(as<float>(to.dgamma), scaled);
        put(as<float>(to.dbeta), sum_g[lane]);
        drift[c] = of.of_batch ? float(sum_g[lane] / m) : 0.0f;
        slope[c] = of.of_batch ? float(scaled * r / m) : 0.0f;
    }
}

// `args` is a BatchNorm::Backward or a BatchNorm::BackwardFrozen.
template <class Args, class Rstd>
void differentiate(const BatchNormShape& s, const Args& args, const Statistics<Rstd>& of, void* scratch_block) {
    const BatchNorm::Gradients& to = args.to;
    const Differentiated maps{.x = as<float>(args.x),
                              .y = as<float>(args.y),
                              .dy = as<float>(args.dy),
                              .dx = as<float>(to.dx),
                              .dresidual = as<float>(to.dresidual),
                              .dresidual_write = to.dresidual_write};
    const auto *gamma = as<float>(args.gamma), *mean = of.mean;
    const NormUnits units{s.x};
    const NormScratch scratch(s.x, scratch_block);
    const float *drift = scratch.first, *slope = scratch.second;
    // If the first pass writes g to dresidual, the second reads g there and does not need y.
    const bool g_kept = maps.dresidual && to.dresidual_write == Write::replace;
    Differentiated second = maps;
    if (g_kept) second.dy = maps.dresidual;

    with_block(s.x.block, [&](auto block) {
        constexpr int B = block;
        const auto sum = [&](int i) {
            const NormUnit unit = units[i];
            with_flag(s.relu, [&](auto relu) {
                sum_gradient<B, relu>(units, unit, maps, load<B>(mean + unit.block * B), scratch.of(i, B));
            });
        };
        const auto finish = [&](int channels) { finish_gradient<B>(units, channels, scratch, of, to); };
        const auto apply = [&](int i) {
            const NormUnit unit = units[i];
            const int c = unit.block * B;
            GradientLine<B> line{
                .mean = load<B>(mean + c), .scale = {}, .drift = load<B>(drift + c), .slope = load<B>(slope + c)};
            for (int lane = 0; lane < B; ++lane) line.scale[lane] = float(gamma[c + lane] * of.rstd(c + lane));
            with_flag(s.relu && !g_kept, [&](auto relu) {
                with_flag(to.dx_write == Write::add,
                          [&](auto add) { propagate<B, relu, add>(units, unit, second, line); });
            });
        };
        in_batches(units, s.relu ? 4 : 3, sum, finish, apply);
    });
}

void backward(const BatchNormShape& s, const BatchNorm::Backward& args, void* scratch, Stream) {
    const auto rstd = [rstd = as<float>(args.rstd)](int c) { return double(rstd[c]); };
    differentiate(s, args, Statistics{as<float>(args.mean), rstd, true}, scratch);
}

void backward_frozen(const BatchNormShape& s, const BatchNorm::BackwardFrozen& args, void* scratch, Stream) {
    const auto rstd = [var = as<float>(args.running_var), eps = s.eps](int c) { return 1 / std::sqrt(var[c] + eps); };
    differentiate(s, args, Statistics{as<float>(args.running_mean), rstd, false}, scratch);
}

}  // namespace

extern const BatchNorm batchnorm{.scratch_bytes = scratch_bytes,
                                 .train = train,
                                 .infer = infer,
                                 .backward = backward,
                                 .backward_frozen = backward_frozen,
                                 .follow = follow};

}  // namespace fp::cpu
