// What backends with masks and moments do with a batch norm: bits behind y, moments from elsewhere, the max pool or the
// second norm behind it as one op. Each is held to the plain ops.
#include "tests/kernels/batchnorm_calls.h"

namespace fp::testing {
namespace {

const BatchNormCase kCases[] = {
    {"ResNet stem", {.n = 3, .c = 64, .h = 16, .w = 16}},
    {"odd channels and sides", {.n = 2, .c = 45, .h = 15, .w = 9}},
    {"one pixel", {.n = 1, .c = 3, .h = 1, .w = 1}},
    {"1x1 maps", {.n = 9, .c = 17, .h = 1, .w = 1}},
    {"two groups of packs", {.n = 2, .c = 270, .h = 3, .w = 5}},
};

// Of one pixel dx is 0, and what is computed its rounding.
bool is_zero_gradient(const BatchNormCase& c) { return c.x.n * c.x.pixels() == 1; }

// Tensors that every call below has, and the calls as an op on them.
struct Norm {
    Tensor x, gamma, beta, running_mean, running_var, mean, rstd, dx, dgamma, dbeta;
    Array<float> moments;
    int rows;

    Norm(const Device& on,
         const BatchNormShape& s,
         const Inputs& in,
         int rows_ = 64,
         const Values* moments_from = nullptr)
        : x(on.act_in(s.x, in.x)),
          gamma(on.par_in(on.channels(s.x.c), in.gamma)),
          beta(on.par_in(on.channels(s.x.c), in.beta)),
          running_mean(on.par_in(on.channels(s.x.c), in.running_mean)),
          running_var(on.par_in(on.channels(s.x.c), in.running_var)),
          mean(on.par_out(on.channels(s.x.c))),
          rstd(on.par_out(on.channels(s.x.c))),
          dx(on.act_out(s.x)),
          dgamma(on.par_out(on.channels(s.x.c))),
          dbeta(on.par_out(on.channels(s.x.c))),
          moments(on.k, moments_of(s.x, moments_from ? *moments_from : in.x, rows_)),
          rows(rows_) {}

