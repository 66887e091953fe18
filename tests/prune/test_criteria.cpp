// Each criterion against a computation of its own: numbers by hand, and the loss moved by finite differences.
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/core/loss.h"
#include "engine/core/trace.h"
#include "engine/data/device_input.h"
#include "engine/prune/criteria/gradient_criteria.h"
#include "engine/prune/criteria/skewness.h"
#include "engine/prune/score.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"
#include "tests/synth_images.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::random_network;
using testing::trace_of;

constexpr int kSize = 32;

struct Bench {
    explicit Bench(const ModelSpec& spec, const std::string& data = "synth:n=20,size=32,classes=3")
        : net(random_network(spec, kernels(Backend::reference_f64), 5)),
          images(testing::synth_images(data, kSize)),
          rows(trace_of(spec, kSize)),
          sets(channel_sets(rows.nodes)) {
        std::erase_if(sets, [](const ChannelSet& set) { return !set.prunable; });
    }

    Scoring from(Session& session, const std::vector<int64_t>& samples, int batch_size) {
        options = {.seed = 3, .predict = {.batch_size = batch_size, .workers = 1}};
        return {.session = session,
                .preprocessing = preprocessing,
                .data = images,
                .options = options,
                .sets = sets,
                .layers = {},
                .samples = samples};
    }
    // What a criterion of the weights gives before it is divided by anything.
    SetScores values(const char* criterion, uint64_t seed = 1) const {
        Session session(*net);
        const ScoreOptions o{.criterion = criterion, .seed = seed};
        ChannelScores out;
        o.criterion->score({.session = session,
                            .preprocessing = preprocessing,
                            .data = images,
                            .options = o,
                            .sets = sets,
                            .layers = {}},
                           out);
        return out.sets;
    }
    // The mean loss over the samples in evaluation mode.
    double loss(const std::vector<int64_t>& samples) const {
        Session session(*net);
        Loader loader(images.source, images.labels(),
                      {.batch_size = int(samples.size()), .image_size = kSize, .workers = 1});
        loader.start(samples, 0);
        Batch batch;
        loader.next(batch);
        DeviceInput input(net->kernels(), preprocessing);
        Tape tape = session.begin({.mode = Mode::eval});
        const Var y = net->forward(tape, input(tape, batch));
        const CrossEntropy entropy(net->kernels(), net->spec.classes);
        return mean_loss(tape, cross_entropy(tape, y, batch.labels, entropy));
    }
    // d loss / d t where `move(t)` moves the parameters.
    double slope(const std::vector<int64_t>& samples, const std::function<void(double)>& move) const {
        constexpr double kStep = 1e-5;
        move(kStep);
        const double above = loss(samples);
        move(-kStep);
        const double below = loss(samples);
        move(0);
        return (above - below) / (2 * kStep);
    }
    // The channel's rows of these parameters times 1 + t.
    double slope_of_scaling(const std::vector<int64_t>& samples,
                            const std::vector<std::string>& params,
                            int channel) const {
        std::map<std::string, std::vector<double>> before;
        for (const auto& name : params) before[name] = net->params.get(*net->params.find(name));
        return slope(samples, [&](double t) {
            for (const auto& [name, old] : before) {
                const Param& p = *net->params.find(name);
                std::vector<double> now = old;
                const int64_t row = p.count() / p.shape.k;
                for (int64_t i = channel * row; i < (channel + 1) * row; ++i) now[i] *= 1 + t;
                net->params.set(p, now.data());
            }
        });
    }
    // sum over the channel's theta of (theta d loss / d theta)^2
    double sum_of_squares(const std::vector<int64_t>& samples, const ChannelSet& set, int channel) const {
        double sum = 0;
        for (const std::string& name : set.rows) {
            const Param& p = *net->params.find(name);
            if (!p.trained()) continue;
            const std::vector<double> old = net->params.get(p);
            const int64_t row = p.count() / p.shape.k;
            for (int64_t i = channel * row; i < (channel + 1) * row; ++i) {
                const double change = slope(samples, [&](double t) {
                    std::vector<double> now = old;
                    now[i] *= 1 + t;
                    net->params.set(p, now.data());
                });
                sum += change * change;
            }
        }
        return sum;
    }

    std::unique_ptr<Network> net;
    Preprocessing preprocessing{.image_size = kSize};
    ImageData images;
    Trace rows;
    std::vector<ChannelSet> sets;
    ScoreOptions options;
};

const ModelSpec kResNet{.arch = "resnet18", .classes = 3, .stem = "small", .width = 0.03125};
const ModelSpec kVgg{.arch = "vgg11", .classes = 3, .width = 0.03125};

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
    Bench b(kVgg);
    Session session(*b.net);
    expect_error(
        Exit::data,
        [&] {
            score_channels(session, b.preprocessing, b.images, b.rows.nodes,
                           {.criterion = "bn", .layers = "features.0"});
        },
        "features.0 has no batch norm");
}

