// Batch normalisation, with the residual addition and the ReLU that may follow it.
//
//   xhat = (x - mean) rstd,  rstd = 1 / sqrt(var + eps)     per channel over m = n h w elements
//   y    = act(gamma xhat + beta + residual)
//   g    = 0 where y <= 0 (with ReLU), else dy             dresidual = g
//   dgamma = sum g xhat      dbeta = sum g
//   dx   = gamma rstd (g - dbeta / m - xhat dgamma / m)     batch statistics
//   dx   = gamma rstd g                                     given statistics
//
// Layout   Channels in blocks of 8 or 16, one vector per pixel. The padding of y is zero because gamma, beta and x are
//          zero there.
// Sums     A unit of work is a run of images of one channel block, split into tiles of at most 128 pixels. Sums within a
//          tile are in float; tiles and units are combined in double and in a fixed order, so results depend on the
//          shape alone. Variance is accumulated about the mean of the previous tile to avoid cancellation: where that
//          mean is far from the tile's own, the distance between the two is a part of the variance of the same size.
// Traffic  train reads x twice and writes y; backward reads x, dy (and y with ReLU) twice and writes dx. Channel blocks
//          are processed in batches that stay in a shared cache between the two passes.
// Bound    memory.
#include <cmath>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/kernels.h"

namespace fp::cpu {
namespace {

constexpr int64_t kTilePixels = 128;
constexpr int64_t kUnitPixels = 2048;
constexpr int64_t kBatchBytes = 8 << 20;

// A unit of work: images [first, last) of a channel block.
struct Unit {
    int block, first, last;
};

struct Units {
    Map map;

