// Whole networks against torchvision's in float64 (tests/golden/models.json.gz): logits, five steps of SGD
// with their losses, first gradients, final parameters, logits after training.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/loss.h"
#include "engine/train/optimizer.h"
#include "tests/golden/golden.h"
#include "tests/network_values.h"
#include "tests/reference_values.h"

namespace fp {
namespace {

using nlohmann::json;
using testing::Formula;

void fill_by_formula(Network& net, uint64_t seed) {
    for (const Param& p : net.params.all()) {
        const Formula f(p.name, seed);
        const Filter& s = p.shape;
        std::vector<double> v(p.count());
        for (size_t i = 0; i < v.size(); ++i) {
            if (p.kind == Param::Kind::filter)
                v[i] = std::sqrt(6.0 / (double(s.c) * s.r * s.s)) * f.s(i);
            else if (p.kind == Param::Kind::linear)
                v[i] = 1 / std::sqrt(double(s.c) * s.r * s.s) * f.s(i);
            else if (p.name.ends_with("running_var"))
                v[i] = 1 + 0.5 * f.u(i);
            else if (p.name.ends_with(".weight"))
                v[i] = 1 + 0.1 * f.s(i);
            else
                v[i] = 0.1 * f.s(i);
        }
        net.params.set(p, v.data());
    }
}

struct Tolerance {
    double logits, loss, gradient, parameter;
    bool first_step_only = false;  // batch statistics of some sixteen values magnify what float rounds
};

void expect_near_all(const std::vector<double>& got, const json& want, double tolerance, const std::string& what) {
    size_t i = 0;
    for (const auto& row : want)
        for (const double w : row) {
            ASSERT_LT(i, got.size());
            EXPECT_NEAR(got[i], w, tolerance * (1 + std::abs(w))) << what << " element " << i;
            ++i;
        }
    EXPECT_EQ(i, got.size());
}

void expect_summary(const std::vector<double>& got, const json& want, double tolerance, const std::string& what) {
    double squares = 0;
    for (const double v : got) squares += v * v;
    const double l2 = want.at("l2");
    EXPECT_NEAR(std::sqrt(squares), l2, tolerance * (1e-3 + l2)) << what;
    if (tolerance > 1e-6) return;  // single elements lose more than the norm in float
    const double scale = l2 / std::sqrt(double(got.size())) + 1e-12;
    size_t i = 0;
    for (const double w : want.at("first4")) {
        EXPECT_NEAR(got[i], w, tolerance * 10 * (std::abs(w) + scale) + 1e-15) << what << " element " << i;
        ++i;
    }
}

void check(const json& want, Backend backend, const Tolerance& tolerance) {
    const Kernels* k = find_kernels(backend);
    if (!k) GTEST_SKIP() << "no backend " << name(backend) << " here";
    const uint64_t seed = want.at("seed");
    const int size = want.at("size"), batch = want.at("batch"), classes = want.at("classes");
    const auto net = models::build({.arch = want.at("arch"), .classes = classes}, *k);
    fill_by_formula(*net, seed);
    const Map map = testing::image_map(*k, batch, size);
    const Formula pixels("input", seed);
    const Buffer images = testing::upload_map(*k, map, [&](uint64_t i) { return pixels.s(i); });
    const std::vector<int32_t> labels = want.at("labels");
    Session session(*net);
    auto evaluate = [&](Mode mode) {
        Tape tape = session.begin({.mode = mode});
        return testing::download(*k, tape.value(net->forward(tape, tape.input({images.as<act>(), map}))));
    };
    expect_near_all(evaluate(Mode::eval), want.at("eval_logits"), tolerance.logits, "logits");
    expect_near_all(evaluate(Mode::infer), want.at("eval_logits"), tolerance.logits, "folded logits");
    expect_near_all(evaluate(Mode::infer), want.at("eval_logits"), tolerance.logits, "folded logits, second pass");

    const json& sgd = want.at("sgd");
    OptimizerState optimizer(
        net->params,
        {.momentum = sgd.at("momentum"), .nesterov = sgd.at("nesterov"), .weight_decay = sgd.at("weight_decay")});
    const CrossEntropy entropy(*k, classes);
    int step = 0;
    for (const double expected : want.at("train_losses")) {
        Tape tape = session.begin({.mode = Mode::train, .dropout = false});
        const Var logits = net->forward(tape, tape.input({images.as<act>(), map}));
        const LossRow loss = cross_entropy(tape, logits, labels, entropy);
        EXPECT_NEAR(mean_loss(tape, loss), expected, tolerance.loss * (1 + expected)) << "step " << step;
        tape.backward({{loss.row}});
        if (step == 0)
            for (const auto& [key, summary] : want.at("grad_step1").items())
                expect_summary(net->params.get_grad(*net->params.find(key)), summary, tolerance.gradient,
                               key + " gradient");
        if (tolerance.first_step_only) return;
        optimizer.apply(net->params, sgd.at("lr"));
        ++step;
    }
    for (const auto& [key, summary] : want.at("after").items())
        if (const Param* p = net->params.find(key))
            expect_summary(net->params.get(*p), summary, tolerance.parameter, key + " after");
    expect_near_all(evaluate(Mode::eval), want.at("eval_logits_after"), tolerance.logits * 10, "logits after");
}

class ReferenceModels : public ::testing::TestWithParam<const char*> {};

json find_model(const std::string& arch) {
    for (const json& m : json::parse(testing::golden("models.json")))
        if (m.at("arch") == arch) return m;
    fail("no golden values of ", arch);
}

TEST_P(ReferenceModels, ReferenceInDouble) {
    check(find_model(GetParam()), Backend::reference_f64, {1e-9, 1e-9, 1e-9, 1e-9});
}
TEST_P(ReferenceModels, HostInFloat) { check(find_model(GetParam()), Backend::cpu, {1e-4, 1e-4, 2e-2, 0, true}); }

INSTANTIATE_TEST_SUITE_P(Torchvision,
                         ReferenceModels,
                         ::testing::Values("resnet18", "resnet34", "resnet50", "vgg11_bn"));

}  // namespace
}  // namespace fp
