// The traffic of memory-bound ops: bytes() against what the emulated machine counts. Each input is read once and each
// output written once.
#include "kernels/cuda/plan/walks.h"
#include "tests/kernels/counted.h"

namespace fp::testing {
namespace {

constexpr Map kMap{.n = 2, .c = 64, .h = 16, .w = 16};  // a whole number of packs in every precision

class Traffic : public ::testing::TestWithParam<Precision> {
protected:
    const Kernels& k = emulated_kernels(GetParam());
    const Device on{k};
    const Map m = on.map(kMap);
    const int e = bytes_of(k.activation);
    const Values zeros = Values(size_t(m.logical()), 0.5);
    const Tensor x = on.act_in(m, zeros), dy = on.act_in(m, zeros), y = on.act_in(m, zeros);
    const Tensor out = on.act_out(m), more = on.act_out(m);
    const Tensor gamma = on.par_in(on.channels(m.c), Values(size_t(m.c), 1.0));
    const Tensor beta = on.par_in(on.channels(m.c), Values(size_t(m.c), 0.0));
    const Tensor mean = on.par_in(on.channels(m.c), Values(size_t(m.c), 0.25));
    const Tensor var = on.par_in(on.channels(m.c), Values(size_t(m.c), 1.0));
    double map_bytes() const { return double(e) * double(m.logical()); }

    // What threads read of per-channel vectors, once each: from L1 but for the first thread's. A Swath's threads do one
    // step each here.
    double vectors_of(double threads, int vectors) const { return threads * vectors * (16.0 / e) * sizeof(float); }
    double packs() const { return map_bytes() / 16; }
    double of_swath(int vectors) const { return vectors_of(packs(), vectors); }
    // Likewise the first row of a chunk for moments: one pack per thread, and each channel once more.
    double first_rows() const { return map_bytes() + double(swath_of_moments(m, 16 / e).chunks()) * m.stored_c() * e; }
    // Of moments or sums of each chunk, written and read.
    double own_moments() const { return given_moments(swath_of_moments(m, 16 / e).chunks()); }
    // Moments written and read, and what each channel reads besides: the counts, the first mean in 64 threads, and its
    // statistics, of which the running ones are also written.
    double given_moments(int parts) const { return double(Moments::bytes(m, parts)) + finishing(parts); }
    double finishing(int parts) const {
        return double(Moments::bytes(m, parts)) + m.stored_c() * sizeof(float) * double(parts + 64 + 6);
    }
    double sums(int64_t chunks, int kinds) const { return 2.0 * double(chunks) * kinds * m.stored_c() * sizeof(float); }
    double of_sums(int kinds) const { return sums(swath_of_sums(m, 16 / e).chunks(), kinds); }

    // The arguments of a norm of `from` into `to`; statistics are kept in `kept` and `rstd`.
    BatchNorm::Train train_args(
        const act* from, const act* residual, act* to, const Tensor& kept, const Tensor& rstd) const {
        return {.x = from,
                .residual = residual,
                .gamma = gamma,
                .beta = beta,
                .running_mean = mean,
                .running_var = var,
                .y = to,
                .mean = kept,
                .rstd = rstd};
    }
    static BatchNorm::Gradients gradients(act* dx, act* dresidual) {
        return {.dx = dx,
                .dx_write = Write::replace,
                .dresidual = dresidual,
                .dresidual_write = Write::replace,
                .dgamma = nullptr,
                .dbeta = nullptr,
                .par_write = Write::replace};
    }