    int images() const { return int(std::max<int64_t>(1, kUnitPixels / map.pixels())); }
    int per_block() const { return int(ceil_div(map.n, images())); }
    int count() const { return per_block() * map.blocks(); }
    Unit operator[](int i) const {
        const int first = i % per_block() * images();
        return {i / per_block(), first, std::min(map.n, first + images())};
    }
    int64_t plane(int image, int block) const {  // offset of one image of a channel block
        return map.at(image, block * map.block, 0, 0);
    }
    int64_t plane_stride() const { return map.stored_c() * map.pixels(); }
};

// `images` runs of `pixels` vectors, from element `first` on.
struct Tile {
    int64_t first, images, pixels;
    int64_t count() const { return images * pixels; }
};

template <class Body>
void for_tiles(const Units& units, const Unit& unit, const Body& body) {
    const int64_t pixels = units.map.pixels();
    if (pixels > kTilePixels) {
        for (int n = unit.first; n < unit.last; ++n)
            for (int64_t p = 0; p < pixels; p += kTilePixels)
                body(Tile{units.plane(n, unit.block) + p * units.map.block, 1,
                          std::min(kTilePixels, pixels - p)});
    } else {
        const int images = int(kTilePixels / pixels);
        for (int n = unit.first; n < unit.last; n += images)
            body(Tile{units.plane(n, unit.block), std::min(images, unit.last - n), pixels});
    }
}

// body(element index) for every vector of the tile
template <int B, class Body>
inline void for_pixels(const Units& units, const Tile& tile, const Body& body) {
    for (int64_t n = 0; n < tile.images; ++n) {
        const int64_t first = tile.first + n * units.plane_stride();
        for (int64_t p = 0; p < tile.pixels; ++p) body(first + p * B);
    }
}

// Processes channel blocks in batches whose `streams` maps fit in the shared cache. Of each batch: pass(i) of every unit
// i, then finish(block) of every block, then second(i) of every unit in reverse order, so that it begins with what pass
// read last. All threads of the team meet between the three.
template <class Pass, class Finish, class Second>
void in_batches(
    const Units& units, int streams, const Pass& pass, const Finish& finish, const Second& second) {
    const Map& map = units.map;
    const int64_t block_bytes = streams * int64_t(sizeof(float)) * map.stored() / map.blocks();
    const int blocks = int(std::clamp<int64_t>(kBatchBytes / block_bytes, 1, map.blocks()));
    const int per_block = units.per_block();
#pragma omp parallel if (map.stored() > kPiece)
    for (int first = 0; first < map.blocks(); first += blocks) {
        const int last = std::min(map.blocks(), first + blocks);
#pragma omp for schedule(dynamic)
        for (int i = first * per_block; i < last * per_block; ++i) pass(i);
#pragma omp for
        for (int block = first; block < last; ++block) finish(block);
#pragma omp for schedule(dynamic)
        for (int i = last * per_block - 1; i >= first * per_block; --i) second(i);
    }
}

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
Moments<B> moments(const Units& units, const Unit& unit, const float* x) {
    Moments<B> all;
    Floats<B> shift{};
    for_tiles(units, unit, [&](const Tile& tile) {
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
void normalize(const Units& units, const Unit& unit, const Normalized& maps, const Line<B>& line) {
    // Copies: the compiler must assume that a store to y changes `maps` and `line`.
    const float *x = maps.x, *residual = maps.residual;
    float* const y = maps.y;
    const Floats<B> mean = line.mean, scale = line.scale, shift = line.shift;
    for_tiles(units, unit, [&](const Tile& tile) {
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
               const Units& units,
               const Unit& unit,
               const Normalized& maps,
               const Line<B>& line) {
    with_flag(s.relu, [&](auto relu) {
        with_flag(s.residual, [&](auto has_residual) {
            normalize<B, relu, has_residual>(units, unit, maps, line);
        });
    });
}

// The caller's scratch: two vectors of doubles per unit, then two numbers per channel.
struct Scratch {
    double* partial;
    float *first, *second;

    Scratch(const Map& map, void* scratch)
        : partial(static_cast<double*>(scratch)),
          first(reinterpret_cast<float*>(partial + 2 * partials(map))),
          second(first + map.stored_c()) {}

    static int64_t partials(const Map& map) { return int64_t(Units{map}.count()) * map.block; }
    static size_t bytes(const Map& map) {
        return size_t(2 * partials(map)) * sizeof(double) +
               size_t(2 * map.stored_c()) * sizeof(float);
    }
    double* of(int unit, int block) const { return partial + int64_t(unit) * 2 * block; }
};

size_t scratch_bytes(const BatchNormShape& s) { return Scratch::bytes(s.x); }

void train(const BatchNormShape& s, const BatchNorm::Train& args, void* scratch_block, Stream) {
    const Normalized maps{
        .x = as<float>(args.x), .residual = as<float>(args.residual), .y = as<float>(args.y)};
    const auto *gamma = as<float>(args.gamma), *beta = as<float>(args.beta);
    auto *running_mean = as<float>(args.running_mean), *running_var = as<float>(args.running_var);
    auto *mean = as<float>(args.mean), *rstd = as<float>(args.rstd);
    const Units units{s.x};
    const Scratch scratch(s.x, scratch_block);
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
            for (int i = channels * units.per_block(); i < (channels + 1) * units.per_block();
                 ++i) {
                const Unit unit = units[i];
                all.join({double(unit.last - unit.first) * double(s.x.pixels()),
                          load<B>(scratch.of(i, B)), load<B>(scratch.of(i, B) + B)});
            }
            for (int lane = 0; lane < B; ++lane) {
                const int c = channels * B + lane;
                const double mu = all.mean[lane], var = all.squares[lane] / m;
                const double r = c < s.x.c ? 1 / std::sqrt(var + s.eps) : 0.0;
                const auto moved = [&](float running, double batch) {
                    return float((1 - s.momentum) * running + s.momentum * batch);
                };
                mean[c] = float(mu);
                rstd[c] = float(r);
                running_mean[c] = moved(running_mean[c], mu);
                running_var[c] = moved(running_var[c], m > 1 ? var * m / (m - 1) : var);
                scale[c] = float(gamma[c] * r);
                shift[c] = float(beta[c] - (mu - mean[c]) * gamma[c] * r);
            }
        };
        const auto apply = [&](int i) {
            const Unit unit = units[i];
            const int c = unit.block * B;
            normalize<B>(s, units, unit, maps,
                         {.mean = load<B>(mean + c),
                          .scale = load<B>(scale + c),
                          .shift = load<B>(shift + c)});
        };
        in_batches(units, s.residual ? 3 : 2, sum, finish, apply);
    });
}

void infer(const BatchNormShape& s, const BatchNorm::Infer& args, Stream) {
    const Normalized maps{
        .x = as<float>(args.x), .residual = as<float>(args.residual), .y = as<float>(args.y)};
    const auto *gamma = as<float>(args.gamma), *beta = as<float>(args.beta);
    const auto *mean = as<float>(args.running_mean), *var = as<float>(args.running_var);
    const Units units{s.x};
    with_block(s.x.block, [&](auto block) {
        constexpr int B = block;
#pragma omp parallel for schedule(dynamic) if (s.x.stored() > kPiece)
        for (int i = 0; i < units.count(); ++i) {
            const Unit unit = units[i];
            const int c = unit.block * B;
            Floats<B> scale;
            for (int lane = 0; lane < B; ++lane)
                scale[lane] = float(gamma[c + lane] / std::sqrt(var[c + lane] + s.eps));
            normalize<B>(s, units, unit, maps,
                         {.mean = load<B>(mean + c), .scale = scale, .shift = load<B>(beta + c)});
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
void sum_gradient(const Units& units,
                  const Unit& unit,
                  const Differentiated& maps,
                  const Floats<B>& mean,
                  double* partial) {
    const float *x = maps.x, *y = maps.y, *dy = maps.dy;
    float* const dresidual = maps.dresidual;
    const bool add = maps.dresidual_write == Write::add;
    Doubles<B> sum{}, sum_away{};
    for_tiles(units, unit, [&](const Tile& tile) {
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
void propagate(const Units& units,
               const Unit& unit,
               const Differentiated& maps,
               const GradientLine<B>& line) {
    const Floats<B> mean = line.mean, scale = line.scale, drift = line.drift, slope = line.slope;
    const float *x = maps.x, *y = maps.y, *dy = maps.dy;
    float* const dx = maps.dx;
    for_tiles(units, unit, [&](const Tile& tile) {
        for_pixels<B>(units, tile, [&](int64_t i) {
            Floats<B> g = load<B>(dy + i);
            if (kRelu) g = load<B>(y + i) <= 0 ? Floats<B>{} : g;
            g = scale * (g - drift - (load<B>(x + i) - mean) * slope);
            store<B>(dx + i, kAdd ? load<B>(dx + i) + g : g);
        });
    });
}

// `args` is a BatchNorm::Backward or a BatchNorm::BackwardFrozen. rstd(c) gives the scale of the statistics; `of_batch` says
// that they depend on x.
template <class Args, class Rstd>
void differentiate(const BatchNormShape& s,
                   const Args& args,
                   const par* mean_par,
                   const Rstd& rstd,
                   bool of_batch,
                   void* scratch_block) {
    const BatchNorm::Gradients& to = args.to;
    const Differentiated maps{.x = as<float>(args.x),
                              .y = as<float>(args.y),
                              .dy = as<float>(args.dy),
                              .dx = as<float>(to.dx),
                              .dresidual = as<float>(to.dresidual),
                              .dresidual_write = to.dresidual_write};
    const auto *gamma = as<float>(args.gamma), *mean = as<float>(mean_par);
    auto *dgamma = as<float>(to.dgamma), *dbeta = as<float>(to.dbeta);
    const Units units{s.x};
    const Scratch scratch(s.x, scratch_block);
    const double m = double(s.x.n) * double(s.x.pixels());
    float *drift = scratch.first, *slope = scratch.second;
    // If the first pass writes g to dresidual, the second reads g there and does not need y.
    const bool g_kept = maps.dresidual && to.dresidual_write == Write::replace;
    Differentiated second = maps;
    if (g_kept) second.dy = maps.dresidual;

    with_block(s.x.block, [&](auto block) {
        constexpr int B = block;
        const auto sum = [&](int i) {
            const Unit unit = units[i];
            with_flag(s.relu, [&](auto relu) {
                sum_gradient<B, relu>(units, unit, maps, load<B>(mean + unit.block * B),
                                      scratch.of(i, B));
            });
        };
        const auto finish = [&](int channels) {
            Doubles<B> sum_g{}, sum_away{};
            for (int i = channels * units.per_block(); i < (channels + 1) * units.per_block();
                 ++i) {
                sum_g += load<B>(scratch.of(i, B));
                sum_away += load<B>(scratch.of(i, B) + B);
            }
            for (int lane = 0; lane < B; ++lane) {
                const int c = channels * B + lane;
                const double r = rstd(c), scaled = sum_away[lane] * r;
                const auto put = [&](float* slot, double value) {
                    if (slot) slot[c] = float(to.par_write == Write::add ? slot[c] + value : value);
                };
                put(dgamma, scaled);
                put(dbeta, sum_g[lane]);
                drift[c] = of_batch ? float(sum_g[lane] / m) : 0.0f;
                slope[c] = of_batch ? float(scaled * r / m) : 0.0f;
            }
        };
        const auto apply = [&](int i) {
            const Unit unit = units[i];
            const int c = unit.block * B;
            GradientLine<B> line{.mean = load<B>(mean + c),
                                 .scale = {},
                                 .drift = load<B>(drift + c),
                                 .slope = load<B>(slope + c)};
            for (int lane = 0; lane < B; ++lane)
                line.scale[lane] = float(gamma[c + lane] * rstd(c + lane));
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
    differentiate(s, args, args.mean, rstd, true, scratch);
}

void backward_frozen(const BatchNormShape& s,
                     const BatchNorm::BackwardFrozen& args,
                     void* scratch,
                     Stream) {
    const auto rstd = [var = as<float>(args.running_var), eps = s.eps](int c) {
        return 1 / std::sqrt(var[c] + eps);
    };
    differentiate(s, args, args.running_mean, rstd, false, scratch);
}

}  // namespace

extern const BatchNorm batchnorm{.scratch_bytes = scratch_bytes,
                                 .train = train,
                                 .infer = infer,
                                 .backward = backward,
                                 .backward_frozen = backward_frozen};

}  // namespace fp::cpu
