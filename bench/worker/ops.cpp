// One op that memory bounds, compared with its value in double. In place of flops it returns the bytes that a perfect
// memory would move.
//   op bn_forward N H C [residual] [bits]               on moments, with ReLU
//   op bn_backward N H C [residual] [again|bits]        again: y is computed again; bits: its mask is read
//   op pair_forward|pair_backward N H C [apart]         two norms, added, ReLU; apart: norm, then norm with residual
//   op pool_forward|pool_backward N H C [two]           max pool 3x3/2, padding 1, or 2x2/2
//   op stem_forward|stem_backward N H C [apart]         batch norm, ReLU and max pool 3x3/2; apart: op after op
//   op avgpool_forward|avgpool_backward N H C           to 1 x 1
//   op image N H,  op round COUNT                       weights to bf16
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "bench/worker/ops.h"
#include "bench/worker/work.h"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kRotated = 2.6e8;  // bytes of inputs and outputs in turns: four times the L2 cache

struct Op : OpTensors {
    Op(const Kernels& table, std::string what, Line& words) : OpTensors(table, std::move(what)) {
        int n = 0, h = 0, c = 3;
        words >> n;
        if (name != "round") words >> h;
        if (name != "round" && name != "image") words >> c;
        std::set<std::string> flags;
        for (std::string flag; words >> flag;) flags.insert(flag);
        apart = flags.contains("apart");
        again = flags.contains("again");
        residual = flags.contains("residual") || is("pair");
        bits = (flags.contains("bits") || is("pair")) && k.batchnorm.bits_bytes;
        window = flags.contains("two") ? 2 : 3;
        x = {.n = n, .c = c, .h = h, .w = h, .block = c <= 4 ? k.image_block(c) : k.block(c)};
        if (name == "round") {
            inputs.push_back(upload(k, k.parameter, Map{.n = n, .block = 1}, kX));
            outs.emplace_back(k, size_t(n) * 2);
        } else if (name == "image") {
            make_image();
        } else {
            norm = {.x = x, .relu = true, .residual = is("pair") ? apart : residual, .bits = bits};
            pool = {.x = x, .window = window, .stride = 2, .pad = window == 3 ? 1 : 0};
            y = is("pool") || is("stem") ? pool.y() : x;
            if (is("avgpool")) y.h = y.w = 1;
            FP_REQUIRE(name != "stem_forward" || apart || has_stem(), Exit::usage, "no such op here");
            make_channels();
            make_maps();
        }
        k.memory.synchronize({});
    }

    bool is(std::string_view family) const { return name.starts_with(family); }

    void make_image() {
        rgb = Buffer(k.memory, size_t(x.logical()));
        std::vector<char> bytes(65521);
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = char(i * 40503 >> 7);
        fill(k, bytes, rgb.data(), rgb.bytes());
        dx = act_map(x);
        for (Buffer* b : {&mean, &rstd}) *b = upload(k, std::vector<float>{0.4f, 0.5f, 0.6f, 0});
    }

    // What the norms have per channel, their moments among it, and scratch memory.
    void make_channels() {
        const Map channels{.c = x.c, .block = x.block};
        gamma = upload(k, k.parameter, channels, kGamma);
        beta = upload(k, k.parameter, channels, kBeta);
        for (Buffer* b : {&mean, &rstd, &running_mean, &running_var, &dgamma, &dbeta}) {
            *b = Buffer(k.memory, gamma.bytes());
            k.memory.zero(b->data(), b->bytes(), {});
        }
        // As many parts as a convolution of persistent blocks leaves, or one per pixel.
        const int64_t pixels = int64_t(x.n) * x.pixels(), parts = std::min<int64_t>(kProcessors, pixels);
        const int64_t c = x.stored_c();
        std::vector<float> host(Moments::bytes(x, int(parts)) / sizeof(float));
        for (int64_t i = 0; i < parts; ++i) {
            const auto count = float(pixels * (i + 1) / parts - pixels * i / parts);
            host[size_t(2 * parts * c + i)] = count;
            for (int64_t channel = 0; channel < x.c; ++channel) {
                host[size_t(2 * i * c + channel)] = kMean;
                host[size_t((2 * i + 1) * c + channel)] = kVariance * count;
            }
        }
        moments = upload(k, host);
        told = {.data = moments.data(), .parts = int(parts)};
        size_t wanted = k.batchnorm.scratch_bytes(norm);
        if (is("pair")) wanted = std::max(wanted, k.batchnorm.pair_scratch_bytes(norm));
        if (has_stem()) wanted = std::max(wanted, k.batchnorm.pool_scratch_bytes(norm, pool));
        scratch = Buffer(k.memory, wanted);
    }

