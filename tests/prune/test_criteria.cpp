// Criteria by hand, what all of them have in common, and scores that are used again.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/prune/criteria/skewness.h"
#include "tests/expect_error.h"
#include "tests/prune/criteria_bench.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::kResNet;
using testing::kVgg;
using testing::trace_of;
using Bench = testing::CriteriaBench;

TEST(Criteria, FpgmSumsDistancesToOtherFilters) {
    Bench b(kVgg);
    const ChannelSet& set = set_of(b.sets, "features.0");
    const Param& p = *b.net->params.find("features.0.weight");
    ASSERT_EQ(set.channels, 2);
    // Two filters that differ by 3 in one place and 4 in another are 5 apart.
    std::vector<double> w(p.count(), 0.25);
    w[0] += 3;
    w[5] += 4;
    b.net->params.set(p, w.data());
    const SetScores values = b.values("fpgm");
    EXPECT_EQ(values.at("features.0"), (std::vector<double>{5, 5}));
    EXPECT_EQ(over_mean(values).at("features.0"), (std::vector<double>{1, 1}));
}

TEST(Criteria, NormsOfFiltersAreSummedOverProducers) {
    Bench b(kResNet);
    const ChannelSet& set = set_of(b.sets, "conv1");
    for (const char* criterion : {"l1", "l2"}) {
        std::vector<double> want(set.channels, 0.0);
        for (const char* name : {"conv1.weight", "layer1.0.conv2.weight", "layer1.1.conv2.weight"}) {
            const Param& p = *b.net->params.find(name);
            const auto w = b.net->params.get(p);
            const int64_t row = p.count() / set.channels;
            for (int c = 0; c < set.channels; ++c) {
                double sum = 0;
                for (int64_t i = 0; i < row; ++i)
                    sum += criterion[1] == '1' ? std::abs(w[c * row + i]) : w[c * row + i] * w[c * row + i];
                want[c] += criterion[1] == '1' ? sum : std::sqrt(sum);
            }
        }
        const auto got = b.values(criterion).at(set.name());
        for (int c = 0; c < set.channels; ++c) EXPECT_NEAR(got[c], want[c], 1e-12) << criterion;
    }
}

TEST(Criteria, RandomIsKeyedBySeedAndSet) {
    Bench b(kResNet);
    const SetScores one = b.values("random");
    EXPECT_EQ(one, b.values("random"));
    EXPECT_NE(one, b.values("random", 2));
    EXPECT_NE(one.at("layer2.0.conv1"), one.at("layer2.1.conv1"));
}

TEST(Criteria, ANetWithoutNormsHasNoBnScores) {
    const Bench b(kVgg);
    const ScoreOptions options{.criterion = "bn", .layers = "features.0"};
    expect_error(
        Exit::data, [&] { b.score(options); }, "features.0 has no batch norm");
}

TEST(Criteria, SkewnessByHand) {
    const Kernels& k = kernels(Backend::reference_f64);
    // Sample 0, channel 0: 0 0 0 4: mean 1, m2 = 3, m3 = (27 - 3) / 4 = 6, |m3| / m2^1.5 = 2 / sqrt 3.
    // Channel 1 is constant: 0. Sample 1: the mirror image, whose skewness has the other sign, and 1 -1 1 -1.
    const std::vector<double> x{0, 0, 0, 4, 7, 7, 7, 7, 0, 0, 0, -4, 1, -1, 1, -1};
    Features f{.layer = "a", .map = {.n = 2, .c = 2, .h = 2, .w = 2}, .data = {}};
    f.data = testing::upload_map(k, f.map, [&](uint64_t i) { return x[i]; });
    const auto values = skewness(k, f);
    EXPECT_NEAR(values[0], 2 / std::sqrt(3.0), 1e-12);
    EXPECT_NEAR(values[1], 0, 1e-12);
    Features single{.layer = "fc", .map = {.n = 2, .c = 2}, .data = {}};
    single.data = testing::upload_map(k, single.map, [](uint64_t i) { return double(i); });
    expect_error(
        Exit::data, [&] { skewness(k, single); }, "fc", "1 pixels");
}

