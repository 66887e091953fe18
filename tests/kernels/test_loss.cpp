#include "tests/kernels/gradient.h"

namespace fp::testing {
namespace {

struct LossCase {
    const char* name;
    int n, c;
    double smoothing = 0;
    bool weighted = false;
    double spread = 1;    // of the logits
    bool padded = false;  // every third label is -1
    bool sample_weighted = false;
};

const LossCase kCases[] = {
    {"ISIC", 32, 8},
    {"Fitzpatrick17k, smoothed", 16, 114, 0.1},
    {"weighted", 17, 8, 0, true},
    {"weighted and smoothed", 3, 45, 0.1, true},
    {"padded", 17, 3, 0.1, true, 1, true},
    {"far logits", 8, 17, 0.1, false, 300},
    {"sample weights", 17, 3, 0.1, true, 1, true, true},
    {"one sample", 1, 2},
    {"one class", 3, 1},
};

struct Inputs {
    Values logits, class_weight, dlogits_before;
    std::vector<int32_t> labels;
    std::vector<float> sample_weight = {};  // empty: every one is 1
};

struct Forward {
    Values losses;
    std::vector<double> sums;
};

Inputs random_inputs(const LossCase& c, Type activation, Type parameter) {
    Inputs in{.logits = random_values(int64_t(c.n) * c.c, 1),
              .class_weight = random_values(c.c, 2),
              .dlogits_before = random_values(int64_t(c.n) * c.c, 3, activation),
              .labels = {}};
    for (double& v : in.logits) v = rounded(c.spread * v, activation);
    for (double& v : in.class_weight) v = rounded(0.5 + v * v, parameter);
    for (int n = 0; n < c.n; ++n)
        in.labels.push_back(c.padded && n % 3 == 1 ? -1 : int32_t(uniform_below(uint64_t(c.c), 4, uint64_t(n))));
    for (int n = 0; c.sample_weighted && n < c.n; ++n) in.sample_weight.push_back(2 * uniform(5, uint64_t(n)));
    return in;
}

LossShape shape_on(const Device& on, const LossCase& c) {
    return {.logits = on.map({.n = c.n, .c = c.c}), .smoothing = c.smoothing};
}

Forward forward(const Kernels& k, const LossCase& c, const Inputs& in) {
    const Device on{k};
    const LossShape s = shape_on(on, c);
    const Tensor logits = on.act_in(s.logits, in.logits);
    const Tensor weight = on.par_in(on.channels(c.c), in.class_weight);
    const Tensor losses = on.par_out(Map{.n = c.n});
    const Array<int32_t> labels(k, in.labels);
    const Array<double> sums(k, 2);
    k.loss.forward(s,
                   {.logits = logits,
                    .labels = labels,
                    .class_weight = weight.if_given(c.weighted),
                    .losses = losses,
                    .sums = sums},
                   {});
    return {losses.values(), sums.values()};
}

Values backward(const Kernels& k,
                const LossCase& c,
                const Inputs& in,
                const std::vector<double>& forward_sums,
                double scale,
                Write write) {
    const Device on{k};
    const LossShape s = shape_on(on, c);
    const Tensor logits = on.act_in(s.logits, in.logits);
    const Tensor weight = on.par_in(on.channels(c.c), in.class_weight);
    const Array<int32_t> labels(k, in.labels);
    const Array<float> sample_weight(k, in.sample_weight);
    const Array<double> sums(k, forward_sums);
    const Tensor dlogits = on.act_grad(s.logits, write, in.dlogits_before);
    k.loss.backward(s,
                    {.logits = logits,
                     .labels = labels,
                     .class_weight = weight.if_given(c.weighted),
                     .sample_weight = sample_weight.if_given(c.sample_weighted),
                     .sums = sums,
                     .scale = scale,
                     .dlogits = dlogits,
                     .write = write},
                    {});
    return dlogits.values();
}

Values softmax(const Kernels& k, const LossCase& c, const Inputs& in) {
    const Device on{k};
    const Map map = on.map({.n = c.n, .c = c.c});
    const Tensor logits = on.act_in(map, in.logits);
    const Array<float> probabilities(k, size_t(c.n) * size_t(c.c));
    k.loss.softmax(map, logits, probabilities, {});
    const auto out = probabilities.values();
    return Values(out.begin(), out.end());
}

// Logits log 1, log 2, log 5: probabilities 1/8, 1/4, 5/8.
TEST(Loss, ByHand) {
    const LossCase c{"", 2, 3, 0.3, true};
    const Inputs in{.logits = {0, std::log(2), std::log(5), 7, 7, 7},
                    .class_weight = {1, 2, 4},
                    .dlogits_before = Values(6, 1),
                    .labels = {1, -1}};
    // q = 0.1, 0.8, 0.1; weights times q = 0.1, 1.6, 0.4
    const double loss = 0.1 * std::log(8) + 1.6 * std::log(4) + 0.4 * std::log(8.0 / 5);
    const auto [losses, sums] = forward(exact(), c, in);
    expect_close(losses, {loss, 0}, 1e-14, "losses");
    expect_close(sums, {loss, 2}, 1e-14, "sums");
    // 3/2 (P 2.1 - weighted q)
    expect_close(backward(exact(), c, in, sums, 3, Write::replace),
                 {1.5 * (2.1 / 8 - 0.1), 1.5 * (2.1 / 4 - 1.6), 1.5 * (2.1 * 5 / 8 - 0.4), 0, 0, 0}, 1e-14, "dlogits");
    EXPECT_EQ(backward(exact(), c, in, sums, 3, Write::add)[3], 1);
    expect_close(softmax(exact(), c, in), {0.125, 0.25, 0.625, 1.0 / 3, 1.0 / 3, 1.0 / 3}, 1e-7, "softmax");
}

TEST(Loss, OfAnEvenGuessIsLogC) {
    const LossCase c{"", 3, 5};
    const auto [losses, sums] = forward(exact(), c, {Values(15, 2.5), Values(5, 1), {}, {0, 4, 2}});
    expect_close(losses, Values(3, std::log(5)), 1e-14, "losses");
    EXPECT_EQ(sums[1], 3);
}

TEST(Loss, OfFarLogitsIsTheirDistance) {
    const LossCase c{"", 2, 3};
    const Inputs in{{1000, 0, -1000, -1000, -1003, -9000}, {1, 1, 1}, Values(6, 0), {2, 1}};
    const auto [losses, sums] = forward(exact(), c, in);
    expect_close(losses, {2000, 3 + std::log(1 + std::exp(-3))}, 1e-14, "losses");
    expect_close(softmax(exact(), c, in), {1, 0, 0, 1 / (1 + std::exp(-3)), 1 / (1 + std::exp(3)), 0}, 1e-7, "softmax");
    expect_close(backward(exact(), c, in, {0, 1}, 1, Write::replace),
                 {1, 0, -1, 1 / (1 + std::exp(-3)), -1 / (1 + std::exp(-3)), 0}, 1e-12, "dlogits");
}

class LossOn : public OnBackend {};
FP_ON_EVERY_BACKEND(LossOn);

TEST_P(LossOn, AgreesWithTheReference) {
    for (const LossCase& c : kCases) {
        SCOPED_TRACE(c.name);
        const Inputs in = random_inputs(c, table().activation, table().parameter);
        const auto got = forward(table(), c, in), want = forward(exact(), c, in);
        expect_close(got.losses, want.losses, tolerance(), "losses");
        expect_close(got.sums, want.sums, tolerance(), "sums");
        expect_close(softmax(table(), c, in), softmax(exact(), c, in), tolerance(), "softmax");
        for (const Write write : {Write::replace, Write::add})
            expect_close(backward(table(), c, in, want.sums, 0.5, write),
                         backward(exact(), c, in, want.sums, 0.5, write), tolerance(), "dlogits");
    }
}

TEST_P(LossOn, OfPaddedSamplesAloneIsZero) {
    const LossCase c{"", 3, 4};
    Inputs in = random_inputs(c, table().activation, table().parameter);
    in.labels = {-1, -1, -1};
    const auto [losses, sums] = forward(table(), c, in);
    EXPECT_EQ(losses, Values(3, 0.0));
    EXPECT_EQ(sums, Values(2, 0.0));
    EXPECT_EQ(backward(table(), c, in, sums, 1, Write::replace), Values(12, 0.0));
}

TEST(Loss, BackwardIsTheGradient) {
    for (const LossCase& c : kCases) {
        if (int64_t(c.n) * c.c > 300 || c.spread > 1) continue;
        SCOPED_TRACE(c.name);
        Inputs in = random_inputs(c, Type::f64, Type::f64);
        const double scale = 1.5;
        expect_gradient(
            {in.logits},
            [&](const std::vector<Values>& v) {
                in.logits = v[0];
                const auto [losses, sums] = forward(exact(), c, in);
                double sum = 0;
                for (size_t n = 0; n < losses.size(); ++n)
                    sum += losses[n] * (in.sample_weight.empty() ? 1 : double(in.sample_weight[n]));
                return Values{scale * sum / sums[1]};
            },
            [&](const std::vector<Values>& v, const Values& dy, const std::vector<Values>& before) {
                in.logits = v[0];
                in.dlogits_before = before[0];
                const auto sums = forward(exact(), c, in).sums;
                return std::vector<Values>{backward(exact(), c, in, sums, scale * dy[0], Write::add)};
            });
    }
}

}  // namespace
}  // namespace fp::testing