// Taylor: the squared slope of the loss when the channel's gate is scaled, per batch.
TEST(Criteria, TaylorIsTheSquaredSlopeOfTheGate) {
    const std::vector<int64_t> samples{0, 2, 5, 7};
    {
        Bench b(kResNet);
        Session session(*b.net);
        const auto values = taylor_values(b.from(session, samples, 2));
        for (int c = 0; c < 2; ++c) {
            double want = 0;
            for (const std::vector<int64_t>& batch : {std::vector<int64_t>{0, 2}, {5, 7}})
                for (const char* norm : {"layer2.0.bn2", "layer2.0.downsample.1", "layer2.1.bn2"}) {
                    const double s =
                        b.slope_of_scaling(batch, {std::string(norm) + ".weight", std::string(norm) + ".bias"}, c);
                    want += s * s / 2;
                }
            EXPECT_NEAR(values.at("layer2.1.conv2")[c], want, 1e-6 * want) << c;
        }
    }
    Bench b(kVgg);
    Session session(*b.net);
    const auto values = taylor_values(b.from(session, samples, 4));
    const double s = b.slope_of_scaling(samples, {"features.3.weight", "features.3.bias"}, 1);
    EXPECT_NEAR(values.at("features.3")[1], s * s, 1e-6 * s * s);
}

Grouping halves(const Bench& b) {
    Grouping g{.name = "side", .groups = {"left", "right"}, .of = {}};
    for (size_t i = 0; i < b.images.set.samples.size(); ++i) g.of.push_back(int(i % 2));
    return g;
}

TEST(Criteria, FairPruneIsTheDifferenceOfTheGroupsCurvature) {
    Bench b(kResNet);
    Session session(*b.net);
    const std::vector<int64_t> samples{0, 1, 2, 3, 4};
    std::string chosen;
    // One sample per batch: no random sign matters.
    const Scoring from = b.from(session, samples, 1);
    const auto values = fairprune_values(from, halves(b), {.beta = 0.5, .protected_group = "right"}, chosen);
    EXPECT_EQ(chosen, "right");
    const ChannelSet& set = set_of(b.sets, "layer1.0.conv1");
    double want = 0;
    for (const int64_t s : {1, 3}) want += 0.5 * b.sum_of_squares({s}, set, 1) / 2;
    for (const int64_t s : {0, 2, 4}) want -= 0.5 * 0.5 * b.sum_of_squares({s}, set, 1) / 3;
    EXPECT_NEAR(values.at(set.name())[1], want, 1e-5 * std::abs(want));

    fairprune_values(from, halves(b), {.beta = 0.5}, chosen);
    EXPECT_EQ(chosen, b.loss({0, 2, 4}) > b.loss({1, 3}) ? "left" : "right");
    expect_error(
        Exit::usage, [&] { fairprune_values(from, halves(b), {.beta = 0.5, .protected_group = "middle"}, chosen); },
        "middle", "side");
}

TEST(Criteria, SignedBatchesEstimateTheSamplesSquares) {
    Bench b(kResNet);
    Session session(*b.net);
    const std::vector<int64_t> samples{0, 1};
    const Param& p = *b.net->params.find("layer4.1.bn2.weight");
    const auto squares = [&](int batch_size, SampleSigns signs, uint64_t seed) {
        double sum = 0;
        const PredictOptions predict{.batch_size = batch_size, .workers = 1};
        for_each_gradient({session, b.preprocessing, b.images, samples, predict}, signs, seed, [&](int64_t n) {
            for (const double g : b.net->params.get_grad(p)) sum += double(n) * double(n) * g * g / 2;
        });
        return sum;
    };
    const double exact = squares(1, SampleSigns::alike, 0);
    // Two samples have equal signs or different ones, equally often: the mean of both estimates is exact.
    const double first = squares(2, SampleSigns::signed_samples, 0);
    double second = first;
    for (uint64_t seed = 1; std::abs(second - first) < 1e-9 * exact && seed < 50; ++seed)
        second = squares(2, SampleSigns::signed_samples, seed);
    EXPECT_NE(first, second);
    EXPECT_NEAR((first + second) / 2, exact, 1e-9 * exact);
}

TEST(Criteria, FairGrapeKeepsTheUnitOfTheGroupFurthestBelowItsShare) {
    // Shares: 0.6 and 0.4. First the best of group 0 (channel 0: 5, 0); now all kept is group 0's, so the best
    // of group 1 (channel 2: 0, 3); kept 5 : 3, group 0 has 0.625 of 0.6, so group 1's next (channel 3: 0, 1);
    // kept 5 : 4, then channel 1 alone is left.
    EXPECT_EQ(fairgrape_order({{5, 1, 0, 0}, {0, 0, 3, 1}}), (std::vector<int>{0, 2, 3, 1}));
    EXPECT_EQ(fairgrape_order({{0, 0}, {0, 0}}), (std::vector<int>{0, 1}));
}