// Every criterion answers for both kinds of net, with three groups, for the sets that were asked for.
TEST(Criteria, EveryOneScoresTheSetsAskedFor) {
    for (const ModelSpec& spec : {kResNet, ModelSpec{.arch = "vgg11_bn", .classes = 3, .width = 0.03125}, kVgg}) {
        Bench b(spec, "synth:n=24,size=32,classes=3,groups=3");
        const bool is_vgg = spec.arch != "resnet18";
        for (const Criterion* one : Criterion::all()) {
            const std::string criterion(one->name);
            if (!one->score || (spec.arch == "vgg11" && criterion == "bn")) continue;
            const ScoreOptions o{.criterion = criterion,
                                 .attributes = {{"group", 1}},
                                 .layers = is_vgg ? "features.*" : "layer1.*",
                                 .predict = {.batch_size = 8, .workers = 1}};
            const ChannelScores scores = b.score(o);
            EXPECT_EQ(scores.sets.size(), is_vgg ? 8u : 3u) << spec.arch << " " << criterion;
            for (const auto& [set, values] : scores.sets) {
                EXPECT_EQ(int(values.size()), set_of(b.sets, set).channels);
                for (const double v : values) EXPECT_TRUE(std::isfinite(v)) << criterion;
            }
            // What the file holds gives the same order without a forward pass.
            const std::string file = scores_text(scores, o, "hash");
            const ChannelScores again = scores_from(read_scores(file, "scores.json", "hash"), b.rows.nodes, o);
            EXPECT_EQ(again.sets, scores.sets) << criterion;
        }
    }
}

// An image that cannot be read is left out with its labels, wherever it stands in a batch.
TEST(Criteria, SkippedImagesCountAsIfTheyWereNotThere) {
    const std::string data = "synth:n=30,size=32,classes=2,groups=2,bias=0.5";
    for (const std::string criterion : {"snnl", "skewness", "fairprune"})
        for (const size_t place : {0, 5, 9}) {
            Bench bad(kResNet, data), without(kResNet, data);
            const int64_t sample = members(bad.images.set, Split::train)[place];
            without.images.set.samples[size_t(sample)].split = Split::test;
            bad.images.source = [sample, read = bad.images.source](int64_t s, const View& view, int side,
                                                                   uint8_t* rgb) {
                FP_REQUIRE(s != sample, Exit::data, "x.png: is no image");
                read(s, view, side, rgb);
            };
            // The random signs of fairprune do not matter in batches of one.
            const int batch_size = criterion == "fairprune" ? 1 : 4;
            const auto scores = [&](const Bench& b, bool skip_bad) {
                return b
                    .score({.criterion = criterion,
                            .attributes = {{"group", 1}},
                            .layers = "layer1.0.conv1",
                            .samples = 0,
                            .protect = 0.5,
                            .predict = {.batch_size = batch_size, .workers = 1, .skip_bad = skip_bad}})
                    .sets.at("layer1.0.conv1");
            };
            const std::vector<double> got = scores(bad, true), want = scores(without, false);
            ASSERT_EQ(got.size(), want.size());
            for (size_t c = 0; c < got.size(); ++c) EXPECT_NEAR(got[c], want[c], 1e-12) << criterion << " " << place;
            expect_error(
                Exit::data, [&] { scores(bad, false); }, "x.png");
        }
}

