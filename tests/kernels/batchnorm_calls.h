// A batch norm's calls on any backend, for its tests.
#pragma once

#include "tests/kernels/compare.h"

namespace fp::testing::norms {

struct BatchNormCase {
    const char* name;
    Map x;
    double offset = 0;  // of every x: one-pass sums of squares lose their digits to it
};

struct Inputs {
    Values x, residual, gamma, beta, running_mean, running_var;
};

// The inputs of backward besides x, gamma and the running statistics, and the initial contents of its outputs.
struct Incoming {
    Values y, dy, mean, rstd;
    Values dx_before = {}, dresidual_before = {}, dgamma_before = {}, dbeta_before = {};
};

struct Outputs {
    Values y, mean, rstd, running_mean, running_var;
};

struct Gradients {
    Values dx, dresidual, dgamma, dbeta;
};

enum class Statistics { batch, running };

inline BatchNormShape shape_on(const Device& on, const BatchNormCase& c, bool relu, bool residual) {
    return {.x = on.map(c.x), .relu = relu, .residual = residual};
}

inline Inputs random_inputs(const BatchNormCase& c, Type activation, Type parameter) {
    Inputs in{.x = random_values(c.x.logical(), 1),
              .residual = random_values(c.x.logical(), 2, activation),
              .gamma = random_values(c.x.c, 3, parameter),
              .beta = random_values(c.x.c, 4, parameter),
              .running_mean = random_values(c.x.c, 5, parameter),
              .running_var = random_values(c.x.c, 6, parameter)};
    for (double& v : in.x) v = rounded(v + c.offset, activation);
    for (double& v : in.running_mean) v = rounded(v + c.offset, parameter);
    for (double& v : in.running_var) v = rounded(0.5 + v * v, parameter);
    return in;
}

// The tensors of one norm, and the arguments of calls that use them.
struct NormTensors {
    Tensor x, gamma, beta, running_mean, running_var, mean, rstd;

    NormTensors(const Device& on, const BatchNormShape& s, const Inputs& in)
        : x(on.act_in(s.x, in.x)),
          gamma(on.par_in(on.channels(s.x.c), in.gamma)),
          beta(on.par_in(on.channels(s.x.c), in.beta)),
          running_mean(on.par_in(on.channels(s.x.c), in.running_mean)),
          running_var(on.par_in(on.channels(s.x.c), in.running_var)),
          mean(on.par_out(on.channels(s.x.c))),
          rstd(on.par_out(on.channels(s.x.c))) {}

