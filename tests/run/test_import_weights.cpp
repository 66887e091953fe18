#include "engine/run/import_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/run/checkpoint_json.h"
#include "tests/expect_error.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Two convolutions with norms and a head. Never run.
constexpr std::string_view kNames[]{"pair"}, kStems[]{"imagenet"};
constexpr Architecture::Alias kAliases[]{{"classifier.", "fc."}};
const Architecture pair{.names = kNames,
                        .stems = kStems,
                        .head = "fc",
                        .aliases = kAliases,
                        .build = [](const ModelSpec& spec, ParamStore& p) -> Forward {
                            for (const char* block : {"one", "two"}) {
                                const std::string name = block;
                                p.add_filter(name + ".conv.weight", 2, 3, 1, 1, 1);
                                p.add_vector(name + ".bn.weight", 2);
                                p.add_vector(name + ".bn.running_var", 2, Param::Kind::statistic);
                            }
                            p.add_linear("fc.weight", spec.classes, 2, 1, 1, 1);
                            p.add_vector("fc.bias", spec.classes);
                            return {};
                        },
                        .initialize = [](ParamStore&, uint64_t) {}};

Network network() { return {pair, {.arch = "pair", .classes = 3}, kernels(Backend::reference)}; }

// The tensors of such a network, with 1, 2, 3, ... in each.
WeightsFile weights(const std::string& prefix = "", int classes = 3) {
    WeightsFile out{.format = "a test"};
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
        std::vector<float> values(size_t(count_of(shape)));
        for (size_t i = 0; i < values.size(); ++i) values[i] = float(i + 1);
        out.content.tensors.push_back(tensor_of<float>(prefix + name, shape, values));
    };
    for (const char* block : {"one", "two"}) {
        const std::string name = block;
        add(name + ".conv.weight", {2, 3, 1, 1});
        add(name + ".bn.weight", {2});
        add(name + ".bn.running_var", {2});
        out.content.tensors.push_back(
            tensor_of<int64_t>(prefix + name + ".bn.num_batches_tracked", {}, std::vector<int64_t>{9}));
    }
    add("fc.weight", {classes, 2});
    add("fc.bias", {classes});
    return out;
}

TensorEntry& named(WeightsFile& file, std::string_view name) {
    return *std::ranges::find(file.content.tensors, name, &TensorEntry::name);
}

std::vector<float> values(Network& net, const std::string& name) { return net.params.get_f32(*net.params.find(name)); }

TEST(ImportWeights, every_parameter_is_read) {
    Network net = network();
    const ImportReport report = import_weights(net, weights(), "w.pth");
    EXPECT_EQ(report.loaded.size(), 8u);
    EXPECT_THAT(report.missing, IsEmpty());
    EXPECT_THAT(report.left_over, IsEmpty());
    EXPECT_THAT(report.notes, IsEmpty());
    EXPECT_EQ(values(net, "two.conv.weight"), (std::vector<float>{1, 2, 3, 4, 5, 6}));
    EXPECT_THAT(lines_of(report), ElementsAre("w.pth: 8 tensors loaded (a test)"));
}

TEST(ImportWeights, any_one_prefix_is_stripped_and_said) {
    for (const std::string prefix : {"module.", "_orig_mod.", "model.", "module._orig_mod.net.body."}) {
        Network net = network();
        const ImportReport report = import_weights(net, weights(prefix), "w.pth");
        EXPECT_EQ(report.prefix, prefix);
        EXPECT_EQ(report.loaded.size(), 8u);
        EXPECT_THAT(report.notes, ElementsAre("the prefix `" + prefix + "` was stripped"));
        EXPECT_EQ(values(net, "fc.bias"), (std::vector<float>{1, 2, 3}));
    }
}

// Two networks, of which the second is all zero.
WeightsFile two(const std::string& first, const std::string& second) {
    WeightsFile both = weights(first);
    for (TensorEntry t : weights(second).content.tensors) {
        std::ranges::fill(t.data, std::byte{0});
        both.content.tensors.push_back(std::move(t));
    }
    return both;
}