    Moments of_x() const { return {moments, rows}; }
    BatchNorm::Backward to(void* dresidual = nullptr) const {
        return {.dx = dx,
                .dx_write = Write::replace,
                .dresidual = dresidual,
                .dresidual_write = Write::replace,
                .dgamma = dgamma,
                .dbeta = dbeta,
                .par_write = Write::replace};
    }
    std::vector<Values> statistics() const {
        return {mean.values(), rstd.values(), running_mean.values(), running_var.values()};
    }
};

void expect_all_close(const std::vector<Values>& got,
                      const std::vector<Values>& want,
                      double tolerance,
                      std::string_view what) {
    for (size_t i = 0; i < want.size(); ++i)
        expect_close(got[i], want[i], tolerance, text(what, " ", i));
}

class FusedNormOn : public OnBackend {
protected:
    void SetUp() override {
        OnBackend::SetUp();
        if (!IsSkipped() && !table().batchnorm.train_on_moments)
            GTEST_SKIP() << "device " << table().name << " takes no moments";
    }
    void skip_without_pools() {
        if (!table().batchnorm.pools)
            GTEST_SKIP() << "device " << table().name << " has the ops apart in "
                         << name(GetParam().precision);
    }
    Inputs inputs(const BatchNormCase& c, uint64_t seed = 0) const {
        Inputs in = random_inputs(c, table().activation, table().parameter);
        if (seed > 0) in.x = random_values(c.x.logical(), seed, table().activation);
        return in;
    }
    Values random_gradient(const Map& m) const {
        return random_values(m.logical(), 11, table().activation);
    }
    size_t map_and_bits(const BatchNormShape& s) const {
        return size_t(s.x.stored()) * size_t(bytes_of(table().activation)) +
               table().batchnorm.bits_bytes(s);
    }
};
FP_ON_EVERY_BACKEND(FusedNormOn);

// Chunks of one pixel, ragged ones, one chunk, and more than a block of the finishing kernel takes at once.
TEST_P(FusedNormOn, TrainsOnMomentsOfAnyChunks) {
    const Kernels& k = table();
    const Device on{k};
    struct Chunked {
        Map x;
        int rows;
    };
    for (const Chunked& at : {Chunked{{.n = 3, .c = 17, .h = 9, .w = 7}, 1},
                              Chunked{{.n = 3, .c = 17, .h = 9, .w = 7}, 64},
                              Chunked{{.n = 3, .c = 17, .h = 9, .w = 7}, 1000},
                              Chunked{{.n = 2, .c = 3, .h = 50, .w = 51}, 1}}) {
        SCOPED_TRACE(text("chunks of ", at.rows, ", map of ", at.x.h, "x", at.x.w));
        const BatchNormCase c{"", at.x, 30};
        const BatchNormShape s = shape_on(on, c, true, true);
        const Inputs in = inputs(c);
        const Norm norm(on, s, in, at.rows);
        const Tensor y = on.act_out(s.x), residual = on.act_in(s.x, in.residual);
        k.batchnorm.train_on_moments(s, norm.x, norm.of_x(), residual, norm.gamma, norm.beta,
                                     norm.running_mean, norm.running_var, y, norm.mean, norm.rstd,
                                     {});
        const Outputs want = train(exact(), shape_on({exact()}, c, true, true), in);
        expect_close(y.values(), want.y, tolerance(), "y");
        expect_all_close(norm.statistics(),
                         {want.mean, want.rstd, want.running_mean, want.running_var}, 1e-5,
                         "statistics");
    }
}

// A bit of every element, behind y: whether ReLU passes its gradient. A NaN does.
TEST_P(FusedNormOn, BitsAreWhereReluPasses) {
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : kCases)
        for (const bool residual : {false, true}) {
            SCOPED_TRACE(text(c.name, ", residual ", residual));
            BatchNormShape s = shape_on(on, c, true, residual);
            s.bits = true;
            Inputs in = inputs(c);
            in.x[in.x.size() / 2] = std::nan("");
            const Norm norm(on, s, in);
            const Tensor z = on.act_in(s.x, in.residual), without = on.act_out(s.x);
            const Buffer y(k, map_and_bits(s));
            k.batchnorm.infer(s, norm.x, z, norm.gamma, norm.beta, norm.running_mean,
                              norm.running_var, y.data(), {});
            const auto got = y.read();
            s.bits = false;
            k.batchnorm.infer(s, norm.x, z, norm.gamma, norm.beta, norm.running_mean,
                              norm.running_var, without, {});
            const Values values = without.values();
            const size_t map_bytes = got.size() - k.batchnorm.bits_bytes(s);
            const int of_byte = 16 / bytes_of(k.activation);
            const Places places(s.x);
            for (size_t i = 0; i < values.size(); ++i) {
                const auto at = size_t(places.at[i]);
                const bool bit = int(got[map_bytes + at / of_byte]) >> (at % of_byte) & 1;
                ASSERT_EQ(bit, !(values[i] <= 0)) << "element " << i << " is " << values[i];
            }
        }
}

// Backward of what forward left on the device: the same whether the mask is read from y, computed again from x, or
// read from the bits; in every form of the kernels.
TEST_P(FusedNormOn, BackwardIsTheSameFromEveryMask) {
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : {kCases[1], kCases[3], kCases[4]})
        for (const bool residual : {false, true})
            for (const bool of_batch : {true, false})
                for (const Write write : {Write::replace, Write::add}) {
                    SCOPED_TRACE(text(c.name, ", residual ", residual, ", batch statistics ",
                                      of_batch, ", add ", write == Write::add));
                    Inputs in = inputs(c);
                    // x stays finite where dx needs it.
                    (of_batch ? in.residual : in.x)[0] = std::nan("");
                    const Values before = random_values(c.x.logical(), 12, k.activation);
                    const auto run = [&](bool again, bool bits) {
                        BatchNormShape s = shape_on(on, c, true, residual);
                        s.bits = bits;
                        const Norm norm(on, s, in);
                        const Tensor z = on.act_in(s.x, in.residual),
                                     dy = on.act_in(s.x, random_gradient(s.x)),
                                     dx = on.act_grad(s.x, write, before),
                                     dz = on.act_grad(s.x, write, before);
                        const Buffer y(k, map_and_bits(s)),
                            scratch(k, k.batchnorm.scratch_bytes(s));
                        BatchNorm::Backward to = norm.to(dz.if_given(residual));
                        to.dx = dx;
                        to.dx_write = to.dresidual_write = write;
                        to.beta = again ? static_cast<void*>(norm.beta) : nullptr;
                        if (!of_batch) to.dgamma = nullptr;  // x is NaN somewhere
                        if (of_batch) {
                            k.batchnorm.train(s, norm.x, z.if_given(residual), norm.gamma,
                                              norm.beta, norm.running_mean, norm.running_var,
                                              y.data(), norm.mean, norm.rstd, scratch.data(), {});
                            k.batchnorm.backward(s, norm.x, y.data(), dy, norm.gamma, norm.mean,
                                                 norm.rstd, to, scratch.data(), {});
                        } else {
                            k.batchnorm.infer(s, norm.x, z.if_given(residual), norm.gamma,
                                              norm.beta, norm.running_mean, norm.running_var,
                                              y.data(), {});
                            k.batchnorm.backward_frozen(s, norm.x, y.data(), dy, norm.gamma,
                                                        norm.running_mean, norm.running_var, to,
                                                        scratch.data(), {});
                        }
                        return std::vector<Values>{dx.values(), residual ? dz.values() : Values(),
                                                   of_batch ? norm.dgamma.values() : Values(),
                                                   norm.dbeta.values()};
                    };
                    const auto read = run(false, false);
                    for (const Values& values : read)
                        for (const double v : values) ASSERT_TRUE(std::isfinite(v));
                    EXPECT_EQ(run(true, false), read) << "again";
                    EXPECT_EQ(run(true, true), read) << "bits";
                }
}

