// Batch norm fused with a max pool, or with a second norm that is added: against the separate ops.
#include "tests/kernels/batchnorm_calls.h"

namespace fp::testing::norms {
namespace {

const BatchNormCase kCases[] = {
    {"ResNet stem", {.n = 3, .c = 64, .h = 16, .w = 16}},
    {"odd channels and sides", {.n = 2, .c = 45, .h = 15, .w = 9}},
    {"several runs of rows", {.n = 1, .c = 16, .h = 31, .w = 5}},
    {"one pixel", {.n = 1, .c = 3, .h = 1, .w = 1}},
    {"1x1 maps", {.n = 9, .c = 17, .h = 1, .w = 1}},
    {"two groups of packs", {.n = 2, .c = 270, .h = 3, .w = 5}},
};

// Of one pixel dx is 0, and what is computed its rounding.
bool is_zero_gradient(const BatchNormCase& c) { return c.x.n * c.x.pixels() == 1; }

class FusedNormOn : public NormOnMoments {
protected:
    void skip_without_pools() {
        if (!table().batchnorm.pools)
            GTEST_SKIP() << "device " << table().name << " has the ops apart in " << name(GetParam().precision);
    }
};
FP_ON_EVERY_BACKEND(FusedNormOn);

// Max pool after ReLU in one op: y and argmax equal those of the separate ops, gradients except for the rounding of the
// intermediate map.
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
            const Buffer scratch(k, std::max(k.batchnorm.scratch_bytes(s), k.batchnorm.pool_scratch_bytes(s, pool)));
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
                    k.batchnorm.pool_on_moments(s, pool, norm.train_pool(y, argmax), norm.of_x(), {});
                    k.batchnorm.pool_backward(s, pool, norm.backward_pool(dy, argmax), scratch.data(), {});
                } else {
                    k.batchnorm.train_on_moments(s, norm.train(z), norm.of_x(), {});
                    k.maxpool.forward(pool, {.x = z, .y = y, .argmax = argmax}, {});
                    k.maxpool.backward(pool, {.dy = dy, .argmax = argmax, .dx = dz, .write = Write::replace}, {});
                    k.batchnorm.backward(s, norm.backward(z, dz, norm.to()), scratch.data(), {});
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

// The same bits whatever the order of threads and blocks, of every kernel that sums.
TEST_P(FusedNormOn, BitsDoNotDependOnTheOrderOfThreads) {
    if (GetParam().backend != Backend::emulated) GTEST_SKIP() << "no order to choose";
    const emulated::Settings before = emulated::settings();
    const Kernels& k = table();
    const Device on{k};
    const BatchNormCase& c = kCases[1];
    BatchNormShape s = shape_on(on, c, true, false);
    const MaxPoolShape pool{.x = s.x, .window = 3, .stride = 2, .pad = 1};
    const Inputs in = inputs(c);
    const Tensor dy = on.act_in(s.x, random_gradient(s.x)), pooled_dy = on.act_in(pool.y(), random_gradient(pool.y()));
    std::vector<Values> first;
    for (const uint64_t seed : {0, 1, 2, 3}) {
        emulated::settings().seed = seed;
        emulated::settings().os_threads = seed % 2 ? 2 : 1;
        std::vector<Values> now;
        const auto keep = [&](const Norm& n) {
            for (const Tensor* t : {&n.mean, &n.rstd, &n.dx, &n.dgamma, &n.dbeta}) now.push_back(t->values());
        };
        const Norm norm(on, s, in);
        const Tensor y = on.act_out(s.x);
        const Buffer scratch(k, k.batchnorm.scratch_bytes(s));
        k.batchnorm.train(s, norm.train(y), scratch.data(), {});
        k.batchnorm.backward(s, norm.backward(y, dy, norm.to()), scratch.data(), {});
        keep(norm);
        if (k.batchnorm.pools) {
            const Norm stem(on, s, in), a(on, s, in), b(on, s, in, 7);
            const Tensor pooled = on.act_out(pool.y());
            const Array<uint8_t> argmax(k, size_t(pool.y().stored()));
            const Buffer sums(k, k.batchnorm.pool_scratch_bytes(s, pool));
            k.batchnorm.pool_on_moments(s, pool, stem.train_pool(pooled, argmax), stem.of_x(), {});
            k.batchnorm.pool_backward(s, pool, stem.backward_pool(pooled_dy, argmax), sums.data(), {});
            keep(stem);
            BatchNormShape pair = s;
            pair.bits = true;
            const Buffer sum(k, map_and_bits(pair));
            train_pair(k, pair, a, b, sum);
            backward_pair(k, pair, {a, b}, sum, dy);
            keep(a);
            keep(b);
        }
        if (first.empty()) first = now;
        EXPECT_EQ(now, first) << "seed " << seed;
    }
    emulated::settings() = before;
}

// A shape that no fused kernel takes.
TEST_P(FusedNormOn, OtherShapesAreNotPooled) {
    skip_without_pools();
    if (IsSkipped()) return;
    const BatchNorm& op = table().batchnorm;
    const BatchNormShape s{.x = Device{table()}.map({.n = 2, .c = 64, .h = 16, .w = 16}), .relu = true};
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

// The sum of two norms, against the reference, which computes one after the other.
TEST_P(FusedNormOn, PairsAsTheOpsDo) {
    skip_without_pools();
    if (IsSkipped()) return;
    const Kernels& k = table();
    const Device on{k};
    for (const BatchNormCase& c : kCases) {
        SCOPED_TRACE(c.name);
        BatchNormShape s = shape_on(on, c, true, false);
        s.bits = true;
        const BatchNormShape ref = shape_on({exact()}, c, false, false), ref_sum = shape_on({exact()}, c, true, true);
        const Inputs first = inputs(c);
        Inputs second = inputs(c, 21);
        second.gamma = random_values(c.x.c, 22);
        second.beta = random_values(c.x.c, 23);
        const Norm a(on, s, first), b(on, s, second, 7);
        const Buffer y(k, map_and_bits(s));
        const Values gradient = random_gradient(s.x);
        const Tensor dy = on.act_in(s.x, gradient), seen = on.act_out(s.x);
        train_pair(k, s, a, b, y);
        backward_pair(k, s, {a, b}, y, dy);
        k.memory.copy(seen, y.data(), size_t(s.x.stored()) * size_t(bytes_of(k.activation)), {});

        const Outputs want_a = train(exact(), ref, first);
        second.residual = want_a.y;
        const Outputs want_b = train(exact(), ref_sum, second);
        expect_close(seen.values(), want_b.y, tolerance(), "y");
        expect_all_close(a.statistics(), {want_a.mean, want_a.rstd, want_a.running_mean, want_a.running_var}, 1e-5,
                         "first statistics");
        expect_all_close(b.statistics(), {want_b.mean, want_b.rstd, want_b.running_mean, want_b.running_var}, 1e-5,
                         "second statistics");
        const Gradients want_db =
            backward(exact(), ref_sum, Statistics::batch, second,
                     {.y = want_b.y, .dy = gradient, .mean = want_b.mean, .rstd = want_b.rstd}, Write::replace);
        const Gradients want_da = backward(
            exact(), ref, Statistics::batch, first,
            {.y = want_a.y, .dy = want_db.dresidual, .mean = want_a.mean, .rstd = want_a.rstd}, Write::replace);
        if (is_zero_gradient(c)) continue;
        const auto gradients = [](const Norm& n) {
            return std::vector<Values>{n.dx.values(), n.dgamma.values(), n.dbeta.values()};
        };
        expect_all_close(gradients(a), {want_da.dx, want_da.dgamma, want_da.dbeta}, tolerance(), "first gradient");
        expect_all_close(gradients(b), {want_db.dx, want_db.dgamma, want_db.dbeta}, tolerance(), "second gradient");
    }
}

}  // namespace
}  // namespace fp::testing::norms
