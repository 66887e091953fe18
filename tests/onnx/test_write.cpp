// The ONNX file against onnx's own checker, and its graph, run by another program, against our logits.
#include "engine/onnx/write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/shape_inference/implementation.h>

#include <set>

#include "engine/core/trace.h"
#include "tests/expect_error.h"
#include "tests/network_values.h"
#include "tests/onnx/interpret.h"

namespace fp {
namespace {

using testing::random_network;
using testing::run_graph;
using testing::Values;

ModelCard card_for(const ModelSpec& spec, int size) {
    ModelCard card{.preprocessing = {.image_size = size}};
    for (int i = 0; i < spec.classes; ++i) card.classes.push_back(text("class ", i));
    return card;
}

onnx::ModelProto export_of(const Network& net, int size, bool fold) {
    onnx::ModelProto model;
    EXPECT_TRUE(
        model.ParseFromString(onnx_bytes(net, card_for(net.spec, size), {.image_size = size, .fold_norms = fold})));
    return model;
}

// What a reader of the file relies on.
void expect_well_formed(onnx::ModelProto model, int classes) {
    EXPECT_NO_THROW(onnx::checker::check_model(model));
    EXPECT_EQ(model.ir_version(), 7);
    EXPECT_EQ(model.opset_import(0).version(), 13);
    std::set<std::string> names;
    for (const auto& node : model.graph().node()) {
        EXPECT_TRUE(names.insert(node.output(0)).second) << node.output(0);
        EXPECT_NE(node.op_type(), "Identity");
    }
    for (const auto& tensor : model.graph().initializer())
        EXPECT_TRUE(names.insert(tensor.name()).second) << tensor.name();
    EXPECT_EQ(model.graph().input_size(), 1) << "initializers are no inputs";
    model.mutable_graph()->mutable_output(0)->mutable_type()->mutable_tensor_type()->clear_shape();
    onnx::shape_inference::InferShapes(model);
    const auto& shape = model.graph().output(0).type().tensor_type().shape();
    ASSERT_EQ(shape.dim_size(), 2);
    EXPECT_EQ(shape.dim(0).dim_param(), "N");
    EXPECT_EQ(shape.dim(1).dim_value(), classes);
}

void expect_same_logits(const ModelSpec& spec, int size, int batch) {
    const Kernels& k = kernels(Backend::cpu);
    const auto net = random_network(spec, k, 3);
    const Map map = testing::image_map(k, batch, size);
    const auto pixel = [](uint64_t i) { return uniform_double(7, i); };
    const Buffer images = testing::upload_map(k, map, pixel);
    const std::vector<double> ours = testing::logits(*net, {images.as<act>(), map}, {});
    Values input{.shape = {batch, 3, size, size}, .data = {}};
    for (int i = 0; i < batch * 3 * size * size; ++i) input.data.push_back(float(pixel(uint64_t(i))));
    for (const bool fold : {false, true}) {
        const onnx::ModelProto model = export_of(*net, size, fold);
        expect_well_formed(model, spec.classes);
        const Values theirs = run_graph(model.graph(), input);
        ASSERT_EQ(theirs.shape, (std::vector<int64_t>{batch, spec.classes}));
        double largest = 0;
        for (const double v : ours) largest = std::max(largest, std::abs(v));
        for (size_t i = 0; i < ours.size(); ++i)
            EXPECT_NEAR(theirs.data[i], ours[i], 1e-4 * largest) << "folded " << fold;
    }
}

std::map<std::string, int> count_operators(const onnx::ModelProto& model) {
    std::map<std::string, int> out;
    for (const auto& node : model.graph().node()) ++out[node.op_type()];
    return out;
}

TEST(Onnx, graph_gives_our_logits_for_every_family) {
    expect_same_logits({.arch = "resnet18", .classes = 5, .width = 0.125}, 32, 3);
    expect_same_logits({.arch = "resnet34", .classes = 5, .width = 0.0625}, 32, 2);
    expect_same_logits({.arch = "resnet50", .classes = 4, .stem = "small", .width = 0.0625}, 16, 2);
    expect_same_logits({.arch = "vgg11", .classes = 3, .width = 0.03125}, 224, 1);
    expect_same_logits({.arch = "vgg13_bn", .classes = 3, .width = 0.03125}, 224, 1);
}

TEST(Onnx, graph_of_a_pruned_network_gives_its_logits) {
    expect_same_logits({.arch = "resnet18",
                        .classes = 5,
                        .width = 0.25,
                        .widths = {{"layer2.0.conv1", 5},
                                   {"layer4.1.conv1", 1},
                                   {"conv1", 7},
                                   {"layer1.0.conv2", 7},
                                   {"layer1.1.conv2", 7}}},
                       32, 2);
    expect_same_logits({.arch = "vgg11_bn",
                        .classes = 3,
                        .width = 0.03125,
                        .widths = {{"features.25", 3}, {"features.4", 5}, {"classifier.0", 11}}},
                       224, 1);
}

TEST(Onnx, mean_over_windows_where_the_map_divides) {
    expect_same_logits({.arch = "vgg11", .classes = 3, .width = 0.015625}, 448, 1);
    const auto net = random_network({.arch = "vgg11", .classes = 3, .width = 0.03125}, kernels(Backend::cpu), 1);
    for (const int size : {64, 72, 95})  // 72 and 95 end at 2x2 too: the side was odd before it was halved
        testing::expect_error(
            Exit::data, [&] { export_of(*net, size, false); }, "2x2", "multiple of 224");
}

TEST(Onnx, resnet18_has_the_operators_of_torchvisions) {
    const auto net = random_network({.arch = "resnet18", .width = 0.0625}, kernels(Backend::cpu), 1);
    using Counts = std::map<std::string, int>;
    EXPECT_EQ(count_operators(export_of(*net, 64, false)), (Counts{{"Conv", 20},
                                                                   {"BatchNormalization", 20},
                                                                   {"Relu", 17},
                                                                   {"Add", 8},
                                                                   {"MaxPool", 1},
                                                                   {"GlobalAveragePool", 1},
                                                                   {"Flatten", 1},
                                                                   {"Gemm", 1}}));
    Counts folded = count_operators(export_of(*net, 64, true));
    EXPECT_EQ(folded.count("BatchNormalization"), 0u);
    EXPECT_EQ(folded["Conv"], 20);
}

TEST(Onnx, initializers_are_the_checkpoints_tensors) {
    const ModelSpec spec{.arch = "resnet18", .classes = 5, .width = 0.125};
    const auto net = random_network(spec, kernels(Backend::cpu), 1);
    const ModelCard card = card_for(spec, 32);
    const TensorFile file = to_file(*net, card);
    const onnx::ModelProto model = export_of(*net, 32, false);
    size_t found = 0;
    for (const TensorEntry& entry : file.tensors) {
        if (entry.name.ends_with("num_batches_tracked")) continue;
        const auto& all = model.graph().initializer();
        const auto tensor = std::find_if(all.begin(), all.end(), [&](const auto& t) { return t.name() == entry.name; });
        ASSERT_NE(tensor, all.end()) << entry.name;
        EXPECT_EQ(std::vector<int64_t>(tensor->dims().begin(), tensor->dims().end()), entry.shape);
        EXPECT_EQ(tensor->raw_data(), std::string(reinterpret_cast<const char*>(entry.data.data()), entry.data.size()));
        ++found;
    }
    EXPECT_EQ(int(found), model.graph().initializer_size());
    ASSERT_EQ(model.metadata_props_size(), 1);
    EXPECT_EQ(model.metadata_props(0).key(), "fairprune");
    EXPECT_EQ(model.metadata_props(0).value(), file.metadata.at("fairprune"));
}

}  // namespace
}  // namespace fp
