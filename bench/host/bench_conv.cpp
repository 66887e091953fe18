// Convolutions of ResNet-18 (He et al., 2016), layer by layer and all of a training step or of inference.
#include <memory>
#include <optional>

#include "bench/host/measure.h"
#include "kernels/executed.h"

namespace fp::bench {
namespace {

struct Layer {
    const char* name;
    int c, scale, k, window, stride;  // maps of input size / scale
    int count;                        // in the network
};
const Layer kLayers[] = {
    {"stem", 3, 1, 64, 7, 2, 1},
    {"layer1", 64, 4, 64, 3, 1, 4},
    {"layer2.down", 64, 4, 128, 3, 2, 1},
    {"layer2.shortcut", 64, 4, 128, 1, 2, 1},
    {"layer2", 128, 8, 128, 3, 1, 3},
    {"layer3.down", 128, 8, 256, 3, 2, 1},
    {"layer3.shortcut", 128, 8, 256, 1, 2, 1},
    {"layer3", 256, 16, 256, 3, 1, 3},
    {"layer4.down", 256, 16, 512, 3, 2, 1},
    {"layer4.shortcut", 256, 16, 512, 1, 2, 1},
    {"layer4", 512, 32, 512, 3, 1, 3},
};
struct Batch {
    int size, n;
};
const Batch kBatches[] = {{64, 128}, {224, 16}};

// A convolution with the memory for all of its calls.
class Conv {
public:
    Conv(const Kernels& k, const Layer& l, const Batch& b) : k_(k), shape_(shape(k, l, b)) {}

    void run(ConvPass call, Stream stream) {
        const fp::Conv& conv = k_.conv;
        switch (call) {
            case ConvPass::forward:
                return conv.forward(shape_, {.x = x_, .w = w_, .bias = nullptr, .y = y_}, scratch_, stream);
            case ConvPass::input_gradient:
                return conv.backward_data(shape_, {.dy = dy_, .w = w_, .dx = dx_, .write = Write::replace}, scratch_,
                                          stream);
            case ConvPass::filter_gradient:
                return conv.backward_filter(shape_,
                                            {.x = x_, .dy = dy_, .dw = dw_, .dbias = nullptr, .write = Write::replace},
                                            scratch_, stream);
            case ConvPass::inference:
                if (!prepared_) prepare(stream);
                return conv.infer(
                    shape_,
                    {.x = x_, .prepared = *prepared_, .bias = bias_, .residual = nullptr, .relu = true, .y = y_},
                    scratch_, stream);
        }
    }
    const ConvShape& shape() const { return shape_; }

private:
    static ConvShape shape(const Kernels& k, const Layer& l, const Batch& b) {
        const int size = b.size / l.scale;
        const int block = l.c == 3 ? k.image_block(l.c) : k.block(l.c);
        return {.x = {.n = b.n, .c = l.c, .h = size, .w = size, .block = block},
                .w = k.filter(l.k, l.c, l.window, l.window, block),
                .stride = l.stride,
                .pad = l.window / 2,
                .y_block = k.block(l.k)};
    }
    void prepare(Stream stream) {
        prepared_.emplace(k_, k_.conv.prepared_bytes(shape_, {.residual = false, .relu = true}));
        k_.conv.prepare(shape_, {.residual = false, .relu = true}, w_, *prepared_, stream);
        k_.memory.synchronize(stream);
    }

    const Kernels& k_;
    ConvShape shape_;
    Buffer x_{k_, k_.activation, shape_.x.stored()}, y_{k_, k_.activation, shape_.y().stored()};
    Buffer dx_{k_, k_.activation, shape_.x.stored()}, dy_{k_, k_.activation, shape_.y().stored()};
    Buffer w_{k_, k_.parameter, shape_.w.stored()}, dw_{k_, k_.parameter, shape_.w.stored()};
    Buffer bias_{k_, k_.parameter, shape_.y().stored_c()};
    Buffer scratch_{k_, k_.conv.scratch_bytes(shape_)};
    std::optional<Buffer> prepared_;
};

struct Call {
    const char* name;
    ConvPass call;
};
const Call kCalls[] = {{"forward", ConvPass::forward},
                       {"backward_data", ConvPass::input_gradient},
                       {"backward_filter", ConvPass::filter_gradient},
                       {"infer", ConvPass::inference}};

bool is_needed(const Layer& l, ConvPass call) {  // nobody asks for the gradient of an image
    return l.c != 3 || call != ConvPass::input_gradient;
}

void layer(benchmark::State& state, const Kernels& k, const Layer& l, const Batch& b, ConvPass call) {
    Conv conv(k, l, b);
    measure(state, k, conv.shape().flops(), conv.shape().bytes(bytes_of(k.activation)),
            [&](Stream stream) { conv.run(call, stream); });
    if (k.name == "cpu") state.SetLabel(executed_share(k, conv.shape(), call).implementation);
}

// Every convolution of the network, each with memory of its own, in the order of a step.
void network(benchmark::State& state, const Kernels& k, const Batch& b, bool train) {
    std::vector<std::unique_ptr<Conv>> convs;
    std::vector<const Layer*> layers;
    double flops = 0, bytes = 0;
    for (const Layer& l : kLayers) {
        for (int i = 0; i < l.count; ++i) {
            const ConvShape& s = convs.emplace_back(std::make_unique<Conv>(k, l, b))->shape();
            layers.push_back(&l);
            const int calls = train ? 2 + is_needed(l, ConvPass::input_gradient) : 1;
            flops += calls * s.flops();
            bytes += calls * s.bytes(bytes_of(k.activation));
        }
    }
    measure(state, k, flops, bytes, [&](Stream stream) {
        for (const auto& conv : convs) {
            conv->run(train ? ConvPass::forward : ConvPass::inference, stream);
        }
        for (size_t i = convs.size(); train && i-- > 0;) {
            if (is_needed(*layers[i], ConvPass::input_gradient)) {
                convs[i]->run(ConvPass::input_gradient, stream);
            }
            convs[i]->run(ConvPass::filter_gradient, stream);
        }
    });
}

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    for (const Batch& b : kBatches) {
        const std::string at = text("conv/", k.name, "/", b.size, "b", b.n, "/");
        for (const Layer& l : kLayers)
            for (const Call& c : kCalls)
                if (is_needed(l, c.call))
                    add(text(at, l.name, "/", c.name), [&](benchmark::State& state) { layer(state, k, l, b, c.call); });
        for (const bool train : {true, false})
            add(text(at, "resnet18/", train ? "train" : "infer"),
                [&, train](benchmark::State& state) { network(state, k, b, train); });
    }
});

}  // namespace
}  // namespace fp::bench
