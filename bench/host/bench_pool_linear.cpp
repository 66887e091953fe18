// Pooling and fully connected layers at the networks' shapes.
#include <string>

#include "bench/host/measure.h"

namespace fp::bench {
namespace {

template <class Shape>
struct Pooled {
    Pooled(const Kernels& k, const Shape& s)
        : x(k, k.activation, s.x.stored()),
          y(k, k.activation, s.y().stored()),
          dx(k, k.activation, s.x.stored()),
          argmax(k, size_t(s.y().stored())) {
        if constexpr (std::is_same_v<Shape, MaxPoolShape>)
            k.maxpool.forward(s, {.x = x, .y = y, .argmax = argmax}, {});  // what backward reads
    }
    Buffer x, y, dx, argmax;
};

void add_maxpool(const Kernels& k, const char* name, MaxPoolShape s) {
    using Data = Pooled<MaxPoolShape>;
    s.x.block = k.block(s.x.c);
    const double bytes = s.bytes(bytes_of(k.activation)) + double(s.y().logical());
    add<Data>(k, {"maxpool", text(name, "/forward"), s.flops(), bytes}, s, [&k, s](Data& d, Stream stream) {
        k.maxpool.forward(s, {.x = d.x, .y = d.y, .argmax = d.argmax}, stream);
    });
    add<Data>(k, {"maxpool", text(name, "/backward"), s.flops(), bytes}, s, [&k, s](Data& d, Stream stream) {
        k.maxpool.backward(s, {.dy = d.y, .argmax = d.argmax, .dx = d.dx, .write = Write::replace}, stream);
    });
}

void add_avgpool(const Kernels& k, const char* name, AvgPoolShape s) {
    using Data = Pooled<AvgPoolShape>;
    s.x.block = k.block(s.x.c);
    const double bytes = s.bytes(bytes_of(k.activation));
    add<Data>(k, {"avgpool", text(name, "/forward"), s.flops(), bytes}, s,
              [&k, s](Data& d, Stream stream) { k.avgpool.forward(s, {.x = d.x, .y = d.y}, stream); });
    add<Data>(k, {"avgpool", text(name, "/backward"), s.flops(), bytes}, s, [&k, s](Data& d, Stream stream) {
        k.avgpool.backward(s, {.dy = d.y, .dx = d.dx, .write = Write::replace}, stream);
    });
}

struct Dense {
    Dense(const Kernels& k, const LinearShape& s)
        : x(k, k.activation, s.x.stored()),
          dx(k, k.activation, s.x.stored()),
          y(k, k.activation, s.y().stored()),
          w(k, k.parameter, s.w.stored()),
          dw(k, k.parameter, s.w.stored()),
          bias(k, k.parameter, s.y().stored_c()),
          dbias(k, k.parameter, s.y().stored_c()),
          scratch(k, k.linear.scratch_bytes(s)) {}
    Buffer x, dx, y, w, dw, bias, dbias, scratch;
};

void add_linear(const Kernels& k, const char* name, int n, int in, int side, int out) {
    const LinearShape s{.x = {.n = n, .c = in, .h = side, .w = side, .block = k.block(in)},
                        .w = k.filter(out, in, side, side, k.block(in)),
                        .y_block = k.block(out)};
    const auto add_call = [&](const char* call, const auto& run) {
        add<Dense>(k, {"linear", text(name, "/", call), s.flops(), s.bytes(bytes_of(k.activation))}, s, run);
    };
    add_call("forward", [&k, s](Dense& d, Stream stream) {
        k.linear.forward(s, {.x = d.x, .w = d.w, .bias = d.bias, .y = d.y}, d.scratch, stream);
    });
    add_call("backward_data", [&k, s](Dense& d, Stream stream) {
        k.linear.backward_data(s, {.dy = d.y, .w = d.w, .dx = d.dx, .write = Write::replace}, d.scratch, stream);
    });
    add_call("backward_filter", [&k, s](Dense& d, Stream stream) {
        k.linear.backward_filter(s, {.x = d.x, .dy = d.y, .dw = d.dw, .dbias = d.dbias, .write = Write::replace},
                                 d.scratch, stream);
    });
}

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    add_maxpool(k, "resnet_224/n16", {.x = {.n = 16, .c = 64, .h = 112, .w = 112}, .window = 3, .stride = 2, .pad = 1});
    add_maxpool(k, "resnet_64/n128", {.x = {.n = 128, .c = 64, .h = 32, .w = 32}, .window = 3, .stride = 2, .pad = 1});
    add_maxpool(k, "vgg_224/n16", {.x = {.n = 16, .c = 64, .h = 224, .w = 224}});
    add_avgpool(k, "resnet_224/n16", {.x = {.n = 16, .c = 512, .h = 7, .w = 7}});
    add_avgpool(k, "vgg_64/n128", {.x = {.n = 128, .c = 512, .h = 2, .w = 2}, .p = 7, .q = 7});
    add_linear(k, "resnet_fc/n128", 128, 512, 1, 8);
    add_linear(k, "vgg_fc1/n128", 128, 512, 7, 4096);
    add_linear(k, "vgg_fc2/n128", 128, 4096, 1, 4096);
});

}  // namespace
}  // namespace fp::bench