// The max pool behind ReLU in the same op: y and argmax are those of op after op, gradients but for the rounding of
// what lies between.
TEST_P(FusedNormOn, PoolsAsTheOpsDo) {
    skip_without_pools();
    if (IsSkipped()) return;
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : kCases)
        for (const bool with_nan : {false, true}) {
            SCOPED_TRACE(text(c.name, ", NaN ", with_nan));
            const BatchNormShape s = shape_on(on, c, true, false);
            const MaxPoolShape pool{.x = s.x, .window = 3, .stride = 2, .pad = 1};
            ASSERT_TRUE(k.batchnorm.pools(s, pool));
            const Inputs clean = inputs(c);
            Inputs in = clean;
            if (with_nan) in.x[in.x.size() / 2] = std::nan("");
            const Tensor dy = on.act_in(pool.y(), random_gradient(pool.y()));
            const Buffer scratch(
                k, std::max(k.batchnorm.scratch_bytes(s), k.batchnorm.pool_scratch_bytes(s, pool)));
            struct Run {
                Values y;
                std::vector<uint8_t> argmax;
                std::vector<Values> gradients, statistics;
            };
            const auto run = [&](bool fused) {
                const Norm norm(on, s, in, 64, &clean.x);
                const Tensor y = on.act_out(pool.y()), z = on.act_out(s.x), dz = on.act_out(s.x);
                const Array<uint8_t> argmax(k, size_t(pool.y().stored()));
                if (fused) {
                    k.batchnorm.pool_on_moments(s, pool, norm.x, norm.of_x(), norm.gamma, norm.beta,
                                                norm.running_mean, norm.running_var, y, argmax,
                                                norm.mean, norm.rstd, {});
                    k.batchnorm.pool_backward(s, pool, norm.x, dy, argmax, norm.gamma, norm.mean,
                                              norm.rstd, norm.to(), scratch.data(), {});
                } else {
                    k.batchnorm.train_on_moments(s, norm.x, norm.of_x(), nullptr, norm.gamma,
                                                 norm.beta, norm.running_mean, norm.running_var, z,
                                                 norm.mean, norm.rstd, {});
                    k.maxpool.forward(pool, z, y, argmax, {});
                    k.maxpool.backward(pool, dy, argmax, dz, Write::replace, {});
                    k.batchnorm.backward(s, norm.x, z, dz, norm.gamma, norm.mean, norm.rstd,
                                         norm.to(), scratch.data(), {});
                }
                return Run{y.values(),
                           argmax.values(),
                           {norm.dx.values(), norm.dgamma.values(), norm.dbeta.values()},
                           norm.statistics()};
            };
            const Run got = run(true), want = run(false);
            EXPECT_EQ(got.statistics, want.statistics);
            const Places places(pool.y());
            for (size_t i = 0; i < want.y.size(); ++i) {
                const auto at = size_t(places.at[i]);
                if (std::isnan(want.y[i]))
                    ASSERT_TRUE(std::isnan(got.y[i])) << "output " << i;
                else
                    ASSERT_EQ(got.y[i], want.y[i]) << "output " << i;
                ASSERT_EQ(got.argmax[at], want.y[i] == 0 ? 255 : want.argmax[at])
                    << "output " << i << " is " << want.y[i];
            }
            if (with_nan || is_zero_gradient(c)) continue;
            expect_all_close(got.gradients, want.gradients, 2e-2, "gradient");
        }
}