    BatchNorm::Train train(act* y, const act* residual = nullptr) const {
        return {.x = x,
                .residual = residual,
                .gamma = gamma,
                .beta = beta,
                .running_mean = running_mean,
                .running_var = running_var,
                .y = y,
                .mean = mean,
                .rstd = rstd};
    }
    BatchNorm::Infer infer(act* y, const act* residual) const {
        return {.x = x,
                .residual = residual,
                .gamma = gamma,
                .beta = beta,
                .running_mean = running_mean,
                .running_var = running_var,
                .y = y};
    }
    std::vector<Values> statistics() const {
        return {mean.values(), rstd.values(), running_mean.values(), running_var.values()};
    }
};

inline Outputs train(const Kernels& k, const BatchNormShape& s, const Inputs& in) {
    const Device on{k};
    const Buffer scratch(k, k.batchnorm.scratch_bytes(s));
    const NormTensors norm(on, s, in);
    const Tensor residual = on.act_in(s.x, in.residual), y = on.act_out(s.x);
    k.batchnorm.train(s, norm.train(y, residual.if_given(s.residual)), scratch.data(), {});
    return {.y = y.values(),
            .mean = norm.mean.values(),
            .rstd = norm.rstd.values(),
            .running_mean = norm.running_mean.values(),
            .running_var = norm.running_var.values()};
}

inline Values infer(const Kernels& k, const BatchNormShape& s, const Inputs& in) {
    const Device on{k};
    const NormTensors norm(on, s, in);
    const Tensor residual = on.act_in(s.x, in.residual), y = on.act_out(s.x);
    k.batchnorm.infer(s, norm.infer(y, residual.if_given(s.residual)), {});
    return y.values();
}

// Parameters' gradients are written as dx is. `wanted` says whether the optional gradients are asked for.
inline Gradients backward(const Kernels& k,
                          const BatchNormShape& s,
                          Statistics statistics,
                          const Inputs& in,
                          const Incoming& at,
                          Write dx_write,
                          Write dresidual_write,
                          bool wanted = true) {
    const Device on{k};
    const Map per_channel = on.channels(s.x.c);
    const Buffer scratch(k, k.batchnorm.scratch_bytes(s));
    const Tensor x = on.act_in(s.x, in.x), y = on.act_in(s.x, at.y), dy = on.act_in(s.x, at.dy);
    const Tensor gamma = on.par_in(per_channel, in.gamma);
    const bool batch = statistics == Statistics::batch;
    const Tensor first = on.par_in(per_channel, batch ? at.mean : in.running_mean);
    const Tensor second = on.par_in(per_channel, batch ? at.rstd : in.running_var);
    const Tensor dx = on.act_grad(s.x, dx_write, at.dx_before);
    const Tensor dresidual = on.act_grad(s.x, dresidual_write, at.dresidual_before);
    const Tensor dgamma = on.par_grad(per_channel, dx_write, at.dgamma_before);
    const Tensor dbeta = on.par_grad(per_channel, dx_write, at.dbeta_before);
    const bool residual = wanted && s.residual;
    const BatchNorm::Gradients to{.dx = dx,
                                  .dx_write = dx_write,
                                  .dresidual = dresidual.if_given(residual),
                                  .dresidual_write = dresidual_write,
                                  .dgamma = dgamma.if_given(wanted),
                                  .dbeta = dbeta.if_given(wanted),
                                  .par_write = dx_write};
    if (batch)
        k.batchnorm.backward(
            s, {.x = x, .y = y, .dy = dy, .gamma = gamma, .beta = nullptr, .mean = first, .rstd = second, .to = to},
            scratch.data(), {});
    else
        k.batchnorm.backward_frozen(s,
                                    {.x = x,
                                     .y = y,
                                     .dy = dy,
                                     .gamma = gamma,
                                     .beta = nullptr,
                                     .running_mean = first,
                                     .running_var = second,
                                     .to = to},
                                    scratch.data(), {});
    return {.dx = dx.values(),
            .dresidual = residual ? dresidual.values() : Values(),
            .dgamma = wanted ? dgamma.values() : Values(),
            .dbeta = wanted ? dbeta.values() : Values()};
}

inline Values rounded_to(Values values, Type type) {
    for (double& v : values) v = rounded(v, type);
    return values;
}

// The forward results that backward needs, as the reference computes them.
inline Incoming incoming(
    const BatchNormShape& exact_shape, Statistics statistics, const Inputs& in, Type activation, Type parameter) {
    const auto out = train(exact(), exact_shape, in);
    const int64_t count = exact_shape.x.logical();
    const int channels = exact_shape.x.c;
    return {.y = rounded_to(statistics == Statistics::batch ? out.y : infer(exact(), exact_shape, in), activation),
            .dy = random_values(count, 11, activation),
            .mean = rounded_to(out.mean, parameter),
            .rstd = rounded_to(out.rstd, parameter),
            .dx_before = random_values(count, 12, activation),
            .dresidual_before = random_values(count, 13, activation),
            .dgamma_before = random_values(channels, 14, parameter),
            .dbeta_before = random_values(channels, 15, parameter)};
}

inline Gradients backward(const Kernels& k,
                          const BatchNormShape& s,
                          Statistics statistics,
                          const Inputs& in,
                          const Incoming& at,
                          Write write) {
    return backward(k, s, statistics, in, at, write, write);
}

// The moments of x (kernels/ops/moments.h) from sums in double. A part is `rows` consecutive pixels, and one more part
// is empty.
inline int parts_of(const Map& m, int rows) { return int(ceil_div(m.n * m.pixels(), rows)) + 1; }
inline std::vector<float> moments_of(const Map& m, const Values& x, int rows) {
    const int64_t pixels = m.pixels(), c = m.stored_c(), parts = parts_of(m, rows);
    std::vector<float> out(Moments::bytes(m, int(parts)) / sizeof(float), 0.0f);
    for (int64_t part = 0; part + 1 < parts; ++part) {
        const int64_t begin = part * rows, end = std::min<int64_t>(begin + rows, m.n * pixels);
        out[size_t(2 * parts * c + part)] = float(end - begin);
        for (int f = 0; f < m.c; ++f) {
            const auto value = [&](int64_t i) { return x[size_t((i / pixels * m.c + f) * pixels + i % pixels)]; };
            double mean = 0, square = 0;
            for (int64_t i = begin; i < end; ++i) mean += value(i) / double(end - begin);
            for (int64_t i = begin; i < end; ++i) square += (value(i) - mean) * (value(i) - mean);
            out[size_t(2 * part * c + f)] = float(mean);
            out[size_t((2 * part + 1) * c + f)] = float(square);
        }
    }
    return out;
}

// The same with the moments of x and the gradients.
struct Norm : NormTensors {
    Tensor dx, dgamma, dbeta;
    Array<float> moments;
    int parts;

