// Ops that access every number once: ReLU, addition, dropout, the image's normalisation, and the loss.
#include <memory>
#include <string>

#include "bench/measure.h"
#include "kernels/error.h"

namespace fp::bench {
namespace {

// work(stream) of `bytes`
template <class Make>
void add(const Kernels& k, const std::string& name, double flops, double bytes, const Make& make) {
    benchmark::RegisterBenchmark(text("pointwise/", k.name, "/", name).c_str(),
                                 [=, &k](benchmark::State& state) {
                                     const auto work = make();
                                     measure(state, k, flops, bytes, work);
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
}

struct NamedMap {
    const char* name;
    Map map;
};
const NamedMap kMaps[] = {{"64b128/stem", {.n = 128, .c = 64, .h = 32, .w = 32}},
                          {"64b128/layer1", {.n = 128, .c = 64, .h = 16, .w = 16}},
                          {"64b128/layer3", {.n = 128, .c = 256, .h = 4, .w = 4}},
                          {"224b16/stem", {.n = 16, .c = 64, .h = 112, .w = 112}}};

// Three maps of one shape. Held by shared_ptr, because the work of a bench is copied.
struct Maps {
    Maps(const Kernels& k, const Map& m)
        : a(k, k.activation, m.stored()), b(k, k.activation, m.stored()), c(k, k.activation, m.stored()) {}
    Buffer a, b, c;
};

void add_maps(const Kernels& k, const NamedMap& of) {
    Map m = of.map;
    m.block = k.block(m.c);
    const double one = double(m.stored()) * bytes_of(k.activation);
    const auto with_maps = [&k, m](auto run) {
        return [=, &k] { return [=, &k, maps = std::make_shared<Maps>(k, m)](Stream stream) { run(*maps, stream); }; };
    };
    const double flops = double(m.stored());
    const std::string at = std::string("/") + of.name;
    add(k, "relu_forward" + at, flops, 2 * one,
        with_maps([&k, m](Maps& v, Stream stream) { k.relu.forward(m, {.x = v.a, .y = v.b}, stream); }));
    add(k, "relu_backward" + at, flops, 3 * one, with_maps([&k, m](Maps& v, Stream stream) {
            k.relu.backward(m, {.y = v.a, .dy = v.b, .dx = v.c, .write = Write::replace}, stream);
        }));
    add(k, "add" + at, flops, 3 * one,
        with_maps([&k, m](Maps& v, Stream stream) { k.add.forward(m, {.a = v.a, .b = v.b, .y = v.c}, stream); }));
    add(k, "accumulate" + at, flops, 3 * one, with_maps([&k, m](Maps& v, Stream stream) {
            k.add.accumulate(m, {.dy = v.a, .dx = v.b, .write = Write::add}, stream);
        }));
}

void add_dropout(const Kernels& k) {  // VGG's classifier
    const Map m{.n = 128, .c = 4096, .block = k.block(4096)};
    add(k, "dropout/128x4096", double(m.stored()), 2.0 * double(m.stored()) * bytes_of(k.activation), [&k, m] {
        return [&k, m, maps = std::make_shared<Maps>(k, m)](Stream stream) {
            k.dropout.forward(m, {.p = 0.5, .key = 1, .x = maps->a, .y = maps->b}, stream);
        };
    });
}

void add_image(const Kernels& k, int n, int size) {
    const Map m{.n = n, .c = 3, .h = size, .w = size, .block = k.image_block(3)};
    struct Images {
        Images(const Kernels& kernels, const Map& map)
            : rgb(kernels, size_t(map.logical())),
              x(kernels, kernels.activation, map.stored()),
              scale(kernels, Type::f32, 3) {
            kernels.memory.zero(rgb, size_t(map.logical()), {});
        }
        Buffer rgb, x, scale;
    };
    const double bytes = double(m.logical()) + double(m.stored()) * bytes_of(k.activation);
    add(k, text("normalize/", size, "b", n), 2.0 * double(m.logical()), bytes, [&k, m] {
        return [&k, m, images = std::make_shared<Images>(k, m)](Stream stream) {
            auto* scale = reinterpret_cast<const float*>(images->scale.data());
            auto* rgb = reinterpret_cast<const uint8_t*>(images->rgb.data());
            k.image.normalize(m, {.rgb = rgb, .mean = scale, .std = scale, .x = images->x}, stream);
        };
    });
}

void add_loss(const Kernels& k, int classes) {
    const LossShape s{.logits = {.n = 128, .c = classes, .block = k.block(classes)}, .smoothing = 0.1};
    struct Batch {
        Batch(const Kernels& kernels, const Map& map)
            : maps(kernels, map),
              losses(kernels, kernels.parameter, map.n),
              labels(kernels, size_t(map.n) * sizeof(int32_t)),
              sums(kernels, 2 * sizeof(double)) {
            kernels.memory.zero(labels, size_t(map.n) * sizeof(int32_t), {});
        }
        Maps maps;
        Buffer losses, labels, sums;
    };
    add(k, text("loss/128x", classes), s.flops(), s.bytes(bytes_of(k.activation)), [&k, s] {
        return [&k, s, b = std::make_shared<Batch>(k, s.logits)](Stream stream) {
            auto* labels = reinterpret_cast<const int32_t*>(b->labels.data());
            auto* sums = reinterpret_cast<double*>(b->sums.data());
            k.loss.forward(
                s, {.logits = b->maps.a, .labels = labels, .class_weight = nullptr, .losses = b->losses, .sums = sums},
                stream);
            k.loss.backward(s,
                            {.logits = b->maps.a,
                             .labels = labels,
                             .class_weight = nullptr,
                             .sums = sums,
                             .scale = 1,
                             .dlogits = b->maps.b,
                             .write = Write::replace},
                            stream);
        };
    });
}

[[maybe_unused]] const bool registered = [] {
    for (const Kernels* k : devices()) {
        for (const NamedMap& m : kMaps) add_maps(*k, m);
        add_dropout(*k);
        add_image(*k, 128, 64);
        add_image(*k, 16, 224);
        add_loss(*k, 8);
        add_loss(*k, 114);
    }
    return true;
}();

}  // namespace
}  // namespace fp::bench