    void make_maps() {
        const double each = 2 * double(x.stored()) * bytes_of(k.activation);
        sets = int(std::clamp(kRotated / each, 2.0, 16.0));
        for (int i = 0; i < sets; ++i) {
            inputs.push_back(upload(k, k.activation, x, kX));
            if (residual) residuals.push_back(upload(k, k.activation, x, kZ));
            gradients.push_back(upload(k, k.activation, y, kDy));
            outs.emplace_back(
                k, size_t(y.stored()) * size_t(bytes_of(k.activation)) + (bits ? k.batchnorm.bits_bytes(norm) : 0));
            if (is("pool") || is("stem")) winners.emplace_back(k, size_t(y.stored()));
        }
        if (is("stem") || is("pair")) middle = act_map(x);
        if (!name.ends_with("backward")) return;
        dx = act_map(x);
        if (residual) dresidual = act_map(x);
        for (int i = 0; i < sets; ++i) forward(i);
    }

    BatchNorm::Train train(const act* from, const act* z, act* to) const {
        return {.x = from,
                .residual = z,
                .gamma = gamma.as<par>(),
                .beta = beta.as<par>(),
                .running_mean = running_mean.as<par>(),
                .running_var = running_var.as<par>(),
                .y = to,
                .mean = mean.as<par>(),
                .rstd = rstd.as<par>()};
    }
    BatchNorm::Backward back(const act* from, const act* z, const act* gradient, const BatchNorm::Gradients& to) const {
        return {.x = from,
                .y = z,
                .dy = gradient,
                .gamma = gamma.as<par>(),
                .beta = again || apart ? beta.as<par>() : nullptr,
                .mean = mean.as<par>(),
                .rstd = rstd.as<par>(),
                .to = to};
    }
    // Both norms of a pair have the same vectors.
    BatchNorm::TrainPair::Half train_half(const act* from) const {
        return {.x = from,
                .moments = told,
                .gamma = gamma.as<par>(),
                .beta = beta.as<par>(),
                .running_mean = running_mean.as<par>(),
                .running_var = running_var.as<par>(),
                .mean = mean.as<par>(),
                .rstd = rstd.as<par>()};
    }
    // parameters: with gradients of scale and shift, which one of the two norms leaves.
    BatchNorm::BackwardPair::Half back_half(const act* from, act* to, bool parameters) const {
        return {.x = from,
                .gamma = gamma.as<par>(),
                .mean = mean.as<par>(),
                .rstd = rstd.as<par>(),
                .dx = to,
                .dgamma = parameters ? dgamma.as<par>() : nullptr,
                .dbeta = parameters ? dbeta.as<par>() : nullptr};
    }
    BatchNormShape without_relu() const {  // of the shortcut's norm, where the pair is two ops
        BatchNormShape plain = norm;
        plain.relu = plain.residual = plain.bits = false;
        return plain;
    }
    bool has_stem() const { return k.batchnorm.pools && k.batchnorm.pools(norm, pool); }
    Guarded act_map(const Map& m) const { return {k, size_t(m.stored()) * size_t(bytes_of(k.activation))}; }

