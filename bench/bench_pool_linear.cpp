// Pooling and fully connected layers at the networks' shapes.
#include <memory>
#include <string>

#include "bench/measure.h"
#include "kernels/error.h"

namespace fp::bench {
namespace {

template <class Run>
void add(const std::string& name, const Kernels& k, double flops, double bytes, const Run& run) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=, &k](benchmark::State& state) {
                                     const auto work = run();
                                     measure(state, k, flops, bytes, work);
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
}

struct Pooled {
    Pooled(const Kernels& k, const Map& in, const Map& out)
        : x(k, k.activation, in.stored()),
          y(k, k.activation, out.stored()),
          dx(k, k.activation, in.stored()),
          argmax(k, size_t(out.stored())) {}
    Buffer x, y, dx, argmax;
};

void add_maxpool(const Kernels& k, const char* name, MaxPoolShape s) {
    s.x.block = k.block(s.x.c);
    const double bytes = s.bytes(bytes_of(k.activation));
    for (const bool backward : {false, true})
        add(text("maxpool/", k.name, "/", name, backward ? "/backward" : "/forward"), k, s.flops(),
            bytes + double(s.y().logical()), [&k, s, backward] {
                auto m = std::make_shared<Pooled>(k, s.x, s.y());
                auto* argmax = reinterpret_cast<uint8_t*>(m->argmax.data());
                k.maxpool.forward(s, {.x = m->x, .y = m->y, .argmax = argmax}, {});
                return [&k, s, backward, m, argmax](Stream stream) {
                    if (backward)
                        k.maxpool.backward(s, {.dy = m->y, .argmax = argmax, .dx = m->dx, .write = Write::replace},
                                           stream);
                    else
                        k.maxpool.forward(s, {.x = m->x, .y = m->y, .argmax = argmax}, stream);
                };
            });
}

void add_avgpool(const Kernels& k, const char* name, AvgPoolShape s) {
    s.x.block = k.block(s.x.c);
    for (const bool backward : {false, true})
        add(text("avgpool/", k.name, "/", name, backward ? "/backward" : "/forward"), k, s.flops(),
            s.bytes(bytes_of(k.activation)), [&k, s, backward] {
                auto m = std::make_shared<Pooled>(k, s.x, s.y());
                return [&k, s, backward, m](Stream stream) {
                    if (backward)
                        k.avgpool.backward(s, {.dy = m->y, .dx = m->dx, .write = Write::replace}, stream);
                    else
                        k.avgpool.forward(s, {.x = m->x, .y = m->y}, stream);
                };
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
    for (const char* call : {"forward", "backward_data", "backward_filter"})
        add(text("linear/", k.name, "/", name, "/", call), k, s.flops(), s.bytes(bytes_of(k.activation)),
            [&k, s, call = std::string(call)] {
                auto d = std::make_shared<Dense>(k, s);
                return [&k, s, call, d](Stream stream) {
                    if (call == "forward")
                        k.linear.forward(s, {.x = d->x, .w = d->w, .bias = d->bias, .y = d->y}, d->scratch, stream);
                    else if (call == "backward_data")
                        k.linear.backward_data(s, {.dy = d->y, .w = d->w, .dx = d->dx, .write = Write::replace},
                                               d->scratch, stream);
                    else
                        k.linear.backward_filter(
                            s, {.x = d->x, .dy = d->y, .dw = d->dw, .dbias = d->dbias, .write = Write::replace},
                            d->scratch, stream);
                };
            });
}

[[maybe_unused]] const bool registered = [] {
    for (const Kernels* k : devices()) {
        add_maxpool(*k, "resnet_224/n16",
                    {.x = {.n = 16, .c = 64, .h = 112, .w = 112}, .window = 3, .stride = 2, .pad = 1});
        add_maxpool(*k, "resnet_64/n128",
                    {.x = {.n = 128, .c = 64, .h = 32, .w = 32}, .window = 3, .stride = 2, .pad = 1});
        add_maxpool(*k, "vgg_224/n16", {.x = {.n = 16, .c = 64, .h = 224, .w = 224}});
        add_avgpool(*k, "resnet_224/n16", {.x = {.n = 16, .c = 512, .h = 7, .w = 7}});
        add_avgpool(*k, "vgg_64/n128", {.x = {.n = 128, .c = 512, .h = 2, .w = 2}, .p = 7, .q = 7});
        add_linear(*k, "resnet_fc/n128", 128, 512, 1, 8);
        add_linear(*k, "vgg_fc1/n128", 128, 512, 7, 4096);
        add_linear(*k, "vgg_fc2/n128", 128, 4096, 1, 4096);
    }
    return true;
}();

}  // namespace
}  // namespace fp::bench
