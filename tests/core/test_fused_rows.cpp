// Norms that run with what is around them, on the emulated GPU in bf16, against the same network op
// after op, and against float32's plain loops: whoever reads the tape finds the same layers, parameters, channel
// groups, gradients, statistics, scores and penalties.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>

#include "engine/measure/layer_costs.h"
#include "engine/prune/score.h"
#include "engine/train/recalibrate.h"
#include "engine/train/snnl_penalty.h"
#include "tests/network_values.h"
#include "tests/synth_images.h"

namespace fp {
namespace {

using testing::random_network;
using testing::trace_of;

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
void expect_near(const std::string& what, const Values& fused, const Values& apart, const Values& exact) {
    const double by_op = distance(apart, exact);
    EXPECT_LT(distance(fused, exact), 1.3 * by_op + 1e-3) << what;
    EXPECT_LT(by_op, 0.25) << what;
}

struct Step {
    std::shared_ptr<Network> net = {};
    Values gradients = {}, statistics = {};
    double penalty = 0;
    std::vector<Node> rows = {};
};

const std::vector<PenaltyAttribute> kAttributes{{"sex", {0, 0, 1, 1, 0, 1}, 3}, {"age", {1, 0, 0, 1, 0, 1}, 1}};

// A training step without its update. The gradient comes from the activation of `end`, where it is random: few
// layers are below, through which bf16's rounding has not yet become chaos. Names of frozen parameters begin with
// one of `frozen`.
Step step(const ModelSpec& spec,
          const Kernels& k,
          Rows rows,
          const std::string& end,
          const Penalty& penalty = {},
          const std::vector<std::string>& frozen = {}) {
    Step out{.net = random_network(spec, k, 7)};
    for (Param& p : out.net->params.all())
        for (const std::string& prefix : frozen)
            if (p.name.starts_with(prefix)) p.trainable = false;
    const Map map = testing::image_map(k, kBatch, kSize);
    const Buffer images = testing::upload_map(k, map, [](uint64_t i) { return uniform_double(11, i) - 0.5; });
    const Batch batch{.n = kBatch, .samples = {0, 1, 2, 3, 4, 5}, .labels = {0, 1, 0, 1, 0, 1}};
    Session session(*out.net);
    Tape tape = session.begin({.mode = Mode::train, .dropout = false, .rows = rows});
    out.net->forward(tape, tape.input({images.as<act>(), map}));
    out.rows = tape.nodes();
    const Var root = tap_row(tape.nodes(), end, Tap::activation);
    const Map at = tape.value(root).map;
    const Buffer gradient = testing::upload_map(k, at, [](uint64_t i) { return 0.1 * (uniform_double(12, i) - 0.5); });
    std::vector<Tape::Seed> seeds{{root, {gradient.as<act>(), at}}};
    if (penalty) out.penalty = penalty.add(tape, batch, seeds);
    tape.backward(seeds);
    for (const Param& p : out.net->params.all()) {
        if (!p.trained())
            out.statistics[p.name] = out.net->params.get(p);
        else if (p.trainable)
            out.gradients[p.name] = out.net->params.get_grad(p);
    }
    return out;
}

template <class Shape>
int count(const std::vector<Node>& rows) {
    return int(std::count_if(rows.begin(), rows.end(), [](const Node& n) { return is<Shape>(n.op); }));
}

struct Case {
    const char* arch;
    int pools, pairs;
    const char *block, *end;  // the layers up to the end of the first pair, and the last of them
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.arch; }

class FusedRows : public ::testing::TestWithParam<Case> {
protected:
    const Case c = GetParam();
    const ModelSpec spec{.arch = c.arch, .classes = 2, .width = 0.0625};
};

INSTANTIATE_TEST_SUITE_P(Networks,
                         FusedRows,
                         ::testing::Values(Case{"resnet18", 1, 3, "layer2.0.*", "layer2.0.conv2"},
                                           Case{"resnet50", 1, 4, "layer1.0.*", "layer1.0.conv3"},
                                           Case{"vgg11_bn", 0, 0, "features.4", "features.8"}),
                         [](const auto& p) { return std::string(p.param.arch); });

TEST_P(FusedRows, AStepIsAsNearToFloat32AsOpAfterOp) {
    const Step fused = step(spec, bf16(), Rows::fewest, c.end), apart = step(spec, bf16(), Rows::each_op, c.end),
               exact = step(spec, plain(), Rows::each_op, c.end);
    EXPECT_EQ(count<NormPoolOp>(fused.rows), c.pools);
    EXPECT_EQ(count<NormPairOp>(fused.rows), c.pairs);
    EXPECT_EQ(count<PairedNormOp>(fused.rows), c.pairs);
    expect_near("gradients", fused.gradients, apart.gradients, exact.gradients);
    expect_near("running statistics", fused.statistics, apart.statistics, exact.statistics);
}

TEST_P(FusedRows, LayersParametersAndChannelGroupsAreThoseOfOpAfterOp) {
    const Trace walk = trace_of(spec, kSize, kBatch);
    const auto layers = [](const std::vector<LayerCost>& rows) {
        std::vector<std::pair<std::string, int64_t>> out;  // with their parameters
        for (const LayerCost& row : rows)
            if (row.layer != row.op) out.emplace_back(row.layer, row.parameters);
        return out;
    };
    for (const Rows rows : {Rows::fewest, Rows::activations, Rows::each_op}) {
        const Step s = step(spec, bf16(), rows, c.end);
        EXPECT_EQ(channel_sets(s.rows), channel_sets(walk.nodes));
        EXPECT_EQ(layers(layer_costs(s.rows, Type::f32)), layers(layer_costs(walk.nodes, Type::f32)));
        const Totals got = totals(layer_costs(s.rows, Type::f32)), all = totals(layer_costs(walk.nodes, Type::f32));
        EXPECT_EQ(got.macs, all.macs);
        EXPECT_EQ(got.parameters, all.parameters);
    }
}

TEST_P(FusedRows, ThePenaltyFindsWhatItsTapNames) {
    for (const Tap tap : {Tap::convolution, Tap::norm, Tap::activation})
        for (const char* layers : {c.pools ? "conv1" : "features.0", c.block}) {
            const std::string what = text(name(tap), " of ", layers);
            const Penalty penalty =
                snnl_penalty({.weight = 100, .layers = layers, .tap = tap, .temperature = 0.5}, kAttributes);
            const Step fused = step(spec, bf16(), penalty.rows, c.end, penalty),
                       apart = step(spec, bf16(), Rows::each_op, c.end, penalty),
                       exact = step(spec, plain(), Rows::each_op, c.end, penalty);
            EXPECT_NEAR(fused.penalty, exact.penalty, 0.02 * std::abs(exact.penalty)) << what;
            expect_near(what, fused.gradients, apart.gradients, exact.gradients);
        }
}

const ModelSpec kResNet{.arch = "resnet18", .classes = 2, .width = 0.0625};

TEST(FusedRowsOfAResNet, WhatIsNoRowCannotBeTapped) {
    const Step s = step(kResNet, bf16(), Rows::fewest, "layer1.0.conv1");
    EXPECT_THROW(tap_row(s.rows, "conv1", Tap::activation), Error);
    EXPECT_THROW(tap_row(s.rows, "layer1.0.conv1", Tap::norm), Error);
    EXPECT_THROW(tap_row(s.rows, "layer2.0.downsample.0", Tap::norm), Error);
    const Var end = tap_row(s.rows, "layer2.0.downsample.0", Tap::activation);
    EXPECT_EQ(s.rows[end.row].layer, "layer2.0.bn2");
    EXPECT_EQ(end.row, tap_row(s.rows, "layer2.0.conv2", Tap::activation).row);
}

// What is below a pair or a pool may be frozen, wholly or but for its norms.
TEST(FusedRowsOfAResNet, FrozenLayersLeaveTheOthersGradientsAlone) {
    for (const auto& frozen : std::vector<std::vector<std::string>>{
             {"conv1"},
             {"conv1", "bn1", "layer1", "layer2.0.conv", "layer2.0.bn1", "layer2.0.downsample.0"},
             {"conv1", "bn1", "layer1", "layer2.0.conv", "layer2.0.bn", "layer2.0.downsample.0"}}) {
        const Step fused = step(kResNet, bf16(), Rows::fewest, "layer2.0.conv2", {}, frozen),
                   apart = step(kResNet, bf16(), Rows::each_op, "layer2.0.conv2", {}, frozen),
                   exact = step(kResNet, plain(), Rows::each_op, "layer2.0.conv2", {}, frozen);
        expect_near(frozen.back(), fused.gradients, apart.gradients, exact.gradients);
    }
}

TEST(FusedRowsOfAResNet, RecalibrationMovesTheStatisticsOfBothNorms) {
    const ImageData data = testing::synth_images("synth:n=12,size=32,classes=2,groups=2", kSize);
    std::vector<Values> both;
    for (const Kernels* k : {&bf16(), &plain()}) {
        const auto net = random_network(kResNet, *k, 7);
        recalibrate_norms(*net, {.image_size = kSize}, data, {0, 1, 2, 3, 4, 5}, {.batch_size = 6, .workers = 1});
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
    const Trace walk = trace_of(spec, 16);
    const auto scores = [&](const Kernels& k, const ScoreOptions& o) {
        const auto net = random_network(spec, k, 5);
        Session session(*net);
        return score_channels(session, {.image_size = 16}, data, walk.nodes, o).sets;
    };
    struct {
        const char* criterion;
        bool centred;
        double near;
    } const cases[] = {{"snnl", false, 0.02},  {"snnl", true, 0.05},       {"skewness", false, 0.02},
                       {"taylor", false, 0.1}, {"fairprune", false, 0.15}, {"fairgrape", false, 0.3}};
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