    void forward(int set) {
        const size_t i = size_t(set);
        const BatchNorm& bn = k.batchnorm;
        act *in = inputs[i].as<act>(), *out = outs[i].as<act>();
        const act* z = residual ? residuals[i].as<act>() : nullptr;
        if (is("bn")) return bn.train_on_moments(norm, train(in, z, out), told, {});
        if (is("pair")) {
            if (!apart) return bn.pair_on_moments(norm, {.a = train_half(in), .b = train_half(z), .y = out}, {});
            bn.train_on_moments(without_relu(), train(z, nullptr, middle.as<act>()), told, {});
            return bn.train_on_moments(norm, train(in, middle.as<act>(), out), told, {});
        }
        if (is("pool")) return k.maxpool.forward(pool, {.x = in, .y = out, .argmax = winners[i].as<uint8_t>()}, {});
        if (is("avgpool")) return k.avgpool.forward({.x = x}, {.x = in, .y = out}, {});
        if (!apart)
            return bn.pool_on_moments(norm, pool,
                                      {.x = in,
                                       .gamma = gamma.as<par>(),
                                       .beta = beta.as<par>(),
                                       .running_mean = running_mean.as<par>(),
                                       .running_var = running_var.as<par>(),
                                       .y = out,
                                       .argmax = winners[i].as<uint8_t>(),
                                       .mean = mean.as<par>(),
                                       .rstd = rstd.as<par>()},
                                      told, {});
        bn.train_on_moments(norm, train(in, z, middle.as<act>()), told, {});
        k.maxpool.forward(pool, {.x = middle.as<act>(), .y = out, .argmax = winners[i].as<uint8_t>()}, {});
    }

    void backward(int set) {
        const size_t i = size_t(set);
        const BatchNorm& bn = k.batchnorm;
        const act *in = inputs[i].as<act>(), *dy = gradients[i].as<act>();
        const BatchNorm::Gradients to{.dx = dx.as<act>(),
                                      .dx_write = Write::replace,
                                      .dresidual = residual ? dresidual.as<act>() : nullptr,
                                      .dresidual_write = Write::replace,
                                      .dgamma = dgamma.as<par>(),
                                      .dbeta = dbeta.as<par>(),
                                      .par_write = Write::replace};
        if (is("bn")) return bn.backward(norm, back(in, outs[i].as<act>(), dy, to), scratch.data(), {});
        if (is("pair")) return backward_pair(i, to);
        if (is("pool"))
            return k.maxpool.backward(
                pool, {.dy = dy, .argmax = winners[i].as<uint8_t>(), .dx = dx.as<act>(), .write = Write::replace}, {});
        if (is("avgpool"))
            return k.avgpool.backward({.x = x}, {.dy = dy, .dx = dx.as<act>(), .write = Write::replace}, {});
        if (!apart)
            return bn.pool_backward(norm, pool,
                                    {.x = in,
                                     .dy = dy,
                                     .argmax = winners[i].as<uint8_t>(),
                                     .gamma = gamma.as<par>(),
                                     .mean = mean.as<par>(),
                                     .rstd = rstd.as<par>(),
                                     .dx = dx.as<act>(),
                                     .dgamma = dgamma.as<par>(),
                                     .dbeta = dbeta.as<par>(),
                                     .par_write = Write::replace},
                                    scratch.data(), {});
        // As in the engine: the gradient of the pool is written beside z. z is what the last forward wrote.
        if (!dz.data()) dz = act_map(x);
        k.maxpool.backward(
            pool, {.dy = dy, .argmax = winners[i].as<uint8_t>(), .dx = dz.as<act>(), .write = Write::replace}, {});
        bn.backward(norm, back(in, middle.as<act>(), dz.as<act>(), to), scratch.data(), {});
    }

