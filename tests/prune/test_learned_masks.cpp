// Gates: their network against cutting, their objective's slope against finite differences, and what they learn.
#include "engine/prune/criteria/learned_masks.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "engine/prune/cut.h"
#include "engine/prune/settings.h"
#include "engine/run/checkpoint.h"
#include "tests/expect_error.h"
#include "tests/prune/criteria_bench.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;
using testing::kResNet;
using testing::kVgg;
using Bench = testing::CriteriaBench;

const ModelSpec kVggBn{.arch = "vgg11_bn", .classes = 3, .width = 0.03125};

SetScores gates_of(const std::vector<ChannelSet>& sets, const std::function<double(uint64_t)>& gate) {
    SetScores out;
    uint64_t i = 0;
    for (const ChannelSet& set : sets)
        for (int c = 0; c < set.channels; ++c) out[set.name()].push_back(gate(i++));
    return out;
}

// With gates of 1 the network is the frozen one to the last bit; with gates of 0 it is the one that cut() returns.
TEST(LearnedMasks, GatesOfZeroAndOneAreTheCutNetwork) {
    for (const ModelSpec& spec : {kResNet, kVggBn, kVgg}) {
        const Bench b(spec);
        const Kernels& k = b.net->kernels();
        GatedNetwork gated(*b.net, b.sets);
        gated.set(gates_of(b.sets, [](uint64_t) { return 1.0; }));
        EXPECT_EQ(weights_hash(gated.network()), weights_hash(*b.net)) << spec.arch;

        // The first channel of every other set is gone.
        Removal removal;
        SetScores gates = gates_of(b.sets, [](uint64_t) { return 1.0; });
        for (size_t i = 0; i < b.sets.size(); i += 2) {
            removal[b.sets[i].name()] = {0};
            gates.at(b.sets[i].name())[0] = 0;
        }
        gated.set(gates);
        const auto small = cut(*b.net, b.sets, removal);
        const Map map = testing::image_map(k, 2, testing::kCriteriaSize);
        const Buffer images = testing::upload_map(k, map, [](uint64_t i) { return uniform_double(3, i); });
        const auto run = [&](const Network& net) {
            return testing::logits(net, {images.as<act>(), map}, {.mode = Mode::eval});
        };
        const std::vector<double> got = run(gated.network()), want = run(*small);
        for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-9 * std::abs(want[i])) << spec.arch;
        EXPECT_NE(want, run(*b.net));
    }
}

// A batch of these samples, and the objective on it.
struct OneBatch {
    OneBatch(const Bench& b, const Scoring& scoring, const std::vector<int64_t>& samples)
        : loader(b.images.source,
                 b.images.labels(),
                 {.batch_size = int(samples.size()), .image_size = testing::kCriteriaSize, .workers = 1}),
          input(b.net->kernels(), b.preprocessing),
          objective(scoring) {
        loader.start(samples, 0);
        loader.next(batch);
    }
    GateStep at(const SetScores& gates) { return objective.at(gates, batch, input); }

    Loader loader;
    DeviceInput input;
    GateObjective objective;
    Batch batch;
};

