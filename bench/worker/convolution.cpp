// One convolution: forward, forward_moments, infer, infer_residual, backward_data, backward_data_add or
// backward_filter, compared with its value in double.
#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "bench/worker/forced.h"
#include "bench/worker/work.h"
#include "engine/core/elements.h"
#include "kernels/error.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr int kMostSets = 32;

struct Convolution {
    const Kernels& k;
    std::string direction;
    ConvShape s;
    ConvForced forced;
    Drawn x, w, dy, before, of_channel;
    std::vector<Buffer> inputs, gradients;  // one per set, of those that the direction reads
    std::vector<Guarded> outs;
    Buffer weight, bias, prepared, scratch, initial;
    Guarded moments;

    Convolution(const Kernels& table,
                std::string what,
                const ConvShape& shape,
                const ConvForced& choice,
                Type exact,
                bool rectified)
        : k(table),
          direction(std::move(what)),
          s(shape),
          forced(choice),
          x({.seed = 1, .rectified = rectified, .exact = exact}, k.activation),
          w({.seed = 2, .exact = exact}, k.activation),
          dy({.seed = 3, .rectified = rectified, .exact = exact}, k.activation),
          before({.seed = 4, .exact = exact}, k.activation),
          of_channel({.seed = 5, .exact = exact}, k.parameter),
          weight(upload(k, k.parameter, s.w, w.numbers)),
          bias(upload(k, k.parameter, channels(), of_channel.numbers)) {
        const Forced now(forced);
        scratch = Buffer(k.memory, std::max<size_t>(k.conv.scratch_bytes(s), 1));
        if (direction == "forward_moments") {
            FP_REQUIRE(k.conv.forward_moments, Exit::usage, k.name, ": no forward_moments");
            moments = Guarded(k, Moments::bytes(s.y(), k.conv.moments_parts(s)));
        }
        if (infers()) {
            prepared = Buffer(k.memory, k.conv.prepared_bytes(s, {.residual = residual(), .relu = true}));
            k.conv.prepare(s, {.residual = residual(), .relu = true}, weight.as<par>(), prepared.data(), {});
            k.memory.synchronize({});
        }
        if (adds()) initial = upload(k, k.activation, s.x, before.numbers);
        grow(1);
        k.memory.synchronize({});
    }

    void grow(int sets) {
        while (int(outs.size()) < sets) {
            if (!input_gradient()) inputs.push_back(upload(k, k.activation, s.x, x.numbers));
            if (input_gradient() || filter_gradient() || residual())
                gradients.push_back(upload(k, k.activation, s.y(), dy.numbers));
            outs.emplace_back(k, out_bytes());
            if (adds()) copy_before(outs.back());
        }
    }
    int rotate(size_t bytes) {
        const size_t each =
            (inputs.empty() ? 0 : inputs[0].bytes()) + (gradients.empty() ? 0 : gradients[0].bytes()) + out_bytes();
        grow(int(std::clamp<size_t>((bytes + each - 1) / each, 2, size_t(kMostSets))));
        return int(outs.size());
    }
    void copy_before(const Guarded& to) const {
        k.memory.copy(to.data(), initial.data(), to.bytes(), {});
        k.memory.synchronize({});
    }
    void reset() {
        outs[0].poison();
        if (moments.data()) moments.poison();
        if (adds()) copy_before(outs[0]);
    }

    void call(int set) {
        const Forced now(forced);
        const size_t i = size_t(set);
        const act* in = inputs.empty() ? nullptr : inputs[i].as<act>();
        const act* gradient = gradients.empty() ? nullptr : gradients[i].as<act>();
        const par* filter = weight.as<par>();
        act* out = outs[i].as<act>();
        if (direction == "forward")
            k.conv.forward(s, {.x = in, .w = filter, .bias = nullptr, .y = out}, scratch.data(), {});
        else if (direction == "forward_moments")  // as training runs it
            k.conv.forward_moments(s, {.x = in, .w = filter, .bias = nullptr, .y = out},
                                   {moments.data(), k.conv.moments_parts(s)}, scratch.data(), {});
        else if (infers())
            k.conv.infer(s,
                         {.x = in,
                          .prepared = prepared.data(),
                          .bias = bias.as<par>(),
                          .residual = residual() ? gradient : nullptr,
                          .relu = true,
                          .y = out},
                         scratch.data(), {});
        else if (input_gradient())
            k.conv.backward_data(
                s, {.dy = gradient, .w = filter, .dx = out, .write = adds() ? Write::add : Write::replace},
                scratch.data(), {});
        else
            k.conv.backward_filter(
                s, {.x = in, .dy = gradient, .dw = outs[i].as<par>(), .dbias = nullptr, .write = Write::replace},
                scratch.data(), {});
    }

