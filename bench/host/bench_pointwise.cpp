// Ops that access every number once: ReLU, addition, dropout, the image's normalisation, and the loss.
#include <string>

#include "bench/host/measure.h"

namespace fp::bench {
namespace {

struct NamedMap {
    const char* name;
    Map map;
};
const NamedMap kMaps[] = {{"64b128/stem", {.n = 128, .c = 64, .h = 32, .w = 32}},
                          {"64b128/layer1", {.n = 128, .c = 64, .h = 16, .w = 16}},
                          {"64b128/layer3", {.n = 128, .c = 256, .h = 4, .w = 4}},
                          {"224b16/stem", {.n = 16, .c = 64, .h = 112, .w = 112}}};

// Three maps of one shape.
struct Maps {
    Maps(const Kernels& k, const Map& m)
        : a(k, k.activation, m.stored()), b(k, k.activation, m.stored()), c(k, k.activation, m.stored()) {}
    Buffer a, b, c;
};

void add_maps(const Kernels& k, const NamedMap& of) {
    Map m = of.map;
    m.block = k.block(m.c);
    const auto add_op = [&](const char* op, int maps, const auto& run) {
        const double numbers = double(m.stored());
        add<Maps>(k, {"pointwise", text(op, "/", of.name), numbers, maps * numbers * bytes_of(k.activation)}, m, run);
    };
    add_op("relu_forward", 2, [&k, m](Maps& v, Stream stream) { k.relu.forward(m, {.x = v.a, .y = v.b}, stream); });
    add_op("relu_backward", 3, [&k, m](Maps& v, Stream stream) {
        k.relu.backward(m, {.y = v.a, .dy = v.b, .dx = v.c, .write = Write::replace}, stream);
    });
    add_op("add", 3, [&k, m](Maps& v, Stream stream) { k.add.forward(m, {.a = v.a, .b = v.b, .y = v.c}, stream); });
    add_op("accumulate", 3, [&k, m](Maps& v, Stream stream) {
        k.add.accumulate(m, {.dy = v.a, .dx = v.b, .write = Write::add}, stream);
    });
}

void add_dropout(const Kernels& k) {  // VGG's classifier
    const Map m{.n = 128, .c = 4096, .block = k.block(4096)};
    const double numbers = double(m.stored());
    add<Maps>(
        k, {"pointwise", "dropout/128x4096", numbers, 2 * numbers * bytes_of(k.activation)}, m,
        [&k, m](Maps& v, Stream stream) { k.dropout.forward(m, {.p = 0.5, .key = 1, .x = v.a, .y = v.b}, stream); });
}

struct Images {
    Images(const Kernels& k, const Map& m)
        : rgb(k, size_t(m.logical())), x(k, k.activation, m.stored()), scale(k, Type::f32, 3) {
        k.memory.zero(rgb, size_t(m.logical()), {});
    }
    Buffer rgb, x, scale;
};

void add_image(const Kernels& k, int n, int size) {
    const Map m{.n = n, .c = 3, .h = size, .w = size, .block = k.image_block(3)};
    const double bytes = double(m.logical()) + double(m.stored()) * bytes_of(k.activation);
    add<Images>(k, {"pointwise", text("normalize/", size, "b", n), 2.0 * double(m.logical()), bytes}, m,
                [&k, m](Images& v, Stream stream) {
                    k.image.normalize(m, {.rgb = v.rgb, .mean = v.scale, .std = v.scale, .x = v.x}, stream);
                });
}

struct Loss {
    Loss(const Kernels& k, const Map& m)
        : logits(k, k.activation, m.stored()),
          dlogits(k, k.activation, m.stored()),
          losses(k, k.parameter, m.n),
          labels(k, size_t(m.n) * sizeof(int32_t)),
          sums(k, 2 * sizeof(double)) {
        k.memory.zero(labels, size_t(m.n) * sizeof(int32_t), {});
    }
    Buffer logits, dlogits, losses, labels, sums;
};

void add_loss(const Kernels& k, int classes) {
    const LossShape s{.logits = {.n = 128, .c = classes, .block = k.block(classes)}, .smoothing = 0.1};
    add<Loss>(
        k, {"pointwise", text("loss/128x", classes), s.flops(), s.bytes(bytes_of(k.activation))}, s.logits,
        [&k, s](Loss& v, Stream stream) {
            k.loss.forward(
                s,
                {.logits = v.logits, .labels = v.labels, .class_weight = nullptr, .losses = v.losses, .sums = v.sums},
                stream);
            k.loss.backward(s,
                            {.logits = v.logits,
                             .labels = v.labels,
                             .class_weight = nullptr,
                             .sample_weight = nullptr,
                             .sums = v.sums,
                             .scale = 1,
                             .dlogits = v.dlogits,
                             .write = Write::replace},
                            stream);
        });
}

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    for (const NamedMap& m : kMaps) add_maps(k, m);
    add_dropout(k);
    add_image(k, 128, 64);
    add_image(k, 16, 224);
    add_loss(k, 8);
    add_loss(k, 114);
});

}  // namespace
}  // namespace fp::bench
