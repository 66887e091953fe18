// VGG (Simonyan and Zisserman, 2014, https://arxiv.org/abs/1409.1556 ): 3x3 convolutions with max pooling between
// groups of them, the mean to 7x7, three linear layers. `_bn` puts a norm behind each convolution. Module
// numbers are torchvision's, where pooling and ReLU count as modules.
#include <map>
#include <optional>

#include "models/initial_weights.h"
#include "models/layers.h"
#include "models/models.h"
#include "models/torch_networks.h"

namespace fp::models {
namespace {

constexpr std::string_view kNames[]{"vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"};
constexpr std::string_view kStems[]{"imagenet"};
// timm keeps the hidden linear layers as convolutions.
constexpr Architecture::Alias kTimm[]{
    {"pre_logits.fc1.", "classifier.0."}, {"pre_logits.fc2.", "classifier.3."}, {"head.fc.", "classifier.6."}};

constexpr int kPool = 0;
const std::map<std::string, std::vector<int>> kPlans{
    {"vgg11", {64, kPool, 128, kPool, 256, 256, kPool, 512, 512, kPool, 512, 512, kPool}},
    {"vgg13", {64, 64, kPool, 128, 128, kPool, 256, 256, kPool, 512, 512, kPool, 512, 512, kPool}},
    {"vgg16", {64, 64, kPool, 128, 128, kPool, 256, 256, 256, kPool, 512, 512, 512, kPool, 512, 512, 512, kPool}},
    {"vgg19", {64,  64,  kPool, 128, 128,   kPool, 256, 256, 256, 256,  kPool,
               512, 512, 512,   512, kPool, 512,   512, 512, 512, kPool}}};

constexpr int kGrid = 7;  // the classifier sees kGrid x kGrid maps whatever the image size

struct Layer {
    ConvLayer conv;  // of a pool none
    std::optional<Norm> norm = {};

    Var operator()(Tape& t, Var x) const {
        if (!conv.weight) return maxpool(t, x, {.window = 2, .stride = 2});
        return norm ? conv_norm(t, x, conv, *norm, true) : conv_relu(t, x, conv);
    }
};

struct Vgg {
    std::vector<Layer> features;
    LinearLayer first, second, head;

    Var operator()(Tape& t, Var x) const {
        for (const Layer& layer : features) x = layer(t, x);
        x = avgpool(t, x, kGrid, kGrid);
        x = dropout(t, relu(t, first(t, x)), 0.5);
        x = dropout(t, relu(t, second(t, x)), 0.5);
        return head(t, x);
    }
};

bool has_norm(const std::string& arch) { return arch.ends_with("_bn"); }
std::string plan_name(const std::string& arch) { return has_norm(arch) ? arch.substr(0, arch.size() - 3) : arch; }

Forward build(const ModelSpec& spec, ParamStore& p) {
    const Kernels& k = p.kernels();
    Vgg net;
    int in = 3, module = 0;
    for (const int width : kPlans.at(plan_name(spec.arch))) {
        if (width == kPool) {
            net.features.push_back({});
            ++module;
            continue;
        }
        const std::string name = "features." + std::to_string(module);
        const int out = spec.channels(name, width);
        Layer layer{.conv = {.name = name,
                             .weight = p.add_filter(name + ".weight", out, in, 3, 3,
                                                    module == 0 ? k.image_block(in) : k.block(in)),
                             .bias = p.add_vector(name + ".bias", out),
                             .stride = 1,
                             .pad = 1}};
        if (has_norm(spec.arch)) layer.norm = declare_norm(p, "features." + std::to_string(module + 1), out);
        module += has_norm(spec.arch) ? 3 : 2;
        net.features.push_back(std::move(layer));
        in = out;
    }
    const int hidden1 = spec.channels("classifier.0", 4096), hidden2 = spec.channels("classifier.3", 4096);
    net.first = declare_linear(p, "classifier.0", in, kGrid, kGrid, hidden1);
    net.second = declare_linear(p, "classifier.3", hidden1, 1, 1, hidden2);
    net.head = declare_linear(p, "classifier.6", hidden2, 1, 1, spec.classes);
    return net;
}

void initialize(ParamStore& p, uint64_t seed) { draw_weights(p, seed, LinearWeights::normal_small); }

}  // namespace

const Architecture vgg{.names = kNames,
                       .stems = kStems,
                       .head = "classifier.6",
                       .aliases = kTimm,
                       .torch = kTorchVgg,
                       .build = build,
                       .initialize = initialize};

}  // namespace fp::models
