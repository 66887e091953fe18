#include "engine/run/import_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(ImportWeights, with_two_prefixes_the_shorter_is_taken_and_the_other_left_over) {
    WeightsFile both = weights("ema.net.");
    for (TensorEntry t : weights("net.").content.tensors) {
        std::ranges::fill(t.data, std::byte{0});
        both.content.tensors.push_back(std::move(t));
    }
    Network net = network();
    const ImportReport report = import_weights(net, both, "w.pth");
    EXPECT_EQ(report.prefix, "net.");
    EXPECT_EQ(report.left_over.size(), 8u);
    EXPECT_EQ(report.left_over[0], "ema.net.fc.bias");
    EXPECT_EQ(values(net, "fc.bias"), (std::vector<float>{0, 0, 0}));
    EXPECT_THAT(lines_of(report)[0], HasSubstr("8 not used: ema.net.fc.bias, ema.net.fc.weight, "
                                               "ema.net.one.bn.running_var and 5 more"));
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
