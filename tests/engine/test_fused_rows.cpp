// Norms that run with what is around them, on the machine that plays a GPU in bf16, against the same network op
// after op, and against float32's plain loops: whoever reads the tape finds the same layers, parameters, channel
// groups, gradients, statistics, scores and penalties.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "engine/layer_costs.h"
#include "engine/loss.h"
#include "engine/prune/score.h"
#include "engine/train/recalibrate.h"
#include "engine/train/snnl_penalty.h"
#include "tests/engine/network_values.h"
#include "tests/engine/synth_images.h"

namespace fp {
namespace {

using testing::random_network;

constexpr int kSize = 32, kBatch = 6;
using Values = std::map<std::string, std::vector<double>>;

const Kernels& bf16() { return kernels(Backend::emulated, Precision::bf16); }
const Kernels& plain() { return kernels(Backend::reference); }

// |a - b| / |b| over all values together.
double distance(const Values& a, const Values& b) {
    EXPECT_EQ(a.size(), b.size());
    double difference = 0, norm = 0;
    for (const auto& [name, of_b] : b) {
        const std::vector<double>& of_a = a.at(name);
        EXPECT_EQ(of_a.size(), of_b.size()) << name;
        for (size_t i = 0; i < of_b.size(); ++i) {
            EXPECT_TRUE(std::isfinite(of_a[i])) << name;
            difference += (of_a[i] - of_b[i]) * (of_a[i] - of_b[i]);
            norm += of_b[i] * of_b[i];
        }
    }
    return std::sqrt(difference / norm);
}

// Fusing rounds less often, never more: as near to float32 as op after op, and near to it.
void expect_near(const char* what, const Values& fused, const Values& apart, const Values& exact) {
    const double by_op = distance(apart, exact);
    EXPECT_LT(distance(fused, exact), 1.3 * by_op + 1e-3) << what;
    EXPECT_LT(by_op, 0.25) << what << ": what bf16 leaves says nothing";
}

struct Step {
    Values gradients, statistics;
    double loss = 0, penalty = 0;
    std::vector<Node> rows;
};

const std::vector<PenaltyAttribute> kAttributes{{"sex", {0, 0, 1, 1, 0, 1}, 3},
                                                {"age", {1, 0, 0, 1, 0, 1}, 1}};

// A training step without its update. `frozen` names begin with one of these.
Step step(const ModelSpec& spec,
          const Kernels& k,
          Rows rows,
          const Penalty& penalty = {},
          const std::vector<std::string>& frozen = {}) {
    const auto net = random_network(spec, k, 7);
    for (Param& p : net->params.all())
        for (const std::string& prefix : frozen)
            if (p.name.starts_with(prefix)) p.trainable = false;
    const Map map = testing::image_map(k, kBatch, kSize);
    const Buffer images =
        testing::upload_map(k, map, [](uint64_t i) { return uniform_double(11, i) - 0.5; });
    const Batch batch{.n = kBatch, .samples = {0, 1, 2, 3, 4, 5}, .labels = {0, 1, 0, 1, 0, 1}};
    Session session(*net);
    CrossEntropy entropy(k, spec.classes);
    Tape tape = session.begin({.mode = Mode::train, .dropout = false, .rows = rows});
    const Var y = net->forward(tape, tape.input({images.data(), map}));
    Step out{.loss = entropy.forward(tape, y, batch.labels), .rows = tape.nodes()};
    std::vector<Tape::Seed> seeds{{y, entropy.gradient(tape, y)}};
    if (penalty) out.penalty = penalty.add(tape, batch, seeds);
    tape.backward(seeds);
    for (const Param& p : net->params.all()) {
        if (!p.trained())
            out.statistics[p.name] = net->params.get(p);
        else if (p.trainable)
            out.gradients[p.name] = net->params.get_grad(p);
    }
    return out;
}

int count(const std::vector<Node>& rows, std::string_view op) {
    return int(std::count_if(rows.begin(), rows.end(), [&](const Node& n) { return n.op == op; }));
}

struct Case {
    const char* arch;
    double width;
    int pools, pairs;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.arch; }

class FusedRows : public ::testing::TestWithParam<Case> {
protected:
    const ModelSpec spec{.arch = GetParam().arch, .classes = 2, .width = GetParam().width};
};

INSTANTIATE_TEST_SUITE_P(Networks,
                         FusedRows,
                         ::testing::Values(Case{"resnet18", 0.125, 1, 3},
                                           Case{"resnet50", 0.0625, 1, 4},
                                           Case{"vgg11_bn", 0.0625, 0, 0}),
                         [](const auto& c) { return std::string(c.param.arch); });

TEST_P(FusedRows, AStepIsAsNearToFloat32AsOpAfterOp) {
    const Step fused = step(spec, bf16(), Rows::fewest), apart = step(spec, bf16(), Rows::each_op),
               exact = step(spec, plain(), Rows::each_op);
    EXPECT_EQ(count(fused.rows, "batchnorm_relu_maxpool"), GetParam().pools);
    EXPECT_EQ(count(fused.rows, "batchnorm_pair"), GetParam().pairs);
    EXPECT_EQ(count(fused.rows, "batchnorm_in_pair"), GetParam().pairs);
    EXPECT_NEAR(fused.loss, exact.loss, 0.02);
    expect_near("gradients", fused.gradients, apart.gradients, exact.gradients);
    expect_near("running statistics", fused.statistics, apart.statistics, exact.statistics);
}

TEST_P(FusedRows, LayersParametersAndChannelGroupsAreThoseOfOpAfterOp) {
    const std::vector<Node> want = trace(models::build, spec, kSize, kBatch).nodes;
    const auto layers = [](const std::vector<LayerCost>& rows) {
        std::vector<std::pair<std::string, int64_t>> out;  // with their parameters
        for (const LayerCost& c : rows)
            if (c.layer != c.op) out.emplace_back(c.layer, c.parameters);
        return out;
    };
    for (const Rows rows : {Rows::fewest, Rows::activations, Rows::each_op}) {
        const Step s = step(spec, bf16(), rows);
        EXPECT_EQ(channel_sets(s.rows), channel_sets(want));
        EXPECT_EQ(layers(layer_costs(s.rows)), layers(layer_costs(want)));
        const Totals got = totals(layer_costs(s.rows)), all = totals(layer_costs(want));
        EXPECT_EQ(got.macs, all.macs);
        EXPECT_EQ(got.parameters, all.parameters);
    }
}

TEST_P(FusedRows, ThePenaltyFindsWhatItsTapNames) {
    for (const Tap tap : {Tap::convolution, Tap::norm, Tap::activation}) {
        const Penalty penalty = snnl_penalty(
            {.weight = 20, .layers = "*", .tap = tap, .temperature = 0.5}, kAttributes);
        const Step fused = step(spec, bf16(), penalty.rows, penalty),
                   apart = step(spec, bf16(), Rows::each_op, penalty),
                   exact = step(spec, plain(), Rows::each_op, penalty);
        EXPECT_NEAR(fused.penalty, exact.penalty, 0.02 * std::abs(exact.penalty)) << name(tap);
        expect_near(name(tap), fused.gradients, apart.gradients, exact.gradients);
    }
}

TEST(FusedRowsOfAResNet, WhatIsNoRowCannotBeTapped) {
    const ModelSpec spec{.arch = "resnet18", .classes = 2, .width = 0.0625};
    const Step s = step(spec, bf16(), Rows::fewest);
    EXPECT_THROW(tap_row(s.rows, "conv1", Tap::activation), Error);
    EXPECT_THROW(tap_row(s.rows, "layer1.0.conv1", Tap::norm), Error);
    EXPECT_THROW(tap_row(s.rows, "layer2.0.downsample.0", Tap::norm), Error);
    const Var end = tap_row(s.rows, "layer2.0.downsample.0", Tap::activation);
    EXPECT_EQ(s.rows[end.row].layer, "layer2.0.bn2");
    EXPECT_EQ(end.row, tap_row(s.rows, "layer2.0.conv2", Tap::activation).row);
}

// What is below a pair or a pool may be frozen, wholly or but for the norms.
TEST(FusedRowsOfAResNet, FrozenLayersLeaveTheOthersGradientsAlone) {
    const ModelSpec spec{.arch = "resnet18", .classes = 2, .width = 0.125};
    for (const auto& frozen : std::vector<std::vector<std::string>>{
             {"conv1"},
             {"conv1", "bn1", "layer1", "layer2.0.conv", "layer2.0.bn1", "layer2.0.downsample.0"},
             {"conv1", "bn1", "layer1", "layer2.0.conv", "layer2.0.bn", "layer2.0.downsample.0"},
             {"conv1", "bn1", "layer1", "layer2.0"}}) {
        const Step fused = step(spec, bf16(), Rows::fewest, {}, frozen),
                   apart = step(spec, bf16(), Rows::each_op, {}, frozen),
                   exact = step(spec, plain(), Rows::each_op, {}, frozen);
        expect_near(frozen.back().c_str(), fused.gradients, apart.gradients, exact.gradients);
    }
}

TEST(FusedRowsOfAResNet, RecalibrationMovesTheStatisticsOfBothNorms) {
    const ModelSpec spec{.arch = "resnet18", .classes = 2, .width = 0.0625};
    const ImageData data = testing::synth_images("synth:n=12,size=32,classes=2,groups=2", kSize);
    std::vector<Values> both;
    for (const Kernels* k : {&bf16(), &plain()}) {
        const auto net = random_network(spec, *k, 7);
        recalibrate_norms(*net, {.image_size = kSize}, data, {0, 1, 2, 3, 4, 5},
                          {.batch_size = 6, .workers = 1});
        both.emplace_back();
        for (const Param& p : net->params.all())
            if (!p.trained()) both.back()[p.name] = net->params.get(p);
    }
    for (const auto& [name, exact] : both[1])
        EXPECT_LT(distance({{name, both[0].at(name)}}, {{name, exact}}), 0.1) << name;
}

// Every criterion ranks in bf16 what it ranks in float32.
TEST(CriteriaInBf16, ScoresAreThoseOfFloat32) {
    const ModelSpec spec{.arch = "resnet18", .classes = 2, .stem = "small", .width = 0.0625};
    const ImageData data = testing::synth_images("synth:n=24,size=16,classes=2,groups=2", 16);
    const Trace walk = trace(models::build, spec, 16);
    const auto scores = [&](const Kernels& k, const ScoreOptions& o) {
        const auto net = random_network(spec, k, 5);
        Session session(*net);
        return score_channels(session, {.image_size = 16}, data, walk.nodes, o).sets;
    };
    struct {
        const char* criterion;
        bool centred;
        double near;
    } const cases[] = {{"snnl", false, 0.02},      {"snnl", true, 0.05},
                       {"skewness", false, 0.02},  {"taylor", false, 0.1},
                       {"fairprune", false, 0.15}, {"fairgrape", false, 0.3}};
    for (const auto& c : cases) {
        const ScoreOptions o{.criterion = c.criterion,
                             .attributes = {{"group", 1}},
                             .snnl = {.centred = c.centred},
                             .layers = "layer1.*",
                             .predict = {.batch_size = 8, .workers = 1}};
        EXPECT_LT(distance(scores(bf16(), o), scores(plain(), o)), c.near)
            << c.criterion << (c.centred ? ", centred" : "");
    }
}

}  // namespace
}  // namespace fp