TEST(Criteria, FairGrapeImportanceComesFromTheGroupsOwnBatches) {
    Bench b(kResNet);
    Session session(*b.net);
    const std::vector<int64_t> samples{0, 1, 2, 3};
    const auto values = fairgrape_values(b.from(session, samples, 2), halves(b));
    const ChannelSet& set = set_of(b.sets, "layer1.0.conv1");
    std::vector<std::vector<double>> importance(2);
    for (int c = 0; c < set.channels; ++c) {
        importance[0].push_back(b.sum_of_squares({0, 2}, set, c));
        importance[1].push_back(b.sum_of_squares({1, 3}, set, c));
    }
    const auto order = fairgrape_order(importance);
    for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(values.at(set.name())[order[i]], double(order.size() - i));
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
            Session session(*b.net);
            const ScoreOptions o{.criterion = criterion,
                                 .attributes = {{"group", 1}},
                                 .layers = is_vgg ? "features.*" : "layer1.*",
                                 .predict = {.batch_size = 8, .workers = 1}};
            const ChannelScores scores = score_channels(session, b.preprocessing, b.images, b.rows.nodes, o);
            EXPECT_EQ(scores.sets.size(), is_vgg ? 8u : 3u) << spec.arch << " " << criterion;
            for (const auto& [set, values] : scores.sets) {
                EXPECT_EQ(int(values.size()), set_of(b.sets, set).channels);
                for (const double v : values) EXPECT_TRUE(std::isfinite(v)) << criterion;
            }
            // What the file holds gives the same order without a forward pass.
            const auto document = scores_json(scores, o, "hash");
            const ChannelScores again =
                scores_from(read_scores(document.dump(), "scores.json", "hash"), b.rows.nodes, o);
            EXPECT_EQ(again.sets, scores.sets) << criterion;
        }
    }
}

// An image that cannot be read is left out with its labels, wherever it stands in a batch.
TEST(Criteria, SkippedImagesCountAsIfTheyWereNotThere) {
    const std::string data = "synth:n=30,size=32,classes=2,groups=2,bias=0.5";
    for (const char* criterion : {"snnl", "skewness"})
        for (const size_t place : {0, 5, 9}) {
            Bench bad(kResNet, data), without(kResNet, data);
            const int64_t sample = members(bad.images.set, Split::train)[place];
            without.images.set.samples[size_t(sample)].split = Split::test;
            bad.images.source = [sample, read = bad.images.source](int64_t s, const View& view, int side,
                                                                   uint8_t* rgb) {
                FP_REQUIRE(s != sample, Exit::data, "x.png: is no image");
                read(s, view, side, rgb);
            };
            const auto scores = [&](const Bench& b, bool skip_bad) {
                Session session(*b.net);
                return score_channels(session, b.preprocessing, b.images, b.rows.nodes,
                                      {.criterion = criterion,
                                       .attributes = {{"group", 1}},
                                       .layers = "layer1.0.conv1",
                                       .samples = 0,
                                       .protect = 0.5,
                                       .predict = {.batch_size = 4, .workers = 1, .skip_bad = skip_bad}})
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
    Session session(*b.net);
    const auto file_of = [&](const ScoreOptions& o) {
        const ChannelScores scores = score_channels(session, b.preprocessing, b.images, b.rows.nodes, o);
        return read_scores(scores_json(scores, o, "hash").dump(), "scores.json", "hash");
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
    refused([](ScoreOptions& o) { o.layers = "layer2.*"; }, "layers was layer1.*, is layer2.*, and layer2.0.downsample.0");
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
}

TEST(Criteria, WhatCannotBeScoredIsRefusedInWords) {
    Bench b(kResNet);
    Session session(*b.net);
    const auto score = [&](const std::string& criterion, std::map<std::string, double> attributes) {
        score_channels(
            session, b.preprocessing, b.images, b.rows.nodes,
            {.criterion = criterion, .attributes = std::move(attributes), .predict = {.batch_size = 8, .workers = 1}});
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
    testing::expect_error(
        Exit::usage, [&] { match("layer2.0.conv"); }, "names none of");
    // A pattern that backtracking would try in more ways than there is time for.
    std::string hostile;
    for (int i = 0; i < 60; ++i) hostile += "*?";
    testing::expect_error(
        Exit::usage, [&] { match(hostile + "x"); }, "names none of");
}

}  // namespace
}  // namespace fp