TEST(Criteria, ScoresOfOtherSettingsAreRefused) {
    Bench b(kResNet, "synth:n=24,size=32,classes=3,groups=3");
    const auto file_of = [&](const ScoreOptions& o) {
        return read_scores(scores_text(b.score(o), o, "hash"), "scores.json", "hash");
    };
    const ScoreOptions made{
        .attributes = {{"group", 1}}, .layers = "layer1.*", .predict = {.batch_size = 8, .workers = 1}};
    const ScoresFile file = file_of(made);
    const auto refused = [&](const std::function<void(ScoreOptions&)>& change, const char* words) {
        ScoreOptions o = made;
        change(o);
        expect_error(
            Exit::model, [&] { scores_from(file, b.rows.nodes, o); }, "--scores: ", words);
    };
    refused([](ScoreOptions& o) { o.snnl.temperature = 0.5; }, "temperature was 1.0, is 0.5");
    refused([](ScoreOptions& o) { o.snnl.given_class = true; }, "given_class was false, is true");
    refused([](ScoreOptions& o) { o.tap = Tap::activation; }, "tap was \"conv\", is \"act\"");
    refused([](ScoreOptions& o) { o.samples = 8; }, "samples was 4096, is 8");
    refused([](ScoreOptions& o) { o.protect = 1; }, "protect was 0.0, is 1.0");
    refused([](ScoreOptions& o) { o.attributes = {{"image", 1}}; }, "attributes was [\"group\"], is [\"image\"]");
    refused([](ScoreOptions& o) { o.layers = "layer2.*"; },
            "layers was layer1.*, is layer2.*, and layer2.0.downsample.0");
    // What these scores do not depend on may differ, and fewer layers may be asked for.
    ScoreOptions fewer = made;
    fewer.layers = "layer1.0.conv1";
    fewer.fairprune.beta = 2;
    fewer.seed = 2;
    fewer.attributes["group"] = 3;
    const SetScores some = scores_from(file, b.rows.nodes, fewer).sets;
    ASSERT_EQ(some.size(), 1u);
    EXPECT_EQ(some.at("layer1.0.conv1"), file.sets.at("layer1.0.conv1"));
    ScoreOptions weights = made;
    weights.criterion = "l1";
    const ScoresFile of_weights = file_of(weights);
    weights.seed = 9;
    weights.samples = 3;
    weights.snnl.temperature = 2;
    EXPECT_EQ(scores_from(of_weights, b.rows.nodes, weights).sets, of_weights.sets);
    // Gradients are of batches, so the size of a batch decides the scores of the criteria that read them alone.
    for (const char* criterion : {"l1", "taylor", "fairprune", "fairgrape"}) {
        ScoreOptions o = made;
        o.criterion = criterion;
        const ScoresFile scores = file_of(o);
        o.predict.batch_size = 4;
        if (std::string(criterion) == "l1")
            EXPECT_EQ(scores_from(scores, b.rows.nodes, o).sets, scores.sets);
        else
            expect_error(
                Exit::model, [&] { scores_from(scores, b.rows.nodes, o); }, "batch_size was 8, is 4");
    }
}

TEST(Criteria, WhatCannotBeScoredIsRefusedInWords) {
    const Bench b(kResNet);
    const auto score = [&](const std::string& criterion, const std::map<std::string, double>& attributes) {
        b.score({.criterion = criterion, .attributes = attributes, .predict = {.batch_size = 8, .workers = 1}});
    };
    expect_error(
        Exit::usage, [&] { score("l3", {}); }, "l3", "fairgrape");
    for (const char* criterion : {"snnl", "fairprune", "fairgrape"})
        expect_error(
            Exit::usage, [&] { score(criterion, {}); }, criterion, "--attribute");
    expect_error(
        Exit::usage,
        [&] {
            score("fairprune", {{"group", 1}, {"image", 1}});
        },
        "takes one", "cross them");
}

TEST(Layers, patterns_match_as_a_shells_do) {
    const Trace walk = trace_of({.arch = "resnet18", .width = 0.0625}, 32);
    const auto sets = channel_sets(walk.nodes);
    const auto match = [&](const std::string& pattern) { return match_layers(walk.nodes, sets, pattern); };
    using Names = std::vector<std::string>;
    EXPECT_EQ(match("layer2.0.conv?"), (Names{"layer2.0.conv1", "layer2.0.conv2"}));
    EXPECT_EQ(match("*3*1*1"), (Names{"layer3.1.conv1"}));
    EXPECT_EQ(match("conv1*"), (Names{"conv1"}));
    EXPECT_EQ(match("*"), match("**?*"));
    expect_error(
        Exit::usage, [&] { match("layer2.0.conv"); }, "names none of");
    // A pattern that backtracking would try in more ways than there is time for.
    std::string hostile;
    for (int i = 0; i < 60; ++i) hostile += "*?";
    expect_error(
        Exit::usage, [&] { match(hostile + "x"); }, "names none of");
}

}  // namespace
}  // namespace fp
