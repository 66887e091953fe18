// Removal: cutting a channel is silencing it, for every model and every set, random channels.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/channel_sets.h"
#include "engine/core/loss.h"
#include "engine/core/trace.h"
#include "engine/prune/cut.h"
#include "kernels/error.h"
#include "tests/network_values.h"

namespace fp {
namespace {

using testing::image_map;
using testing::logits;
using testing::random_network;
using testing::trace_of;

std::vector<ChannelSet> sets_of(const ModelSpec& spec, int size = 32) {
    return channel_sets(trace_of(spec, size).nodes);
}

// `count` different channels of `of`, keyed.
std::vector<int> some(int of, int count, uint64_t key) {
    std::vector<int> all(of);
    std::iota(all.begin(), all.end(), 0);
    for (int i = 0; i < count; ++i) std::swap(all[i], all[i + int(uniform_below(uint64_t(of - i), key, uint64_t(i)))]);
    all.resize(count);
    return all;
}

// A random removal of up to half of every prunable set.
Removal random_removal(const std::vector<ChannelSet>& sets, uint64_t key) {
    Removal out;
    for (const ChannelSet& set : sets) {
        ++key;
        const int count = int(uniform_below(uint64_t(set.channels), key, 999));  // 0 .. channels - 1
        if (set.prunable && count > 0) out[set.name()] = some(set.channels, count, key);
    }
    return out;
}

double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
    EXPECT_EQ(a.size(), b.size());
    double difference = 0, norm = 0;
    for (size_t i = 0; i < a.size(); ++i) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

struct Run {
    std::vector<double> logits;
    std::map<std::string, std::vector<double>> gradients;
};

// One training-mode pass and its gradients.
Run train_pass(const Network& net, const Tensor& images, const std::vector<int32_t>& labels) {
    Session session(net);
    const CrossEntropy entropy(net.kernels(), net.spec.classes);
    Tape tape = session.begin({.mode = Mode::train, .dropout = false});
    const Var y = net.forward(tape, tape.input(images));
    Run run{.logits = testing::download(net.kernels(), tape.value(y)), .gradients = {}};
    tape.backward({{cross_entropy(tape, y, labels, entropy).row}});
    for (const Param& p : net.params.all())
        if (p.trained()) run.gradients[p.name] = net.params.get_grad(p);
    return run;
}

void expect_cut_is_silence(const ModelSpec& spec, Backend backend, double tolerance, uint64_t seed, int batch) {
    const Kernels* k = find_kernels(backend);
    if (!k) GTEST_SKIP() << "no backend " << name(backend) << " here";
    const auto sets = sets_of(spec);
    const Removal removal = random_removal(sets, seed);
    ASSERT_FALSE(removal.empty());

    const auto dense = random_network(spec, *k, seed);
    const auto small = cut(*dense, sets, removal);
    silence(*dense, sets, removal);
    const Map map = image_map(*k, batch, 32);
    const Buffer images = testing::upload_map(*k, map, [&](uint64_t i) { return uniform_double(seed + 7, i) - 0.5; });
    const Tensor x{images.as<act>(), map};
    for (const Mode mode : {Mode::eval, Mode::infer})
        EXPECT_LT(relative_difference(logits(*small, x, {.mode = mode}), logits(*dense, x, {.mode = mode})), tolerance);

    std::vector<int32_t> labels(batch);
    for (int i = 0; i < batch; ++i) labels[i] = i % spec.classes;
    const Run a = train_pass(*small, x, labels), b = train_pass(*dense, x, labels);
    // Batch statistics of few pixels (1x1 maps at the end) magnify what float rounds, so gradients are
    // compared in double alone.
    const bool exact = k->activation == Type::f64;
    EXPECT_LT(relative_difference(a.logits, b.logits), exact ? tolerance : 1e-2) << "in training mode";
    EXPECT_LT(small->params.parameters(), dense->params.parameters());
    if (!exact) return;
    const auto kept = kept_of(*dense, sets, removal);
    for (const auto& [key, gradient] : a.gradients) {
        if (key.ends_with("bias") && spec.arch.ends_with("_bn") && key.starts_with("features"))
            continue;  // in front of a norm: exactly zero, so only rounding is left to compare
        const auto want = gather(*dense->params.find(key), kept.at(key), b.gradients.at(key));
        EXPECT_LT(relative_difference(gradient, want), tolerance * 100) << key;
    }
}

class Removals : public ::testing::TestWithParam<std::tuple<const char*, uint64_t>> {};

TEST_P(Removals, CutIsSilenceInDouble) {
    const auto [arch, seed] = GetParam();
    expect_cut_is_silence({.arch = arch, .classes = 5, .width = 0.125}, Backend::reference_f64, 1e-12, seed, 2);
}
TEST_P(Removals, CutIsSilenceOnTheHost) {
    const auto [arch, seed] = GetParam();
    expect_cut_is_silence({.arch = arch, .classes = 5, .width = 0.25}, Backend::cpu, 1e-5, seed, 4);
}

INSTANTIATE_TEST_SUITE_P(Models,
                         Removals,
                         ::testing::Combine(::testing::Values("resnet18",
                                                              "resnet34",
                                                              "resnet50",
                                                              "resnet101",
                                                              "wide_resnet50_2",
                                                              "vgg11",
                                                              "vgg11_bn",
                                                              "vgg13",
                                                              "vgg16_bn",
                                                              "vgg19"),
                                            ::testing::Values(1, 2)));

TEST(Removal, EverySetAlone) {
    for (const char* arch : {"resnet18", "resnet50", "vgg11_bn"}) {
        const ModelSpec spec{.arch = arch, .classes = 3, .width = 0.125};
        const Kernels& k = kernels(Backend::reference_f64);
        const auto sets = sets_of(spec);
        const Map map = image_map(k, 1, 32);
        const Buffer images = testing::upload_map(k, map, [&](uint64_t i) { return uniform_double(5, i) - 0.5; });
        uint64_t key = 0;
        for (const ChannelSet& set : sets) {
            if (!set.prunable) continue;
            const Removal removal{{set.name(), some(set.channels, 1 + set.channels / 3, ++key)}};
            const auto dense = random_network(spec, k, 3);
            const auto small = cut(*dense, sets, removal);
            silence(*dense, sets, removal);
            EXPECT_LT(relative_difference(logits(*small, {images.as<act>(), map}, {}),
                                          logits(*dense, {images.as<act>(), map}, {})),
                      1e-12)
                << arch << " " << set.name();
        }
    }
}

TEST(Removal, TwiceIsTheUnion) {
    const ModelSpec spec{.arch = "resnet18", .classes = 4, .width = 0.125};
    const Kernels& k = kernels(Backend::reference_f64);
    const auto sets = sets_of(spec);
    const auto dense = random_network(spec, k, 1);
    // First 1 and 3 go; of what is left, 0 and 2 are the original 0 and 4.
    const auto once = cut(*dense, sets, {{"layer2.1.conv2", {1, 3}}});
    const auto twice = cut(*once, sets_of(once->spec), {{"layer2.1.conv2", {0, 2}}});
    const auto both = cut(*dense, sets, {{"layer2.1.conv2", {0, 1, 3, 4}}});
    EXPECT_EQ(twice->spec, both->spec);
    for (const Param& p : both->params.all())
        EXPECT_EQ(twice->params.get(*twice->params.find(p.name)), both->params.get(p));

    KeptChannels kept = compose({}, sets, {{"layer2.1.conv2", {1, 3}}});
    kept = compose(kept, sets_of(once->spec), {{"layer2.1.conv2", {0, 2}}});
    EXPECT_EQ(kept.at("layer2.1.conv2"), (std::vector<int>{2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}));
}

// What the released code calls pruning: the filter is 0, the norm's shift still comes through.
TEST(Removal, AMaskedFilterStillEmitsItsBias) {
    const ModelSpec spec{.arch = "resnet18", .classes = 4, .width = 0.125};
    const auto sets = sets_of(spec);
    const Removal removal{{"layer1.0.conv1", {2}}};
    const auto net = random_network(spec, kernels(Backend::reference_f64), 1);
    const auto before = net->params.get(*net->params.find("layer1.0.bn1.bias"));
    mask_filters(*net, sets, removal);
    const Param& p = *net->params.find("layer1.0.conv1.weight");
    const auto w = net->params.get(p);
    const int64_t row = p.count() / p.shape.k;
    for (int k = 0; k < p.shape.k; ++k)
        for (int64_t i = k * row; i < (k + 1) * row; ++i) EXPECT_EQ(w[i] == 0, k == 2);
    EXPECT_EQ(net->params.get(*net->params.find("layer1.0.bn1.bias")), before);

    const Map map = image_map(net->kernels(), 1, 32);
    const Buffer images =
        testing::upload_map(net->kernels(), map, [&](uint64_t i) { return uniform_double(5, i) - 0.5; });
    const auto small = cut(*net, sets, removal);
    EXPECT_GT(
        relative_difference(logits(*small, {images.as<act>(), map}, {}), logits(*net, {images.as<act>(), map}, {})),
        1e-6);
}

TEST(Removal, NothingToRemoveAndNothingLeftAreErrors) {
    const ModelSpec spec{.arch = "resnet18", .classes = 4, .width = 0.125};
    const auto sets = sets_of(spec);
    const auto dense = random_network(spec, kernels(Backend::reference_f64), 1);
    EXPECT_THROW(cut(*dense, sets, {}), Error);
    EXPECT_THROW(cut(*dense, sets, {{"layer1.1.conv2", {}}}), Error);
    EXPECT_THROW(cut(*dense, sets, {{"layer1.1.conv2", {0, 1, 2, 3, 4, 5, 6, 7}}}), Error);
    EXPECT_THROW(cut(*dense, sets, {{"layer1.1.conv2", {8}}}), Error);
    EXPECT_THROW(cut(*dense, sets, {{"layer1.1.conv2", {2, 2}}}), Error);
    EXPECT_THROW(cut(*dense, sets, {{"fc", {0}}}), Error);
}

TEST(ChannelSets, ResNetStagesAreTied) {
    const auto sets = sets_of({.arch = "resnet18"});
    EXPECT_EQ(std::count_if(sets.begin(), sets.end(), [](const ChannelSet& s) { return s.prunable; }), 12);
    const ChannelSet& stage1 = set_of(sets, "conv1");
    EXPECT_EQ(stage1.layers, (std::vector<std::string>{"conv1", "layer1.0.conv2", "layer1.1.conv2"}));
    const ChannelSet& stage4 = set_of(sets, "layer4.1.conv2");
    EXPECT_EQ(stage4.columns, (std::vector<std::string>{"layer4.1.conv1.weight", "fc.weight"}));
    EXPECT_EQ(stage4.channels, 512);
    EXPECT_THROW(set_of(sets, "layer5"), Error);
    const auto deep = sets_of({.arch = "resnet50"});
    EXPECT_EQ(std::count_if(deep.begin(), deep.end(), [](const ChannelSet& s) { return s.prunable; }), 37);
}

TEST(ChannelSets, ParametersFreedAreAsComputed) {
    // docs/method.md, 5: one stage-4 channel of ResNet-18 with 8 classes frees 14,094 parameters, one layer4.1.conv1
    // channel 9,218; one last-convolution channel of VGG-11 4,609 + 200,704.
    auto freed = [](const ModelSpec& spec, const std::string& set) {
        const auto whole = trace_of(spec, 64);
        const auto left = trace_of(narrowed(spec, channel_sets(whole.nodes), {{set, {0}}}), 64);
        return whole.network->params.parameters() - left.network->params.parameters();
    };
    EXPECT_EQ(freed({.arch = "resnet18", .classes = 8}, "layer4.1.conv2"), 14094);
    EXPECT_EQ(freed({.arch = "resnet18", .classes = 8}, "layer4.1.conv1"), 9218);
    EXPECT_EQ(freed({.arch = "vgg11", .classes = 114}, "features.18"), 4609 + 200704);
}

TEST(Models, ParameterCountsAreTorchvisions) {
    auto count = [](const char* arch, int classes) {
        return trace_of({.arch = arch, .classes = classes}, 64).network->params.parameters();
    };
    EXPECT_EQ(count("resnet18", 1000), 11689512);
    EXPECT_EQ(count("resnet34", 1000), 21797672);
    EXPECT_EQ(count("resnet50", 1000), 25557032);
    EXPECT_EQ(count("resnet101", 1000), 44549160);
    EXPECT_EQ(count("resnet152", 1000), 60192808);
    EXPECT_EQ(count("wide_resnet50_2", 1000), 68883240);
    EXPECT_EQ(count("wide_resnet101_2", 1000), 126886696);
    EXPECT_EQ(count("vgg11", 1000), 132863336);
    EXPECT_EQ(count("vgg11_bn", 1000), 132868840);
    EXPECT_EQ(count("vgg16", 1000), 138357544);
    EXPECT_EQ(count("vgg16_bn", 1000), 138365992);
    EXPECT_EQ(count("vgg19_bn", 1000), 143678248);
    EXPECT_EQ(count("resnet18", 8), 11180616);
    EXPECT_EQ(count("vgg11", 114), 129233394);
    EXPECT_EQ(count("vgg11_bn", 114), 129238898);
}

}  // namespace
}  // namespace fp