TEST(ImportWeights, of_two_networks_the_user_chooses) {
    const std::vector<std::pair<std::string, std::string>> pairs{
        {"student.", "teacher."}, {"model.", "ema."}, {"", "ema.net."}, {"net.", "ema.net."}};
    for (const auto& [first, second] : pairs) {
        Network net = network();
        const WeightsFile both = two(first, second);
        expect_error(
            Exit::model, [&] { import_weights(net, both, "w.pth"); }, "w.pth: holds 2 networks that fit pair",
            first.empty() ? "no prefix" : "`" + first + "`", "`" + second + "`", "--weights-prefix");
        EXPECT_EQ(import_weights(net, both, "w.pth", first).prefix, first);
        EXPECT_EQ(values(net, "fc.bias"), (std::vector<float>{1, 2, 3}));
        const ImportReport report = import_weights(net, both, "w.pth", second.substr(0, second.size() - 1));
        EXPECT_EQ(report.prefix, second);
        EXPECT_EQ(report.left_over.size(), 8u);
        EXPECT_EQ(values(net, "fc.bias"), (std::vector<float>{0, 0, 0}));
        expect_error(
            Exit::model, [&] { import_weights(net, both, "w.pth", "stud"); }, "--weights-prefix stud.");
    }
}

TEST(ImportWeights, a_second_network_without_a_head_of_another_size_or_of_equal_values) {
    Network net = network();
    WeightsFile headless = two("student.", "teacher.");
    std::erase_if(headless.content.tensors, [](const auto& t) { return t.name.starts_with("student.fc"); });
    expect_error(
        Exit::model, [&] { import_weights(net, headless, "w.pth"); }, "holds 2 networks");
    WeightsFile deeper = two("student.", "a.");
    named(deeper, "a.one.conv.weight").shape = {2, 1, 3, 1};
    EXPECT_EQ(import_weights(net, deeper, "w.pth").prefix, "student.");
    WeightsFile shared = weights("model.");
    for (const TensorEntry& t : weights("criterion.model.").content.tensors) shared.content.tensors.push_back(t);
    EXPECT_EQ(import_weights(net, shared, "w.pth").prefix, "model.");
}

TEST(ImportWeights, a_head_behind_dropout_is_found) {
    WeightsFile file = weights("model.");
    named(file, "model.fc.weight").name = "model.fc.1.weight";
    named(file, "model.fc.bias").name = "model.fc.1.bias";
    Network net = network();
    const ImportReport report = import_weights(net, file, "w.pth");
    EXPECT_THAT(report.missing, IsEmpty());
    EXPECT_THAT(report.notes, ElementsAre("the prefix `model.` was stripped", "fc.1.weight was read as fc.weight",
                                          "fc.1.bias was read as fc.bias"));
    EXPECT_EQ(values(net, "fc.bias"), (std::vector<float>{1, 2, 3}));
}

TEST(ImportWeights, a_head_of_two_layers_is_another_and_starts_anew) {
    WeightsFile file = weights();
    named(file, "fc.weight").name = "fc.3.weight";
    named(file, "fc.bias").name = "fc.3.bias";
    file.content.tensors.push_back(tensor_of<float>("fc.0.weight", {2, 2}, std::vector<float>(4)));
    Network net = network();
    const ImportReport report = import_weights(net, file, "w.pth");
    EXPECT_THAT(report.missing, ElementsAre("fc.weight", "fc.bias"));
    EXPECT_THAT(report.notes,
                ElementsAre("the head of the file has several layers (fc.0, fc.3), the model's fc is one"));
}

TEST(ImportWeights, a_pruned_checkpoint_is_named_as_such) {
    Network net = network();
    WeightsFile pruned = weights();
    pruned.content.metadata[kCardKey] = "{}";
    EXPECT_EQ(import_weights(net, pruned, "p.safetensors").loaded.size(), 8u);
    named(pruned, "one.conv.weight") = tensor_of<float>("one.conv.weight", {1, 3, 1, 1}, std::vector<float>(3));
    expect_error(
        Exit::model, [&] { import_weights(net, pruned, "p.safetensors"); },
        "p.safetensors: one.conv.weight has the shape [1,3,1,1]", "fp_prune --checkpoint");
    WeightsFile other = weights("", 5);
    other.content.metadata[kCardKey] = "{}";
    EXPECT_THAT(import_weights(net, other, "o.safetensors").missing, ElementsAre("fc.weight", "fc.bias"));
}