    Map channels() const { return {.c = s.w.k, .block = s.y_block}; }
    bool filter_gradient() const { return direction == "backward_filter"; }
    bool input_gradient() const { return direction.starts_with("backward_data"); }
    bool adds() const { return direction == "backward_data_add"; }
    bool infers() const { return direction.starts_with("infer"); }
    bool residual() const { return direction == "infer_residual"; }
    Map out_map() const { return input_gradient() ? s.x : s.y(); }
    Type out_type() const { return filter_gradient() ? k.parameter : k.activation; }
    size_t out_bytes() const {
        return size_t(filter_gradient() ? s.w.stored() : out_map().stored()) * size_t(bytes_of(out_type()));
    }
    std::vector<Output> outputs() const {
        std::vector<Output> all;
        if (filter_gradient())
            all.emplace_back("dw", outs[0], out_type(), s.w);
        else
            all.emplace_back(input_gradient() ? "dx" : "y", outs[0], out_type(), out_map());
        if (moments.data()) all.emplace_back("moments", moments);
        return all;
    }

    // One output in double: sums over what reaches it.
    double exact(int a, int b, int c, int d) const {  // n k p q;  n c h w;  k c r s
        double sum = 0;
        if (filter_gradient()) {
            for (int n = 0; n < s.x.n; ++n)
                for (int p = 0; p < s.p(); ++p)
                    for (int q = 0; q < s.q(); ++q) {
                        const int h = p * s.stride + c - s.pad, v = q * s.stride + d - s.pad;
                        if (h < 0 || v < 0 || h >= s.x.h || v >= s.x.w) continue;
                        sum += dy.at(s.y(), n, a, p, q) * x.at(s.x, n, b, h, v);
                    }
            return sum;
        }
        for (int r = 0; r < s.w.r; ++r)
            for (int t = 0; t < s.w.s; ++t) {
                if (input_gradient()) {
                    const int p = c + s.pad - r, q = d + s.pad - t;
                    if (p < 0 || q < 0 || p % s.stride || q % s.stride) continue;
                    if (p / s.stride >= s.p() || q / s.stride >= s.q()) continue;
                    for (int f = 0; f < s.w.k; ++f)
                        sum += dy.at(s.y(), a, f, p / s.stride, q / s.stride) * w.at(s.w, f, b, r, t);
                } else {
                    const int h = c * s.stride + r - s.pad, v = d * s.stride + t - s.pad;
                    if (h < 0 || v < 0 || h >= s.x.h || v >= s.x.w) continue;
                    for (int f = 0; f < s.x.c; ++f) sum += x.at(s.x, a, f, h, v) * w.at(s.w, b, f, r, t);
                }
            }
        if (residual()) sum += dy.at(s.y(), a, b, c, d);
        if (adds()) sum += before.at(s.x, a, b, c, d);
        if (!infers()) return sum;
        return std::max(sum + of_channel.at(channels(), 0, b, 0, 0), 0.0);
    }

    double stored(int64_t at) const {
        const size_t bytes = size_t(bytes_of(out_type()));
        alignas(8) char one[8] = {};
        k.memory.copy_out(one, static_cast<const char*>(outs[0].data()) + size_t(at) * bytes, bytes, {});
        return element(one, out_type(), 0);
    }

    // Of some channels, the moments left by forward_moments beside those of y as stored: the larger of the mean's
    // distance, in standard deviations, and the variance's, relative.
    double moments_error() const {
        const Map m = s.y();
        const Forced now(forced);
        const int64_t parts = k.conv.moments_parts(s), pixels = int64_t(m.n) * m.pixels(), stored_c = m.stored_c();
        const auto told = on_host<float>(k, moments);
        const auto y = on_host(k, outs[0]);
        double worst = 0;
        for (const int c : {0, m.c / 3, m.c / 2 + 1, m.c - 1}) {
            double mean = 0, squares = 0, count = 0, sum = 0, sum2 = 0;
            for (int64_t i = 0; i < parts; ++i) {
                const double of_part = told[size_t(2 * i * stored_c + c)];
                const double n = told[size_t(2 * parts * stored_c + i)];
                if (n == 0) continue;
                const double off = of_part - mean;
                mean += off * n / (count + n);
                squares += told[size_t((2 * i + 1) * stored_c + c)] + off * off * n * count / (count + n);
                count += n;
            }
            each_pixel(m, [&](int n, int h, int v) {
                const double value = element(y.data(), k.activation, m.at(n, c, h, v));
                sum += value;
                sum2 += value * value;
            });
            const double true_mean = sum / double(pixels), variance = sum2 / double(pixels) - true_mean * true_mean;
            for (const double off :
                 {std::abs(mean - true_mean) / std::sqrt(variance), std::abs(squares / double(pixels) / variance - 1),
                  std::abs(count / double(pixels) - 1)})
                worst = worse(worst, off);
        }
        return worst;
    }