// A shape that no fused kernel takes.
TEST_P(FusedNormOn, OtherShapesAreNotPooled) {
    skip_without_pools();
    if (IsSkipped()) return;
    const BatchNorm& op = table().batchnorm;
    const BatchNormShape s{.x = Device{table()}.map({.n = 2, .c = 64, .h = 16, .w = 16}),
                           .relu = true};
    BatchNormShape linear = s, added = s, large = s;
    linear.relu = false;
    added.residual = true;
    large.x.n = 1 << 18;  // 2^32 elements
    const auto pool = [](const Map& m, int window, int stride, int pad) {
        return MaxPoolShape{.x = m, .window = window, .stride = stride, .pad = pad};
    };
    EXPECT_TRUE(op.pools(s, pool(s.x, 3, 2, 1)));
    EXPECT_FALSE(op.pools(s, pool(s.x, 2, 2, 0)));
    EXPECT_FALSE(op.pools(s, pool(s.x, 3, 2, 0)));
    EXPECT_FALSE(op.pools(s, pool(s.x, 3, 1, 1)));
    EXPECT_FALSE(op.pools(linear, pool(s.x, 3, 2, 1)));
    EXPECT_FALSE(op.pools(added, pool(s.x, 3, 2, 1)));
    EXPECT_FALSE(op.pools(large, pool(large.x, 3, 2, 1)));
}

// Two norms, added: as the reference computes them, one after the other.
TEST_P(FusedNormOn, PairsAsTheOpsDo) {
    skip_without_pools();
    if (IsSkipped()) return;
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : kCases) {
        SCOPED_TRACE(c.name);
        BatchNormShape s = shape_on(on, c, true, false);
        s.bits = true;
        const BatchNormShape ref = shape_on({exact()}, c, false, false),
                             ref_sum = shape_on({exact()}, c, true, true);
        const Inputs first = inputs(c);
        Inputs second = inputs(c, 21);
        second.gamma = random_values(c.x.c, 22);
        second.beta = random_values(c.x.c, 23);
        const Norm a(on, s, first), b(on, s, second, 7);
        const auto half = [](const Norm& n) {
            return BatchNorm::Half{
                .x = n.x, .gamma = n.gamma, .beta = n.beta, .mean = n.mean, .rstd = n.rstd};
        };
        const auto told = [](const Norm& n) {
            return BatchNorm::HalfOnMoments{n.of_x(), n.running_mean, n.running_var};
        };
        const auto to = [](const Norm& n) {
            return BatchNorm::HalfGradient{.dx = n.dx, .dgamma = n.dgamma, .dbeta = n.dbeta};
        };
        const Buffer y(k, map_and_bits(s)), scratch(k, k.batchnorm.pair_scratch_bytes(s));
        const Values gradient = random_gradient(s.x);
        const Tensor dy = on.act_in(s.x, gradient), seen = on.act_out(s.x);
        k.batchnorm.pair_on_moments(s, half(a), told(a), half(b), told(b), y.data(), {});
        k.batchnorm.pair_backward(s, half(a), half(b), y.data(), dy, to(a), to(b), Write::replace,
                                  scratch.data(), {});
        k.memory.copy(seen, y.data(), size_t(s.x.stored()) * size_t(bytes_of(k.activation)), {});

        const Outputs want_a = train(exact(), ref, first);
        second.residual = want_a.y;
        const Outputs want_b = train(exact(), ref_sum, second);
        expect_close(seen.values(), want_b.y, tolerance(), "y");
        expect_all_close(a.statistics(),
                         {want_a.mean, want_a.rstd, want_a.running_mean, want_a.running_var}, 1e-5,
                         "first statistics");
        expect_all_close(b.statistics(),
                         {want_b.mean, want_b.rstd, want_b.running_mean, want_b.running_var}, 1e-5,
                         "second statistics");
        const Gradients want_db =
            backward(exact(), ref_sum, Statistics::batch, second,
                     {.y = want_b.y, .dy = gradient, .mean = want_b.mean, .rstd = want_b.rstd},
                     Write::replace);
        const Gradients want_da = backward(
            exact(), ref, Statistics::batch, first,
            {.y = want_a.y, .dy = want_db.dresidual, .mean = want_a.mean, .rstd = want_a.rstd},
            Write::replace);
        if (is_zero_gradient(c)) continue;
        const auto gradients = [](const Norm& n) {
            return std::vector<Values>{n.dx.values(), n.dgamma.values(), n.dbeta.values()};
        };
        expect_all_close(gradients(a), {want_da.dx, want_da.dgamma, want_da.dbeta}, tolerance(),
                         "first gradient");
        expect_all_close(gradients(b), {want_db.dx, want_db.dgamma, want_db.dbeta}, tolerance(),
                         "second gradient");
    }
}

}  // namespace
}  // namespace fp::testing