    Norm(const Device& on,
         const BatchNormShape& s,
         const Inputs& in,
         int rows = 64,
         const Values* moments_from = nullptr)
        : NormTensors(on, s, in),
          dx(on.act_out(s.x)),
          dgamma(on.par_out(on.channels(s.x.c))),
          dbeta(on.par_out(on.channels(s.x.c))),
          moments(on.k, moments_of(s.x, moments_from ? *moments_from : in.x, rows)),
          parts(parts_of(s.x, rows)) {}

    Moments of_x() const { return {moments, parts}; }
    BatchNorm::Backward backward(const act* y, const act* dy, const BatchNorm::Gradients& gradients) const {
        return {.x = x, .y = y, .dy = dy, .gamma = gamma, .beta = nullptr, .mean = mean, .rstd = rstd, .to = gradients};
    }
    BatchNorm::TrainPool train_pool(act* y, uint8_t* argmax) const {
        return {.x = x,
                .gamma = gamma,
                .beta = beta,
                .running_mean = running_mean,
                .running_var = running_var,
                .y = y,
                .argmax = argmax,
                .mean = mean,
                .rstd = rstd};
    }
    BatchNorm::BackwardPool backward_pool(const act* dy, const uint8_t* argmax) const {
        return {.x = x,
                .dy = dy,
                .argmax = argmax,
                .gamma = gamma,
                .mean = mean,
                .rstd = rstd,
                .dx = dx,
                .dgamma = dgamma,
                .dbeta = dbeta,
                .par_write = Write::replace};
    }
    BatchNorm::TrainPair::Half train_half() const {
        return {.x = x,
                .moments = of_x(),
                .gamma = gamma,
                .beta = beta,
                .running_mean = running_mean,
                .running_var = running_var,
                .mean = mean,
                .rstd = rstd};
    }
    BatchNorm::BackwardPair::Half backward_half() const {
        return {.x = x, .gamma = gamma, .mean = mean, .rstd = rstd, .dx = dx, .dgamma = dgamma, .dbeta = dbeta};
    }
    BatchNorm::Gradients to(act* dresidual = nullptr) const {
        return {.dx = dx,
                .dx_write = Write::replace,
                .dresidual = dresidual,
                .dresidual_write = Write::replace,
                .dgamma = dgamma,
                .dbeta = dbeta,
                .par_write = Write::replace};
    }
};

// The calls of a fused pair of norms. `sum` is the map, followed by the bits.
inline void train_pair(const Kernels& k, const BatchNormShape& s, const Norm& a, const Norm& b, const Buffer& sum) {
    k.batchnorm.pair_on_moments(s, {.a = a.train_half(), .b = b.train_half(), .y = static_cast<act*>(sum.data())}, {});
}
inline void backward_pair(const Kernels& k,
                          const BatchNormShape& s,
                          const std::pair<const Norm&, const Norm&>& norms,
                          const Buffer& sum,
                          const act* dy) {
    const Buffer scratch(k, k.batchnorm.pair_scratch_bytes(s));
    k.batchnorm.pair_backward(s,
                              {.a = norms.first.backward_half(),
                               .b = norms.second.backward_half(),
                               .y = static_cast<const act*>(sum.data()),
                               .dy = dy,
                               .par_write = Write::replace},
                              scratch.data(), {});
}

inline void expect_all_close(const std::vector<Values>& got,
                             const std::vector<Values>& want,
                             double tolerance,
                             std::string_view what) {
    for (size_t i = 0; i < want.size(); ++i) expect_close(got[i], want[i], tolerance, text(what, " ", i));
}

class NormOnMoments : public OnBackend {
protected:
    void SetUp() override {
        OnBackend::SetUp();
        if (!IsSkipped() && !table().batchnorm.train_on_moments)
            GTEST_SKIP() << "device " << table().name << " takes no moments";
    }
    Inputs inputs(const BatchNormCase& c, uint64_t seed = 0) const {
        Inputs in = random_inputs(c, table().activation, table().parameter);
        if (seed > 0) in.x = random_values(c.x.logical(), seed, table().activation);
        return in;
    }
    Values random_gradient(const Map& m) const { return random_values(m.logical(), 11, table().activation); }
    size_t map_and_bits(const BatchNormShape& s) const {
        return size_t(s.x.stored()) * size_t(bytes_of(table().activation)) + table().batchnorm.bits_bytes(s);
    }
};

}  // namespace fp::testing::norms
