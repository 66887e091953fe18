// Small networks with random weights, and what comes out of them, for tests of whole networks.
#pragma once

#include <vector>

#include "engine/core/elements.h"
#include "engine/core/session.h"
#include "engine/core/trace.h"
#include "kernels/random.h"
#include "models/models.h"

namespace fp::testing {

inline Trace trace_of(const ModelSpec& spec, int size, int batch = 1) {
    return trace(find_architecture(models::all(), spec.arch), spec, size, batch);
}

// Weights as at the start of training, norms and statistics drawn about them, so that nothing is 0 or 1.
inline std::unique_ptr<Network> random_network(const ModelSpec& spec, const Kernels& k, uint64_t seed) {
    auto net = models::build(spec, k);
    net->initialize(seed);
    uint64_t key = seed * 1000;
    for (const Param& p : net->params.all()) {
        ++key;
        if (p.kind == Param::Kind::filter || p.kind == Param::Kind::linear) continue;
        std::vector<double> v(p.count());
        for (size_t i = 0; i < v.size(); ++i) {
            const double u = uniform_double(key, i);
            v[i] = p.name.ends_with(".weight") || p.name.ends_with("var") ? 0.5 + u : u - 0.5;
        }
        net->params.set(p, v.data());
    }
    return net;
}

// A value in the activation's type and layout, from a function of the logical index.
template <class Value>
Buffer upload_map(const Kernels& k, const Map& map, Value value) {
    std::vector<double> wide(map.stored(), 0.0);
    uint64_t i = 0;
    for (int n = 0; n < map.n; ++n)
        for (int c = 0; c < map.c; ++c)
            for (int h = 0; h < map.h; ++h)
                for (int w = 0; w < map.w; ++w) wide[map.at(n, c, h, w)] = value(i++);
    Buffer out(k.memory, wide.size() * bytes_of(k.activation));
    write_activations(k, out.data(), 0, wide);
    return out;
}

// In NCHW order.
inline std::vector<double> download(const Kernels& k, const Tensor& t) {
    const std::vector<double> stored = read_activations(k, t.data, 0, t.map.stored());
    std::vector<double> out;
    for (int n = 0; n < t.map.n; ++n)
        for (int c = 0; c < t.map.c; ++c)
            for (int h = 0; h < t.map.h; ++h)
                for (int w = 0; w < t.map.w; ++w) out.push_back(stored[size_t(t.map.at(n, c, h, w))]);
    return out;
}

inline Map image_map(const Kernels& k, int n, int size) {
    return {.n = n, .c = 3, .h = size, .w = size, .block = k.image_block(3)};
}

inline std::vector<double> logits(const Network& net, const Tensor& images, TapeOptions options) {
    Session session(net);
    Tape tape = session.begin(options);
    return download(net.kernels(), tape.value(net.forward(tape, tape.input(images))));
}

}  // namespace fp::testing