    void backward_pair(size_t i, const BatchNorm::Gradients& to) {
        const BatchNorm& bn = k.batchnorm;
        const act *in = inputs[i].as<act>(), *z = residuals[i].as<act>(), *dy = gradients[i].as<act>();
        if (!apart)
            return bn.pair_backward(norm,
                                    {.a = back_half(in, dx.as<act>(), true),
                                     .b = back_half(z, dresidual.as<act>(), false),
                                     .y = outs[i].as<act>(),
                                     .dy = dy,
                                     .par_write = Write::replace},
                                    scratch.data(), {});
        BatchNorm::Gradients first = to, second = to;
        first.dresidual = middle.as<act>();
        second.dx = dresidual.as<act>();
        second.dresidual = nullptr;
        second.dgamma = second.dbeta = nullptr;
        bn.backward(norm, back(in, outs[i].as<act>(), dy, first), scratch.data(), {});
        bn.backward(without_relu(), back(z, nullptr, middle.as<act>(), second), scratch.data(), {});
    }

    void call(int set) {
        if (name == "round") return k.conv.keep_rounded(inputs[0].as<par>(), x.n, outs[0].data(), {});
        if (name == "image")
            return k.image.normalize(
                x, {.rgb = rgb.as<uint8_t>(), .mean = mean.as<float>(), .std = rstd.as<float>(), .x = dx.as<act>()},
                {});
        name.ends_with("forward") ? forward(set) : backward(set);
    }

    // The bytes that must move.
    double bytes() const {
        const double e = bytes_of(k.activation), map = e * double(x.stored()), small = e * double(y.stored()),
                     taps = double(y.stored());
        if (name == "round") return 6.0 * x.n;
        if (name == "image") return double(x.logical()) + map;
        if (name == "pair_forward") return map * (apart ? 5 : 3) + map / 16;
        if (name == "pair_backward") return map * (apart ? 11 : 8) + map / 8;
        if (name == "bn_forward") return map * (residual ? 3 : 2) + (bits ? map / 16 : 0);
        if (name == "bn_backward") return map * ((again || bits ? 4 : 6) + (residual ? 2 : 1)) + (bits ? map / 8 : 0);
        if (name == "stem_forward" && !apart) return map + small + taps;
        if (name == "stem_forward") return 3 * map + small + taps;
        if (name == "stem_backward" && !apart) return 3 * map + 2 * (small + taps);
        if (name == "stem_backward") return map + small + taps + 5 * map;
        return map + small + (is("pool") ? taps : 0);
    }

    bool is_back() const { return name.ends_with("backward") || name == "image"; }
    void reset() {
        if (!is_back()) {
            outs[0].poison();
            if (!winners.empty()) winners[0].poison();
            return;
        }
        dx.poison();
        if (dresidual.data()) dresidual.poison();
    }
    std::vector<Output> outputs() const {
        std::vector<Output> all;
        if (name == "round")
            all.emplace_back("rounded", outs[0], Type::bf16, Map{.n = x.n});
        else if (!is_back())
            all.emplace_back("y", outs[0], k.activation, y);
        else
            all.emplace_back("dx", dx, k.activation, x);
        if (is_back() && residual) all.emplace_back("dresidual", dresidual, k.activation, x);
        if (!is_back() && !winners.empty()) all.emplace_back("argmax", winners[0]);
        return all;
    }
};

}  // namespace

Work op_work(const Kernels& k, Line& words) {
    std::string name;
    words >> name;
    const auto it = std::make_shared<Op>(k, name, words);
    const bool single = it->outs.size() < 2 && it->inputs.size() < 2;
    return {.call = [it, single](int set) { it->call(single ? 0 : set); },
            .rotate = [it, single](size_t) { return single ? 1 : it->sets; },
            .reset = [it] { it->reset(); },
            .outputs = it->outputs(),
            .in_double =
                [it] {
                    return nlohmann::json{{"rms", error_in_double(*it)}};
                },
            .flops = it->bytes(),
            .expected = it->bytes() / kDevice.hbm};
}

}  // namespace fp
