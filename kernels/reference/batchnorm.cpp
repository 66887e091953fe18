// Batch normalisation, with the residual addition and the ReLU that may follow it.
//
//   xhat = (x - mean) rstd,  rstd = 1 / sqrt(var + eps)     per channel over m = n h w elements
//   y    = act(gamma xhat + beta + residual)
//   g    = 0 where y <= 0 (with ReLU), else dy             dresidual = g
//   dgamma = sum g xhat      dbeta = sum g
//   dx   = gamma rstd (g - dbeta / m - xhat dgamma / m)     batch statistics
//   dx   = gamma rstd g                                     given statistics
//
// The running variance takes var m / (m - 1), and var as it is for m = 1.
#include <cmath>

#include "kernels/reference/view.h"

namespace fp::reference {
namespace {

size_t scratch_bytes(const BatchNormShape&) { return 0; }

template <class T>
double sum_over(const Map& m, int c, const T& term) {
    double sum = 0;
    for (int n = 0; n < m.n; ++n)
        for (int h = 0; h < m.h; ++h)
            for (int w = 0; w < m.w; ++w) sum += term(n, c, h, w);
    return sum;
}

// y = act(gamma (x - mean) rstd + beta + residual) of one channel.
struct Channel {
    int c;
    double gamma, beta, mean, rstd;
};
template <class T>
void normalize(const BatchNormShape& shape, const Channel& of, const act* x_act, const act* residual_act, act* y_act) {
    const auto x = view<T>(shape.x, x_act);
    const auto residual = view<T>(shape.x, residual_act);
    const auto y = view<T>(shape.x, y_act);
    const int c = of.c;
    for (int n = 0; n < x.map.n; ++n)
        for (int h = 0; h < x.map.h; ++h)
            for (int w = 0; w < x.map.w; ++w) {
                double z = of.gamma * (x(n, c, h, w) - of.mean) * of.rstd + of.beta;
                if (shape.residual) z += residual(n, c, h, w);
                y(n, c, h, w) = T(shape.relu && z <= 0 ? 0 : z);
            }
}

// A fused multiply-add, since a compiler may or may not make one of a product and a sum.
template <class T>
T moved(T running, double momentum, T batch) {
    return T(std::fma(momentum, double(batch), (1 - momentum) * double(running)));
}

template <class T>
void follow(int64_t count, int batches, double momentum, const BatchNorm::Follow& args, Stream) {
    auto* running = as<T>(args.running);
    const auto* of = as<T>(args.of);
    for (int batch = 0; batch < batches; ++batch)
        for (int64_t i = 0; i < count; ++i) running[i] = moved(running[i], momentum, of[batch * count + i]);
}

template <class T>
void train(const BatchNormShape& shape, const BatchNorm::Train& args, void*, Stream) {
    const auto x = view<T>(shape.x, args.x);
    const auto *gamma = as<T>(args.gamma), *beta = as<T>(args.beta);
    auto *running_mean = as<T>(args.running_mean), *running_var = as<T>(args.running_var);
    auto *mean = as<T>(args.mean), *rstd = as<T>(args.rstd);
    const double m = double(x.map.n) * double(x.map.pixels());

#pragma omp parallel for if (double(x.map.logical()) > kWorthThreads)
    for (int c = 0; c < x.map.c; ++c) {
        const double mu = sum_over(x.map, c, x) / m;
        const double var = sum_over(x.map, c,
                                    [&](int n, int, int h, int w) {
                                        const double d = x(n, c, h, w) - mu;
                                        return d * d;
                                    }) /
                           m;
        const double scale = 1 / std::sqrt(var + shape.eps);
        mean[c] = T(mu);
        rstd[c] = T(scale);
        running_mean[c] = moved(running_mean[c], shape.momentum, T(mu));
        running_var[c] = moved(running_var[c], shape.momentum, T(m > 1 ? var * m / (m - 1) : var));
        normalize<T>(shape, {.c = c, .gamma = gamma[c], .beta = beta[c], .mean = mu, .rstd = scale}, args.x,
                     args.residual, args.y);
    }
    zero_padding(view<T>(shape.x, args.y));
    zero_padding(mean, x.map.c, x.map.stored_c());
    zero_padding(rstd, x.map.c, x.map.stored_c());
}

template <class T>
void infer(const BatchNormShape& shape, const BatchNorm::Infer& args, Stream) {
    const auto *gamma = as<T>(args.gamma), *beta = as<T>(args.beta);
    const auto *mean = as<T>(args.running_mean), *var = as<T>(args.running_var);

#pragma omp parallel for if (double(shape.x.logical()) > kWorthThreads)
    for (int c = 0; c < shape.x.c; ++c) {
        const double rstd = 1 / std::sqrt(var[c] + shape.eps);
        normalize<T>(shape, {.c = c, .gamma = gamma[c], .beta = beta[c], .mean = mean[c], .rstd = rstd}, args.x,
                     args.residual, args.y);
    }
    zero_padding(view<T>(shape.x, args.y));
}

// `args` is a BatchNorm::Backward or a BatchNorm::BackwardFrozen. mean(c) and rstd(c) give the statistics; `of_batch`
// says that they depend on x.
template <class T, class Args, class Mean, class Rstd>
void differentiate(const BatchNormShape& shape, const Args& args, const Mean& mean, const Rstd& rstd, bool of_batch) {
    const BatchNorm::Gradients& to = args.to;
    const auto x = view<T>(shape.x, args.x), y = view<T>(shape.x, args.y), dy = view<T>(shape.x, args.dy);
    const auto* gamma = as<T>(args.gamma);
    const auto dx = view<T>(shape.x, to.dx), dresidual = view<T>(shape.x, to.dresidual);
    auto *dgamma = as<T>(to.dgamma), *dbeta = as<T>(to.dbeta);
    const double m = double(x.map.n) * double(x.map.pixels());

#pragma omp parallel for if (double(x.map.logical()) > kWorthThreads)
    for (int c = 0; c < x.map.c; ++c) {
        const double mu = mean(c), scale = rstd(c);
        const auto g = [&](int n, int, int h, int w) {
            return shape.relu && y(n, c, h, w) <= 0 ? 0.0 : double(dy(n, c, h, w));
        };
        const auto xhat = [&](int n, int h, int w) { return (x(n, c, h, w) - mu) * scale; };
        const double sum_g = sum_over(x.map, c, g);
        const double sum_g_xhat =
            sum_over(x.map, c, [&](int n, int, int h, int w) { return g(n, c, h, w) * xhat(n, h, w); });
        if (dgamma) put(dgamma[c], sum_g_xhat, to.par_write);
        if (dbeta) put(dbeta[c], sum_g, to.par_write);
        for (int n = 0; n < x.map.n; ++n)
            for (int h = 0; h < x.map.h; ++h)
                for (int w = 0; w < x.map.w; ++w) {
                    const double dz = g(n, c, h, w);
                    const double drift = of_batch ? (sum_g + xhat(n, h, w) * sum_g_xhat) / m : 0.0;
                    put(dx(n, c, h, w), gamma[c] * scale * (dz - drift), to.dx_write);
                    if (to.dresidual) put(dresidual(n, c, h, w), dz, to.dresidual_write);
                }
    }
    zero_padding(dx);
    if (to.dresidual) zero_padding(dresidual);
    if (dgamma) zero_padding(dgamma, x.map.c, x.map.stored_c());
    if (dbeta) zero_padding(dbeta, x.map.c, x.map.stored_c());
}

template <class T>
void backward(const BatchNormShape& shape, const BatchNorm::Backward& args, void*, Stream) {
    const auto mean = [&](int c) { return double(as<T>(args.mean)[c]); };
    const auto rstd = [&](int c) { return double(as<T>(args.rstd)[c]); };
    differentiate<T>(shape, args, mean, rstd, true);
}

template <class T>
void backward_frozen(const BatchNormShape& shape, const BatchNorm::BackwardFrozen& args, void*, Stream) {
    const auto mean = [&](int c) { return double(as<T>(args.running_mean)[c]); };
    const auto rstd = [&](int c) { return 1 / std::sqrt(as<T>(args.running_var)[c] + shape.eps); };
    differentiate<T>(shape, args, mean, rstd, false);
}

template <class T>
constexpr BatchNorm batchnorm{.scratch_bytes = scratch_bytes,
                              .train = train<T>,
                              .infer = infer<T>,
                              .backward = backward<T>,
                              .backward_frozen = backward_frozen<T>,
                              .follow = follow<T>};

}  // namespace

extern const BatchNorm batchnorm_f32{batchnorm<float>};
extern const BatchNorm batchnorm_f64{batchnorm<double>};

}  // namespace fp::reference