    // Of some channels, dbias beside its sums in double: the largest distance relative to the root mean square of such
    // a sum. Channels that nobody wrote are NaN, and a byte outside is as wrong.
    double bias_gradient_error() const {
        const Map m = s.y();
        const Forced now(forced);
        const Guarded filter(k, out_bytes());
        const Guarded dbias(k, size_t(channels().stored()) * size_t(bytes_of(k.parameter)));
        k.conv.backward_filter(s,
                               {.x = inputs[0].as<act>(),
                                .dy = gradients[0].as<act>(),
                                .dw = filter.as<par>(),
                                .dbias = dbias.as<par>(),
                                .write = Write::replace},
                               scratch.data(), {});
        k.memory.synchronize({});
        if (!filter.intact() || !dbias.intact()) return 1e30;
        const auto told = on_host(k, dbias);
        double worst = 0;
        for (const int c : {0, m.c / 3, m.c / 2, m.c - 1}) {
            double sum = 0, squares = 0;
            each_pixel(m, [&](int n, int h, int v) {
                const double value = dy.at(m, n, c, h, v);
                sum += value;
                squares += value * value;
            });
            const double got = element(told.data(), k.parameter, channels().at(0, c, 0, 0));
            worst = worse(worst, std::abs(got - sum) / std::sqrt(squares));
        }
        return worst;
    }

    // Places where blocks of kernels begin and end: a multiple of a tile, or the one before it.
    static int edge(int size, int tile, uint64_t draw) {
        const int tiles = (size + tile - 1) / tile, at = int(draw >> 1) % (tiles + 1) * tile;
        return std::clamp(at - int(draw & 1), 0, size - 1);
    }
    // Compared with double: half of the samples at edges of tiles of pixels and channels, half anywhere.
    nlohmann::json in_double() const {
        const Map m = out_map();
        const int64_t terms =
            filter_gradient() ? int64_t(s.x.n) * s.p() * s.q() : int64_t(s.w.r) * s.w.s * std::max(s.x.c, s.w.k);
        const uint64_t samples = uint64_t(std::clamp<int64_t>(int64_t(3e7) / terms, 12, 512));
        double wrong = 0, right = 0, worst = 0;
        for (uint64_t i = 0; i < samples; ++i) {
            const auto draw = [&](int below, uint64_t axis) {
                return int(uniform_below(uint64_t(below), key_of(9, axis), i));
            };
            const bool at_edge = i % 2 == 0;
            const int tile = 16 << draw(5, 4);
            int a, b, c = draw(s.w.r, 2), d = draw(s.w.s, 3);
            if (filter_gradient()) {
                a = at_edge ? edge(s.w.k, tile, uint64_t(draw(1 << 20, 0))) : draw(s.w.k, 0);
                b = at_edge ? edge(s.w.c, tile, uint64_t(draw(1 << 20, 1))) : draw(s.w.c, 1);
            } else {
                const int pixels = int(int64_t(m.n) * m.pixels());
                const int pixel = at_edge ? edge(pixels, tile, uint64_t(draw(1 << 20, 0))) : draw(pixels, 0);
                b = at_edge ? edge(m.c, tile, uint64_t(draw(1 << 20, 1))) : draw(m.c, 1);
                a = int(pixel / m.pixels());
                c = int(pixel % m.pixels()) / m.w;
                d = pixel % m.w;
            }
            const double want = exact(a, b, c, d);
            const double off = stored(filter_gradient() ? s.w.at(a, b, c, d) : m.at(a, b, c, d)) - want;
            wrong += off * off;
            right += want * want;
            worst = worse(worst, std::abs(off));
        }
        const double scale = std::sqrt(right / double(samples));
        nlohmann::json out{{"rms", std::sqrt(wrong / right)}, {"worst", worst / scale}, {"samples", samples}};
        if (moments.data()) out["moments"] = moments_error();
        if (filter_gradient()) out["dbias"] = bias_gradient_error();
        return out;
    }
};

}  // namespace

Work convolution_work(const Kernels& k, Line& words) {
    std::string direction;
    int n, h, c, f, r, stride;
    words >> direction >> n >> h >> c >> f >> r >> stride;
    ConvForced choice;
    bool rectified = false;
    for (std::string word; words >> word;) {
        if (word == "rectified")
            rectified = true;
        else
            force(choice, word);
    }
    const int block = c <= 4 ? k.image_block(c) : k.block(c);
    const ConvShape s{.x = {.n = n, .c = c, .h = h, .w = h, .block = block},
                      .w = k.filter(f, c, r, r, block),
                      .stride = stride,
                      .pad = r / 2,
                      .y_block = k.block(f)};
    static const std::set<std::string> known{"forward",       "forward_moments",   "infer",          "infer_residual",
                                             "backward_data", "backward_data_add", "backward_filter"};
    FP_REQUIRE(known.contains(direction), Exit::usage, "conv: unknown direction ", direction);
    auto it = std::make_shared<Convolution>(k, direction, s, choice, words.inputs, rectified);
    return {.call = [it](int set) { it->call(set); },
            .rotate = [it](size_t bytes) { return it->rotate(bytes); },
            .reset = [it] { it->reset(); },
            .outputs = it->outputs(),
            .in_double = [it] { return it->in_double(); },
            .flops = s.flops()};
}

}  // namespace fp
