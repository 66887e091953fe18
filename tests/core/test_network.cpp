// What the engine knows of a family of networks: one Architecture, which may be any.
#include <gtest/gtest.h>

#include "engine/core/channel_sets.h"
#include "engine/core/elements.h"
#include "engine/core/loss.h"
#include "engine/measure/layer_costs.h"
#include "engine/prune/cut.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"

namespace fp {
namespace {

using testing::expect_error;
using testing::random_network;

// Two 3x3 convolutions, the mean over the image, a linear layer.
Forward build_plain(const ModelSpec& spec, ParamStore& p) {
    const Kernels& k = p.kernels();
    const int first = spec.channels("first", 8), second = spec.channels("second", 8);
    const ConvLayer a{.name = "first",
                      .weight = p.add_filter("first.weight", first, 3, 3, 3, k.image_block(3)),
                      .stride = 1,
                      .pad = 1};
    const ConvLayer b{.name = "second",
                      .weight = p.add_filter("second.weight", second, first, 3, 3, k.block(first)),
                      .stride = 2,
                      .pad = 1};
    const Param* w = p.add_linear("top.weight", spec.classes, second, 1, 1, k.block(second));
    return [=](Tape& t, Var x) {
        const Var y = conv_relu(t, conv_relu(t, x, a), b);
        return linear(t, avgpool(t, y, 1, 1), *w, nullptr, "top");
    };
}
void initialize_plain(ParamStore& params, uint64_t seed) {
    for (const Param& p : params.all()) {
        std::vector<double> values(size_t(p.count()));
        for (size_t i = 0; i < values.size(); ++i) values[i] = uniform_double(seed, i) - 0.5;
        params.set(p, values.data());
    }
}
constexpr std::string_view kNames[]{"plain"}, kStems[]{"imagenet"};
constexpr Architecture kPlain{.names = kNames,
                              .stems = kStems,
                              .head = "top",
                              .aliases = {},
                              .build = build_plain,
                              .initialize = initialize_plain};
const ModelSpec kSpec{.arch = "plain", .classes = 3};

TEST(Network, of_a_family_that_the_engine_has_never_seen_is_traced_and_cut) {
    Network net(kPlain, kSpec, kernels(Backend::reference_f64));
    net.initialize(5);
    const auto sets = channel_sets(trace(net, 6).nodes);
    ASSERT_EQ(sets.size(), 3u);
    EXPECT_EQ(match_layers(trace(net, 6).nodes, sets, "last"), std::vector<std::string>{"second"});
    const Removal removal{{"first", {0, 5}}, {"second", {1}}};
    const auto small = cut(net, sets, removal);
    EXPECT_EQ(&small->architecture, &kPlain);
    EXPECT_EQ(small->spec.channels("first", 8), 6);
    const double macs = 6 * 6 * 6 * 3 * 9 + 3 * 3 * 7 * 6 * 9 + 3 * 7;
    EXPECT_EQ(totals(layer_costs(*small, 6)).macs, macs);
    const Map map = testing::image_map(net.kernels(), 2, 6);
    const Buffer images =
        testing::upload_map(net.kernels(), map, [](uint64_t i) { return uniform_double(1, i) - 0.5; });
    const auto cut_logits = testing::logits(*small, {images.as<act>(), map}, {});
    silence(net, sets, removal);
    const auto silenced = testing::logits(net, {images.as<act>(), map}, {});
    for (size_t i = 0; i < silenced.size(); ++i) EXPECT_NEAR(cut_logits[i], silenced[i], 1e-12);
}

// What the pass had recorded so far is no plan of who reads each row last.
TEST(Network, an_inference_pass_that_fails_leaves_no_plan_for_the_next) {
    Network net(kPlain, kSpec, kernels(Backend::reference_f64));
    net.initialize(5);
    const Map map = testing::image_map(net.kernels(), 2, 6);
    const Buffer images =
        testing::upload_map(net.kernels(), map, [](uint64_t i) { return uniform_double(1, i) - 0.5; });
    const auto logits = [&](Session& session) {
        Tape tape = session.begin({.mode = Mode::infer});
        const Var y = net.forward(tape, tape.input({images.as<act>(), map}));
        return read_activations(net.kernels(), tape.value(y).data, 0, tape.value(y).map.stored());
    };
    Session undisturbed(net), session(net);
    const std::vector<double> want = logits(undisturbed);
    const auto fails = [&] {
        Tape tape = session.begin({.mode = Mode::infer});
        relu(tape, tape.input({images.as<act>(), map}));
        throw Error("the next op fails");
    };
    EXPECT_THROW(fails(), Error);
    for (int pass = 0; pass < 3; ++pass) EXPECT_EQ(logits(session), want);
}

TEST(Network, copies_have_the_same_values_and_their_own_memory) {
    const auto net =
        random_network({.arch = "vgg11_bn", .classes = 2, .width = 0.0625}, kernels(Backend::reference), 3);
    net->batches_seen = 7;
    const auto copy = copy_of(*net);
    EXPECT_EQ(copy->batches_seen, 7);
    EXPECT_EQ(copy->spec, net->spec);
    const Param &ours = net->params.all().front(), &theirs = copy->params.all().front();
    const std::vector<double> before = net->params.get(ours);
    EXPECT_EQ(copy->params.get(theirs), before);
    copy->params.set(theirs, std::vector<double>(before.size(), 0.0).data());
    EXPECT_EQ(net->params.get(ours), before);
}

TEST(Network, names_and_stems_that_are_not_there_are_refused_with_those_that_are) {
    const Kernels& k = kernels(Backend::reference);
    for (const Architecture* a : models::all())
        for (const std::string_view name : a->names)
            expect_error(
                Exit::usage, [&] { models::build({.arch = "resnet19"}, k); }, "resnet19", std::string(name));
    expect_error(
        Exit::usage, [&] { models::build({.arch = "resnet18", .stem = "large"}, k); }, "large", "imagenet or small");
    expect_error(
        Exit::usage, [&] { models::build({.arch = "vgg11", .stem = "small"}, k); }, "vgg11 has no stem");
}

// bf16 activations take half the bytes of float32's.
TEST(LayerCosts, count_bytes_of_the_activations_type) {
    const Totals f32 = totals(layer_costs(kPlain, kSpec, 6)), bf16 = totals(layer_costs(kPlain, kSpec, 6, Type::bf16));
    EXPECT_EQ(f32.activation_bytes, 2 * bf16.activation_bytes);
    EXPECT_EQ(f32.bytes, 2 * bf16.bytes);
    EXPECT_EQ(f32.macs, bf16.macs);
}

// d loss / d logits = (softmax - [j == label]) / n, of the samples that have a label.
TEST(CrossEntropyOp, its_gradient_flows_on_and_can_be_changed_on_its_way) {
    Network net(kPlain, kSpec, kernels(Backend::reference_f64));
    const Kernels& k = net.kernels();
    const Map map{.n = 3, .c = 3};
    const double logits[] = {0.5, -1, 2, 0, 0, 0, 1, 2, 3};
    const Buffer x(k.memory, sizeof(logits));
    k.memory.copy_in(x.data(), logits, sizeof(logits), {});
    const std::vector<int32_t> labels{2, 0, -1};
    const CrossEntropy entropy(k, 3);
    Session session(net);
    Tape tape = session.begin({.mode = Mode::train});
    const Var row = relu(tape, tape.input({x.as<act>(), map}, true));
    tape.keep(row);
    const LossRow loss = cross_entropy(tape, row, labels, entropy);
    const double e0 = 1 + std::exp(0.5) + std::exp(2.0);
    EXPECT_NEAR(mean_loss(tape, loss), (std::log(e0) - 2 + std::log(3.0)) / 2, 1e-12);
    int calls = 0;
    tape.on_gradient(row, [&](const Tensor& gradient) {
        ++calls;
        EXPECT_NEAR(as<double>(gradient.data)[0], std::exp(0.5) / e0 / 2, 1e-12);
        EXPECT_NEAR(as<double>(gradient.data)[3], (1.0 / 3 - 1) / 2, 1e-12);
        EXPECT_EQ(as<double>(gradient.data)[8], 0);
        as<double>(gradient.data)[0] = 17;
    });
    tape.backward({{loss.row}});
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(as<double>(tape.grad(row).data)[0], 17);
}

}  // namespace
}  // namespace fp