TEST(LearnedMasks, TheSlopeIsTheObjectivesFiniteDifference) {
    for (const ModelSpec& spec : {kResNet, kVggBn, kVgg}) {
        const bool is_vgg = spec.arch != "resnet18";
        Bench b(spec, "synth:n=24,size=32,classes=3,groups=2");
        Session session(*b.net);
        const ScoreOptions options{.attributes = {{"group", 1}},
                                   .snnl = {.temperature = 0.5, .given_class = true},
                                   .layers = is_vgg ? "features.*" : "layer2.*",
                                   .masks = {.sparsity = 0.7, .cost = GateCost::macs, .snnl_weight = 5}};
        Scoring scoring = b.scoring(session, options);
        scoring.layers = match_layers(b.rows.nodes, channel_sets(b.rows.nodes), options.layers);
        OneBatch batch(b, scoring, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
        const std::vector<ChannelSet>& sets = batch.objective.sets();
        EXPECT_EQ(sets.size(), is_vgg ? 8u : 3u);
        SetScores gates = gates_of(sets, [](uint64_t i) { return 0.3 + 0.6 * uniform_double(8, i); });
        const GateStep here = batch.at(gates);
        EXPECT_GT(here.penalty, 0);
        for (const ChannelSet& set : sets)
            for (const int c : {0, set.channels - 1}) {
                constexpr double kStep = 1e-5;
                const auto moved = [&](double by) {
                    SetScores now = gates;
                    now.at(set.name())[c] += by;
                    return batch.objective.value(batch.at(now));
                };
                const double want = (moved(kStep) - moved(-kStep)) / (2 * kStep);
                EXPECT_NEAR(here.slope.at(set.name())[c], want, 1e-6 * (1e-3 + std::abs(want)))
                    << spec.arch << " " << set.name() << " " << c;
            }
    }
}

ScoreOptions masks(const std::string& layers, const MaskOptions& options, uint64_t seed = 1) {
    return {.criterion = "masks",
            .attributes = {{"group", 1}},
            .layers = layers,
            .masks = options,
            .seed = seed,
            .predict = {.batch_size = 12, .workers = 1}};
}

TEST(LearnedMasks, TrainingLeavesTheNetworkAndDependsOnTheSeedAlone) {
    const Bench b(kResNet, "synth:n=40,size=32,classes=3,groups=2");
    const std::string before = weights_hash(*b.net);
    const MaskOptions options{.epochs = 2, .snnl_weight = 1, .sampler = Sampling::class_group_balanced};
    const ChannelScores one = b.score(masks("layer1.*", options));
    EXPECT_EQ(weights_hash(*b.net), before);
    EXPECT_EQ(b.score(masks("layer1.*", options)).sets, one.sets);
    EXPECT_NE(b.score(masks("layer1.*", options, 2)).sets, one.sets);
    for (const auto& [set, gates] : one.sets)
        for (const double m : gates) EXPECT_TRUE(m > 0 && m < 1) << m;
    EXPECT_THAT(one.note, HasSubstr("% of the channels kept"));
}

// The frozen network has one channel that is on for light skin alone; all others look at edges.
TEST(LearnedMasks, AGateFallsWhereAChannelTellsTheGroup) {
    const ModelSpec spec{.arch = "vgg11", .classes = 2, .width = 0.0625};
    const Bench b(spec, "synth:n=120,size=32,classes=2,groups=2,difficulty=0");
    const Param &filter = *b.net->params.find("features.0.weight"), &bias = *b.net->params.find("features.0.bias");
    std::vector<double> w = b.net->params.get(filter), offset(size_t(bias.count()), 0.0);
    constexpr int kPlanted = 1;
    for (int c = 0; c < filter.shape.k; ++c) {
        double sum = 0;
        for (int i = 0; i < 27; ++i) sum += w[size_t(c * 27 + i)] / 27;
        for (int i = 0; i < 27; ++i) w[size_t(c * 27 + i)] = c == kPlanted ? 10.0 / 27 : w[size_t(c * 27 + i)] - sum;
    }
    offset[kPlanted] = -10 * 0.57;  // between the tones of the groups
    b.net->params.set(filter, w.data());
    b.net->params.set(bias, offset.data());

    const auto gates = [&](double snnl_weight) {
        const MaskOptions options{.epochs = 3, .rate = 0.3, .sparsity = 0, .snnl_weight = snnl_weight};
        return b.score(masks("features.0", options)).sets.at("features.0");
    };
    const std::vector<double> with = gates(300), without = gates(0);
    EXPECT_EQ(std::ranges::min_element(with) - with.begin(), kPlanted) << ::testing::PrintToString(with);
    EXPECT_NE(std::ranges::min_element(without) - without.begin(), kPlanted) << ::testing::PrintToString(without);
    EXPECT_LT(with[kPlanted], without[kPlanted] - 0.3);
}

TEST(LearnedMasks, SparsityClosesGatesAndCostsDecideWhich) {
    const Bench b(kVgg, "synth:n=40,size=32,classes=3,groups=2");
    const auto gates = [&](double sparsity, const GateCost& cost) {
        const MaskOptions options{.epochs = 4, .rate = 0.3, .sparsity = sparsity, .cost = cost};
        return b.score(masks("features.*", options)).sets;
    };
    const auto mean = [](const SetScores& all_gates) {
        double sum = 0, all = 0;
        for (const auto& [set, v] : all_gates)
            for (const double m : v) {
                sum += m;
                ++all;
            }
        return sum / all;
    };
    EXPECT_LT(mean(gates(100, GateCost::channels)), mean(gates(0, GateCost::channels)) - 0.05);
    EXPECT_NE(gates(100, GateCost::channels), gates(100, GateCost::macs));
}

TEST(LearnedMasks, GroupsNeedAnAttribute) {
    const Bench b(kResNet);
    for (const MaskOptions& options : {MaskOptions{.snnl_weight = 1}, {.sampler = Sampling::group_balanced}}) {
        ScoreOptions o = masks("last", options);
        o.attributes = {};
        expect_error(
            Exit::usage, [&] { b.score(o); }, "masks", "--attribute");
    }
}

TEST(LearnedMasks, SettingsAreWordsOfTheCriterion) {
    const PruneSettings p = with_criterion(
        {}, "masks+snnl=30+given-class+sparsity=0.5+cost=macs+epochs=2+rate=0.2+sampler=class-group+augment=none");
    const MaskOptions& m = p.score.masks;
    EXPECT_TRUE(p.score.snnl.given_class);
    EXPECT_EQ(m.snnl_weight, 30);
    EXPECT_EQ(m.sparsity, 0.5);
    EXPECT_EQ(m.cost, GateCost::macs);
    EXPECT_EQ(m.epochs, 2);
    EXPECT_EQ(m.rate, 0.2);
    EXPECT_EQ(m.sampler, Sampling::class_group_balanced);
    EXPECT_EQ(m.augment, "none");
    const auto refused = [](const std::string& text, const char* words) {
        expect_error(
            Exit::usage, [&] { with_criterion({}, text); }, words);
    };
    refused("snnl+epochs=2", "`epochs=2` is not one of exact");
    refused("masks+epochs=0", "is not in 1 .. 10000");
    refused("masks+epochs=1.5", "whole number of epochs");
    refused("masks+cost=size", "cost `size` is not one of channels, macs");
    refused("masks+augment=sideways", "sideways");
}

TEST(LearnedMasks, AFileOfOtherSettingsIsRefused) {
    const Bench b(kResNet, "synth:n=24,size=32,classes=3,groups=2");
    ScoreOptions o = masks("layer1.*", {.epochs = 1});
    const ChannelScores scores = b.score(o);
    const ScoresFile file = read_scores(scores_text(scores, o, "hash"), "scores.json", "hash");
    EXPECT_EQ(file.note, scores.note);
    o.masks.sparsity = 2;
    expect_error(
        Exit::model, [&] { scores_from(file, b.rows.nodes, o); }, "masks was {\"epochs\":1", "\"sparsity\":2.0");
}

}  // namespace
}  // namespace fp