    static void expect_near(double got, double stated) {
        EXPECT_NEAR(got / stated, 1, 0.1) << got << " bytes counted, " << stated << " stated";
    }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Traffic, ::testing::Values(Precision::f32, Precision::bf16), [](const auto& at) {
    return std::string(name(at.param));
});

TEST_P(Traffic, Pointwise) {
    expect_near(counted([&] { k.relu.forward(m, {.x = x, .y = out}, {}); }).bytes, 2 * map_bytes());
    expect_near(counted([&] { k.relu.backward(m, {.y = y, .dy = dy, .dx = out, .write = Write::replace}, {}); }).bytes,
                3 * map_bytes());
    expect_near(counted([&] { k.add.forward(m, {.a = x, .b = y, .y = out}, {}); }).bytes, 3 * map_bytes());
    expect_near(counted([&] { k.dropout.forward(m, {.p = 0.5, .key = 7, .x = x, .y = out}, {}); }).bytes,
                2 * map_bytes());
}

TEST_P(Traffic, BatchNorm) {
    for (const bool relu : {false, true})
        for (const bool residual : {false, true}) {
            SCOPED_TRACE(text("relu ", relu, ", residual ", residual));
            const BatchNormShape s{.x = m, .relu = relu, .residual = residual};
            const Buffer scratch(k, k.batchnorm.scratch_bytes(s));
            const Tensor kept_mean = on.par_out(on.channels(m.c)), rstd = on.par_out(on.channels(m.c));
            const auto train =
                counted([&] { k.batchnorm.train(s, train_args(x, y, out, kept_mean, rstd), scratch.data(), {}); });
            expect_near(train.bytes - first_rows() - own_moments() - of_swath(4), s.bytes(e));
            const auto infer = counted([&] {
                k.batchnorm.infer(s,
                                  {.x = x,
                                   .residual = y,
                                   .gamma = gamma,
                                   .beta = beta,
                                   .running_mean = mean,
                                   .running_var = var,
                                   .y = out},
                                  {});
            });
            expect_near(infer.bytes - of_swath(4), s.infer_bytes(e));
            const BatchNorm::Backward args{.x = x,
                                           .y = y,
                                           .dy = dy,
                                           .gamma = gamma,
                                           .beta = nullptr,
                                           .mean = kept_mean,
                                           .rstd = rstd,
                                           .to = gradients(out, more.if_given(residual))};
            const auto backward = counted([&] { k.batchnorm.backward(s, args, scratch.data(), {}); });
            expect_near(backward.bytes - of_sums(2) - of_swath(3 + 6), s.backward_bytes(e));
        }
}

// A convolution that writes moments saves the batch norm behind it one reading of the map.
TEST_P(Traffic, Moments) {
    const ConvShape s{.x = m, .w = k.filter(m.c, m.c, 1, 1, m.block), .y_block = m.block};
    const BatchNormShape norm{.x = m};
    const Tensor w = on.par_in(s.w, Values(size_t(s.w.logical()), 0.5));
    const Tensor kept_mean = on.par_out(on.channels(m.c)), rstd = on.par_out(on.channels(m.c));
    const Buffer scratch(k, std::max(k.conv.scratch_bytes(s), k.batchnorm.scratch_bytes(norm)));
    const int parts = k.conv.moments_parts(s);
    const Buffer data(k, Moments::bytes(m, parts));
    const Moments moments{data.data(), parts};
    const auto apart = counted([&] {
        k.conv.forward(s, {.x = x, .w = w, .bias = nullptr, .y = more}, scratch.data(), {});
        k.batchnorm.train(norm, train_args(more, nullptr, out, kept_mean, rstd), scratch.data(), {});
    });
    const auto told = counted([&] {
        k.conv.forward_moments(s, {.x = x, .w = w, .bias = nullptr, .y = more}, moments, scratch.data(), {});
        k.batchnorm.train_on_moments(norm, train_args(more, nullptr, out, kept_mean, rstd), moments, {});
    });
    // Either way moments are written and read.
    const double given = given_moments(parts);
    expect_near(apart.bytes - own_moments() - first_rows() - (told.bytes - given), map_bytes());
}

// What the fused forms save: y's mask from bits, or from x again; maps between norm and pool, or between two norms.
TEST_P(Traffic, FusedBatchNorm) {
    if (!k.batchnorm.pools) GTEST_SKIP() << "the ops are apart in " << name(GetParam());
    const BatchNormShape s{.x = m, .relu = true, .residual = true, .bits = true}, alone{.x = m, .relu = true};
    const double bits = double(k.batchnorm.bits_bytes(s));
    const MaxPoolShape pool{.x = m, .window = 3, .stride = 2, .pad = 1};
    const Buffer with_bits(k, size_t(map_bytes() + bits));
    const Buffer scratch(k, std::max({k.batchnorm.scratch_bytes(s), k.batchnorm.pair_scratch_bytes(s),
                                      k.batchnorm.pool_scratch_bytes(alone, pool)}));
    const Map vector = on.channels(m.c);
    const Tensor kept_mean = on.par_in(vector, Values(size_t(m.c), 0.25)),
                 rstd = on.par_in(vector, Values(size_t(m.c), 1.0));
    constexpr int kParts = 32;
    const Buffer data(k, Moments::bytes(m, kParts));
    k.memory.zero(data.data(), Moments::bytes(m, kParts), {});
    const Moments moments{data.data(), kParts};
    const double of_moments = finishing(kParts);
    auto* const sum = static_cast<act*>(with_bits.data());
    BatchNorm::Backward args{.x = x,
                             .y = sum,
                             .dy = dy,
                             .gamma = gamma,
                             .beta = nullptr,
                             .mean = kept_mean,
                             .rstd = rstd,
                             .to = gradients(out, more)};

    // Beside a map its bits are small: they are what is more than in a run without them.
    BatchNormShape no_bits = s;
    no_bits.bits = false;
    const auto train = [&](const BatchNormShape& of) {
        return counted([&] { k.batchnorm.train_on_moments(of, train_args(x, y, sum, kept_mean, rstd), moments, {}); })
            .bytes;
    };
    const double forward = train(no_bits);
    expect_near(forward - of_moments - of_swath(4), 3 * map_bytes());
    expect_near(train(s) - forward, bits);
    const auto backward = [&](const BatchNormShape& of) {
        return counted([&] { k.batchnorm.backward(of, args, scratch.data(), {}); }).bytes;
    };
    const double from_y = backward(no_bits);
    expect_near(from_y - of_sums(2) - of_swath(3 + 6), 8 * map_bytes());
    expect_near(backward(s) - (from_y - 2 * map_bytes()), 2 * bits);
    args.to.dresidual = nullptr;
    args.beta = beta;
    args.y = y;
    const auto from_x = counted([&] { k.batchnorm.backward(alone, args, scratch.data(), {}); });
    expect_near(from_x.bytes - of_sums(2) - of_swath(4 + 7), 5 * map_bytes());
    const auto frozen = counted([&] {
        k.batchnorm.backward_frozen(alone,
                                    {.x = x,
                                     .y = y,
                                     .dy = dy,
                                     .gamma = gamma,
                                     .beta = beta,
                                     .running_mean = mean,
                                     .running_var = var,
                                     .to = args.to},
                                    scratch.data(), {});
    });
    expect_near(frozen.bytes - of_swath(4), 3 * map_bytes());

    const auto half = [&](const act* of) {
        return BatchNorm::TrainPair::Half{.x = of,
                                          .moments = moments,
                                          .gamma = gamma,
                                          .beta = beta,
                                          .running_mean = mean,
                                          .running_var = var,
                                          .mean = kept_mean,
                                          .rstd = rstd};
    };
    const auto pair = counted([&] { k.batchnorm.pair_on_moments(s, {.a = half(x), .b = half(y), .y = sum}, {}); });
    const double channels = double(m.c) * sizeof(float);
    expect_near(pair.bytes - 2 * of_moments - of_swath(8) - 3 * map_bytes(), bits);
    const auto half_back = [&](const act* of, act* dx) {
        return BatchNorm::BackwardPair::Half{
            .x = of, .gamma = gamma, .mean = kept_mean, .rstd = rstd, .dx = dx, .dgamma = nullptr, .dbeta = nullptr};
    };
    const auto pair_back = counted([&] {
        k.batchnorm.pair_backward(
            s, {.a = half_back(x, out), .b = half_back(y, more), .y = sum, .dy = dy, .par_write = Write::replace},
            scratch.data(), {});
    });
    // Per channel the three means, and both rstd once per chunk.
    const double adding = channels * (3 + 2.0 * double(swath_of_sums(m, 16 / e, 2).chunks()));
    expect_near(
        pair_back.bytes - sums(swath_of_sums(m, 16 / e, 2).chunks(), 3) - of_swath(2 + 11) - adding - 8 * map_bytes(),
        2 * bits);

    // A pooled output is read by two columns of threads, its first row by the run above too; of x forward reads each
    // third column and a run's first row twice.
    const Tensor pooled = on.act_out(pool.y()),
                 pooled_dy = on.act_in(pool.y(), Values(size_t(pool.y().logical()), 0.5));
    const Array<uint8_t> argmax(k, size_t(pool.y().stored()));
    const double pooled_bytes = double(pool.y().logical()) * (e + 1),
                 columns = packs() / (16 * 16);  // of packs: threads over rows of outputs
    const auto stem = counted([&] {
        k.batchnorm.pool_on_moments(alone, pool,
                                    {.x = x,
                                     .gamma = gamma,
                                     .beta = beta,
                                     .running_mean = mean,
                                     .running_var = var,
                                     .y = pooled,
                                     .argmax = argmax,
                                     .mean = kept_mean,
                                     .rstd = rstd},
                                    moments, {});
    });
    const double overlap = (3.0 * 8 - 1) / 16 * (2.0 * 9 - 1) / 16;
    expect_near(stem.bytes - of_moments - vectors_of(columns * 8 * 2, 4), overlap * map_bytes() + pooled_bytes);
    const auto stem_back = counted([&] {
        k.batchnorm.pool_backward(alone, pool,
                                  {.x = x,
                                   .dy = pooled_dy,
                                   .argmax = argmax,
                                   .gamma = gamma,
                                   .mean = kept_mean,
                                   .rstd = rstd,
                                   .dx = out,
                                   .dgamma = nullptr,
                                   .dbeta = nullptr,
                                   .par_write = Write::replace},
                                  scratch.data(), {});
    });
    const int64_t chunks = ceil_div(int64_t(columns) * 8, Swath::kThreads);
    expect_near(stem_back.bytes - sums(chunks, 2) - vectors_of(columns * 8, 1 + 5),
                3 * map_bytes() + 2 * (15.0 / 8) * pooled_bytes);
}

TEST_P(Traffic, Pools) {
    const MaxPoolShape max{.x = m};
    const Map small = max.y();
    const Tensor pooled = on.act_out(small);
    expect_near(counted([&] { k.maxpool.forward(max, {.x = x, .y = pooled, .argmax = nullptr}, {}); }).bytes,
                max.bytes(e));
    const AvgPoolShape mean_of{.x = m};
    const Tensor one = on.act_out(mean_of.y());
    expect_near(counted([&] { k.avgpool.forward(mean_of, {.x = x, .y = one}, {}); }).bytes, mean_of.bytes(e));
}

TEST_P(Traffic, Image) {
    const Map image = on.image({.n = 2, .c = 3, .h = 16, .w = 16});
    const Array<uint8_t> rgb(k, std::vector<uint8_t>(2 * 16 * 16 * 3, 100));
    const Array<float> average(k, std::vector<float>{0, 0, 0}), std(k, std::vector<float>{1, 1, 1});
    const Tensor to = on.act_out(image);
    const double pixels = 2 * 16 * 16;
    // A thread's three means and deviations come from L1.
    const double vectors = 256 * 3 * 8;
    expect_near(
        counted([&] { k.image.normalize(image, {.rgb = rgb, .mean = average, .std = std, .x = to}, {}); }).bytes -
            vectors,
        pixels * (3 + 4 * e));
}

}  // namespace
}  // namespace fp::testing
