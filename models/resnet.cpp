// ResNet (He et al., 2015, https://arxiv.org/abs/1512.03385 ): a stem, four stages of residual blocks, the mean
// over the image, a classifier. As torchvision has it: a Bottleneck's stride is on its 3x3 convolution. In a wide one
// (Zagoruyko and Komodakis, 2016, https://arxiv.org/abs/1605.07146 ) the inner two convolutions have twice the
// channels.
#include <algorithm>
#include <array>
#include <optional>

#include "models/initial_weights.h"
#include "models/layers.h"
#include "models/models.h"
#include "models/torch_networks.h"

namespace fp::models {
namespace {

struct Plan {
    std::array<int, 4> blocks;
    bool bottleneck;
    int inner = 1;  // the inner convolutions' channels, by the stage's 64, 128, 256, 512
};
constexpr std::string_view kNames[]{"resnet18",  "resnet34",        "resnet50",        "resnet101",
                                    "resnet152", "wide_resnet50_2", "wide_resnet101_2"};
constexpr Plan kPlans[]{{{2, 2, 2, 2}, false}, {{3, 4, 6, 3}, false},   {{3, 4, 6, 3}, true},    {{3, 4, 23, 3}, true},
                        {{3, 8, 36, 3}, true}, {{3, 4, 6, 3}, true, 2}, {{3, 4, 23, 3}, true, 2}};
static_assert(std::size(kNames) == std::size(kPlans));
constexpr std::string_view kStems[]{"imagenet", "small"};

// relu(x + F(x)): F is two 3x3 convolutions, or 1x1, 3x3, 1x1. The shortcut is a 1x1 convolution only where the block
// changes the size or the width of its input. It is recorded first: the last convolution on the tape names a set of
// channels and is what --layers last means.
struct Block {
    std::vector<ConvNorm> layers;
    std::optional<ConvNorm> shortcut;

    Var operator()(Tape& t, Var x) const {
        const Residual identity = shortcut ? conv_norm_shortcut(t, x, shortcut->conv, shortcut->norm) : Residual(x);
        Var y = x;
        for (size_t i = 0; i + 1 < layers.size(); ++i) y = layers[i](t, y, true);
        return layers.back()(t, y, true, identity);
    }
};

struct ResNet {
    ConvNorm stem;
    bool pool;
    std::vector<Block> blocks;
    LinearLayer head;

    Var operator()(Tape& t, Var x) const {
        x = pool ? conv_norm_maxpool(t, x, stem.conv, stem.norm, {.window = 3, .stride = 2, .pad = 1})
                 : stem(t, x, true);
        for (const Block& block : blocks) x = block(t, x);
        return head(t, avgpool(t, x, 1, 1));
    }
};

Forward build(const ModelSpec& spec, ParamStore& p) {
    const Plan& plan = kPlans[std::ranges::find(kNames, spec.arch) - kNames];
    const Kernels& k = p.kernels();
    const bool small = spec.stem == "small";
    const int expansion = plan.bottleneck ? 4 : 1;

    int in = spec.channels("conv1", 64);
    ResNet net{.stem = declare_conv_norm(p, "conv1", "bn1", 3, in, small ? 3 : 7, small ? 1 : 2, k.image_block(3)),
               .pool = !small,
               .blocks = {},
               .head = {}};
    for (int stage = 0; stage < 4; ++stage) {
        const int full = 64 << stage;
        for (int i = 0; i < plan.blocks[stage]; ++i) {
            const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
            const int stride = i == 0 && stage > 0 ? 2 : 1;
            auto layer = [&](int number, int from, int width, int window, int step) {
                const std::string n = std::to_string(number);
                return declare_conv_norm(p, name + ".conv" + n, name + ".bn" + n, from,
                                         spec.channels(name + ".conv" + n, width), window, step, k.block(from));
            };
            Block block;
            if (plan.bottleneck) {
                block.layers.push_back(layer(1, in, full * plan.inner, 1, 1));
                block.layers.push_back(layer(2, block.layers[0].out, full * plan.inner, 3, stride));
                block.layers.push_back(layer(3, block.layers[1].out, full * expansion, 1, 1));
            } else {
                block.layers.push_back(layer(1, in, full, 3, stride));
                block.layers.push_back(layer(2, block.layers[0].out, full, 3, 1));
            }
            const int out = block.layers.back().out;
            if (i == 0 && (stage > 0 || plan.bottleneck))
                block.shortcut =
                    declare_conv_norm(p, name + ".downsample.0", name + ".downsample.1", in,
                                      spec.channels(name + ".downsample.0", full * expansion), 1, stride, k.block(in));
            net.blocks.push_back(std::move(block));
            in = out;
        }
    }
    net.head = declare_linear(p, "fc", in, 1, 1, spec.classes);
    return net;
}

void initialize(ParamStore& p, uint64_t seed) { draw_weights(p, seed, LinearWeights::uniform); }

}  // namespace

const Architecture resnet{.names = kNames,
                          .stems = kStems,
                          .head = "fc",
                          .aliases = {},
                          .torch = kTorchResNet,
                          .build = build,
                          .initialize = initialize};

}  // namespace fp::models
