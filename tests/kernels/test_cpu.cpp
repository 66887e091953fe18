// What only the host backend promises: the same bits on any number of threads, and sums that stay accurate
// where a plain one would cancel.
#include <omp.h>

#include <functional>

#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

using Distance = SnnlShape::Distance;

const Kernels& cpu() { return kernels(Backend::cpu); }

class Threads {
public:
    explicit Threads(int count) : before_(omp_get_max_threads()) { omp_set_num_threads(count); }
    ~Threads() { omp_set_num_threads(before_); }
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

private:
    int before_;
};

void expect_same_bits(const std::function<Values()>& run) {
    std::vector<Values> results;
    for (const int threads : {1, 2, 3, 5}) {
        const Threads with(threads);
        results.push_back(run());
    }
    for (size_t i = 1; i < results.size(); ++i) EXPECT_EQ(results[i], results[0]);
}

// All outputs of train and backward, concatenated.
Values batchnorm(const Map& logical, const Values& input) {
    const Device on{cpu()};
    const Map m = on.map(logical), channels = on.channels(logical.c);
    const BatchNormShape s{.x = m, .relu = true, .residual = true};
    const Values half(size_t(m.c), 0.5), one(size_t(m.c), 1.0);
    const Buffer scratch(cpu(), cpu().batchnorm.scratch_bytes(s));
    const Tensor x = on.act_in(m, input), y = on.act_out(m), dx = on.act_out(m), dresidual = on.act_out(m);
    const Tensor residual = on.act_in(m, random_values(m.logical(), 2));
    const Tensor dy = on.act_in(m, random_values(m.logical(), 3));
    const Tensor gamma = on.par_in(channels, one), beta = on.par_in(channels, half);
    const Tensor running_mean = on.par_in(channels, half), running_var = on.par_in(channels, one);
    const Tensor mean = on.par_out(channels), rstd = on.par_out(channels);
    const Tensor dgamma = on.par_out(channels), dbeta = on.par_out(channels);
    cpu().batchnorm.train(s,
                          {.x = x,
                           .residual = residual,
                           .gamma = gamma,
                           .beta = beta,
                           .running_mean = running_mean,
                           .running_var = running_var,
                           .y = y,
                           .mean = mean,
                           .rstd = rstd},
                          scratch.data(), {});
    cpu().batchnorm.backward(s,
                             {.x = x,
                              .y = y,
                              .dy = dy,
                              .gamma = gamma,
                              .beta = nullptr,
                              .mean = mean,
                              .rstd = rstd,
                              .to = {.dx = dx,
                                     .dx_write = Write::replace,
                                     .dresidual = dresidual,
                                     .dresidual_write = Write::replace,
                                     .dgamma = dgamma,
                                     .dbeta = dbeta,
                                     .par_write = Write::replace}},
                             scratch.data(), {});
    Values all;
    for (const Tensor* t : {&y, &mean, &rstd, &running_mean, &running_var, &dx, &dresidual, &dgamma, &dbeta}) {
        const Values part = t->values();
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

TEST(Cpu, BatchNormHasTheSameBitsOnAnyNumberOfThreads) {
    for (const Map& m : {Map{.n = 9, .c = 40, .h = 17, .w = 15}, Map{.n = 70, .c = 33}}) {
        const Values x = random_values(m.logical(), 1);
        expect_same_bits([&] { return batchnorm(m, x); });
    }
}

// Mean 4000, deviation 1: squares of the numbers themselves would leave nothing of the variance. The second
// half of the batch has another mean, so that a shift taken from the first would not suffice either.
TEST(Cpu, BatchNormOfALargeMean) {
    const Map m{.n = 8, .c = 17, .h = 20, .w = 20};
    Values x = random_values(m.logical(), 1);
    for (size_t i = 0; i < x.size(); ++i) x[i] = float(x[i] + 4000 + (i >= x.size() / 2 ? 40 : 0));
    const Values got = batchnorm(m, x);
    for (int c = 0; c < m.c; ++c) {
        double sum = 0, squares = 0;
        const auto each = [&](const auto& body) {
            for (int n = 0; n < m.n; ++n)
                for (int h = 0; h < m.h; ++h)
                    for (int w = 0; w < m.w; ++w) body(x[size_t(m.at(n, c, h, w))]);
        };
        const double count = m.n * double(m.pixels());
        each([&](double v) { sum += v; });
        each([&](double v) { squares += (v - sum / count) * (v - sum / count); });
        const double rstd = 1 / std::sqrt(squares / count + 1e-5);
        EXPECT_NEAR(got[x.size() + size_t(c)], sum / count, 1e-6 * 4000);
        EXPECT_NEAR(got[x.size() + size_t(m.c + c)], rstd, 1e-6 * rstd);
    }
}

TEST(Cpu, SumOfSquaresHasTheSameBitsOnAnyNumberOfThreads) {
    for (const int64_t count : {100000, 70001, 3}) {
        const Values g = random_values(count, 1);
        expect_same_bits([&] {
            const Device on{cpu()};
            const Tensor block = on.par_in(Filter{.k = int(count)}, g);
            const Array<double> sum(cpu(), 1);
            cpu().optimizer.sum_squares(count, block, sum, nullptr, {});
            return Values(sum.values());
        });
    }
}

struct Features {
    Map map;
    Distance distance;
    double temperature;
};

// Distances, temperatures on both sides of where the shift begins, samples no multiple of a tile, samples
// deeper than a chunk.
const Features kFeatures[] = {{{.n = 37, .c = 70, .h = 3, .w = 3}, Distance::cosine, 0.5},
                              {{.n = 67, .c = 17, .h = 9, .w = 9}, Distance::cosine, 0.5},
                              {{.n = 35, .c = 16, .h = 13, .w = 11}, Distance::cosine, 0.02},
                              {{.n = 41, .c = 33, .h = 2, .w = 2}, Distance::euclidean, 2}};

std::vector<int32_t> labels_of(int sets, int samples) {
    std::vector<int32_t> labels;
    for (int i = 0; i < sets * samples; ++i)
        labels.push_back(int32_t(uniform_below(4, 7, uint64_t(i))) - (i / samples % 2));
    return labels;
}

Values scores(const Features& f, const Values& x_values, const std::vector<int32_t>& labels) {
    const Device on{cpu()};
    const SnnlShape s{
        .x = on.map(f.map), .sets = int(labels.size()) / f.map.n, .temperature = f.temperature, .distance = f.distance};
    const Buffer scratch(cpu(), cpu().snnl.scratch_bytes(s, true));
    const Tensor x = on.act_in(s.x, x_values);
    const Array<int32_t> label(cpu(), labels);
    const Array<double> score(cpu(), size_t(s.sets) * size_t(s.x.c));
    cpu().snnl.forward(s, {.x = x, .labels = label, .strata = nullptr, .scores = score}, scratch.data(), {});
    return score.values();
}

Values slopes(const Features& f, const Values& x_values, const std::vector<int32_t>& labels) {
    const Device on{cpu()};
    const SnnlShape s{.x = on.map(f.map), .temperature = f.temperature, .distance = f.distance};
    const Buffer scratch(cpu(), cpu().snnl.scratch_bytes(s, true));
    const Tensor x = on.act_in(s.x, x_values), dx = on.act_out(s.x);
    const Array<int32_t> label(cpu(), labels);
    const Array<double> dscore(cpu(), random_values(s.x.c, 5));
    cpu().snnl.backward(
        s, {.x = x, .labels = label, .strata = nullptr, .dscore = dscore, .dx = dx, .write = Write::replace},
        scratch.data(), {});
    return dx.values();
}

TEST(Cpu, SnnlHasTheSameBitsOnAnyNumberOfThreads) {
    for (const Features& f : kFeatures) {
        const Values x = random_values(f.map.logical(), 1);
        const std::vector<int32_t> labels = labels_of(1, f.map.n);
        expect_same_bits([&] { return scores(f, x, labels); });
        expect_same_bits([&] { return slopes(f, x, labels); });
    }
}

// Sets two by two have the same unknown samples, so they share a sum; alone they do not.
TEST(Cpu, SnnlOfManySetsIsThatOfEach) {
    constexpr int kSets = 7;
    for (const Features& f : kFeatures) {
        const Values x = random_values(f.map.logical(), 1);
        const std::vector<int32_t> labels = labels_of(kSets, f.map.n);
        Values one_by_one;
        for (int set = 0; set < kSets; ++set) {
            const auto first = labels.begin() + set * f.map.n;
            const Values one = scores(f, x, {first, first + f.map.n});
            one_by_one.insert(one_by_one.end(), one.begin(), one.end());
        }
        EXPECT_EQ(scores(f, x, labels), one_by_one);
    }
}

}  // namespace
}  // namespace fp::testing