TEST(ImportWeights, the_meaning_of_outputs_and_pixels_is_said) {
    Network net = network();
    ImportReport report = import_weights(net, weights(), "w.pth");
    add_meaning(report, weights(), {"b", "a", "c"}, {});
    EXPECT_THAT(report.notes, ElementsAre("its outputs are taken to be b, a, c, in this order (--classes)",
                                          "pixels are scaled to 0..1 and not normalised (--normalize none)"));
    ImportReport other = import_weights(net, weights("", 5), "w.pth");
    other.notes.clear();
    Preprocessing imagenet;
    set_normalization(imagenet, "imagenet");
    add_meaning(other, weights("", 5), {"a", "b", "c"}, imagenet);
    const std::string normalised = "scaled to 0..1 and normalised (--normalize 0.485,0.456,0.406/0.229,0.224,0.225)";
    EXPECT_THAT(other.notes, ElementsAre("pixels are " + normalised));
    WeightsFile own = weights();
    own.content.metadata[kCardKey] = card_text(net.spec, {.preprocessing = imagenet, .classes = {"c", "b", "a"}});
    ImportReport differs = import_weights(net, own, "own.safetensors"), alike = differs;
    add_meaning(differs, own, {"a", "b", "c"}, {});
    EXPECT_THAT(differs.notes, ElementsAre(HasSubstr("to be a, b, c"), HasSubstr("not normalised"),
                                           "caution: in the file its outputs are c, b, a, in this order",
                                           "caution: the file's model was trained on pixels " + normalised));
    add_meaning(alike, own, {"c", "b", "a"}, imagenet);
    EXPECT_THAT(alike.notes, ElementsAre(HasSubstr("to be c, b, a"), "pixels are " + normalised));
}

TEST(ImportWeights, a_backbone_with_a_prefix_takes_a_head_without_one) {
    WeightsFile file = weights("encoder.");
    named(file, "encoder.fc.weight").name = "fc.weight";
    named(file, "encoder.fc.bias").name = "classifier.bias";
    Network net = network();
    const ImportReport report = import_weights(net, file, "w.pth");
    EXPECT_EQ(report.loaded.size(), 8u);
    EXPECT_THAT(report.notes, ElementsAre("the prefix `encoder.` was stripped", "classifier.bias was read as fc.bias"));
}

TEST(ImportWeights, a_head_of_another_size_or_none_starts_anew) {
    Network net = network();
    const ImportReport other = import_weights(net, weights("", 5), "w.pth");
    EXPECT_THAT(other.missing, ElementsAre("fc.weight", "fc.bias"));
    EXPECT_THAT(other.notes[0], HasSubstr("fc.weight of the file has the shape [5,2], the model's is [3,2]"));
    EXPECT_THAT(lines_of(other)[0], HasSubstr("the head (fc.weight, fc.bias) starts anew"));
    WeightsFile none = weights();
    none.content.tensors.resize(8);
    EXPECT_THAT(import_weights(net, none, "w.pth").missing, ElementsAre("fc.weight", "fc.bias"));
}

TEST(ImportWeights, what_is_missing_is_named_with_the_nearest_name) {
    Network net = network();
    WeightsFile renamed = weights();
    named(renamed, "two.conv.weight").name = "two.conv_.weight";
    expect_error(
        Exit::model, [&] { import_weights(net, renamed, "w.pth"); }, "w.pth: 1 of 8 parameters of pair are missing",
        "two.conv.weight (nearest: two.conv_.weight)", "1 tensors of the file have no place");
    WeightsFile unread = weights();
    std::erase_if(unread.content.tensors, [](const TensorEntry& t) { return t.name == "two.conv.weight"; });
    unread.left_out["two.conv.weight"] = "a tensor of torch.ShortStorage";
    expect_error(
        Exit::model, [&] { import_weights(net, unread, "w.pth"); },
        "two.conv.weight (is a tensor of torch.ShortStorage)");
    WeightsFile wide = weights();
    named(wide, "one.conv.weight").shape = {3, 2, 1, 1};
    expect_error(
        Exit::model, [&] { import_weights(net, wide, "w.pth"); }, "one.conv.weight has the shape [3,2,1,1]",
        "the model's is [2,3,1,1]");
}

TEST(ImportWeights, other_types_are_converted_and_said) {
    Network net = network();
    WeightsFile file = weights();
    named(file, "fc.bias") = tensor_of<double>("fc.bias", {3}, std::vector<double>{0.1, 0.2, 0.3});
    named(file, "one.bn.weight") = tensor_of<f16>("one.bn.weight", {2}, std::vector<f16>{half_of(0.5f), half_of(2)});
    const ImportReport report = import_weights(net, file, "w.pth");
    EXPECT_THAT(report.notes, ElementsAre("1 tensors were converted from F16", "1 tensors were converted from F64"));
    EXPECT_EQ(values(net, "one.bn.weight"), (std::vector<float>{0.5f, 2}));
    EXPECT_EQ(values(net, "fc.bias"), (std::vector<float>{0.1f, 0.2f, 0.3f}));
}

TEST(ImportWeights, the_document_lists_every_name) {
    Network net = network();
    const std::string document = json_of(import_weights(net, weights("m.", 5), "w.pth"));
    for (const char* part : {"\"prefix\": \"m.\"", "\"two.bn.running_var\"", "\"fc.bias\"", "\"left_over\": []"})
        EXPECT_THAT(document, HasSubstr(part));
}

}  // namespace
}  // namespace fp
