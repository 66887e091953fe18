// The soft nearest neighbour loss of the networks' last maps. FLOPs are the full N x N count, as a batched
// product would do them; a kernel that does half the pairs can pass the processor's peak.
#include <string>
#include <vector>

#include "bench/host/measure.h"

namespace fp::bench {
namespace {

using Distance = SnnlShape::Distance;

struct Score {
    const char* name;
    SnnlShape shape;  // plain
    bool backward = false;
};
const Score kScores[] = {
    {"resnet18_224/n128", {.x = {.n = 128, .c = 512, .h = 7, .w = 7}, .temperature = 0.5}},
    {"resnet18_224/n1024", {.x = {.n = 1024, .c = 512, .h = 7, .w = 7}, .temperature = 0.5}},
    {"resnet18_64/n1024", {.x = {.n = 1024, .c = 512, .h = 2, .w = 2}, .temperature = 0.5}},
    {"resnet18_128/n4096", {.x = {.n = 4096, .c = 512, .h = 4, .w = 4}, .temperature = 0.5}},
    {"vgg11_224/n1024", {.x = {.n = 1024, .c = 128, .h = 14, .w = 14}, .temperature = 0.5}},
    {"resnet18_224_layer1/n128", {.x = {.n = 128, .c = 64, .h = 56, .w = 56}, .temperature = 0.5}},
    {"resnet18_224_odd/n128", {.x = {.n = 128, .c = 371, .h = 7, .w = 7}, .temperature = 0.5}},
    {"shifted/n128", {.x = {.n = 128, .c = 512, .h = 7, .w = 7}, .temperature = 0.01}},
    {"euclidean/n128", {.x = {.n = 128, .c = 512, .h = 7, .w = 7}, .distance = Distance::euclidean}},
    {"permutations100/n1024", {.x = {.n = 1024, .c = 128, .h = 7, .w = 7}, .sets = 100, .temperature = 0.5}},
    {"backward/n128", {.x = {.n = 128, .c = 512, .h = 7, .w = 7}, .temperature = 0.5}, true},
    {"backward/n1024", {.x = {.n = 1024, .c = 128, .h = 7, .w = 7}, .temperature = 0.5}, true},
};

struct Data {
    Data(const Kernels& k, const Score& what)
        : shape(shape_on(k, what)),
          x(k, k.activation, shape.x.stored()),
          dx(k, k.activation, shape.x.stored()),
          scratch(k, k.snnl.scratch_bytes(shape, what.backward)),
          labels(k, size_t(shape.sets) * size_t(shape.x.n) * sizeof(int32_t)),
          scores(k, size_t(shape.sets) * size_t(shape.x.c) * sizeof(double)),
          dscore(k, size_t(shape.x.c) * sizeof(double)) {
        std::vector<int32_t> groups(size_t(shape.sets) * size_t(shape.x.n));
        for (size_t i = 0; i < groups.size(); ++i) groups[i] = int32_t(uniform_below(2, 1, i));
        const std::vector<double> ones(size_t(shape.x.c), 1.0);
        k.memory.copy_in(labels, groups.data(), groups.size() * sizeof(int32_t), {});
        k.memory.copy_in(dscore, ones.data(), ones.size() * sizeof(double), {});
        k.memory.synchronize({});
    }
    static SnnlShape shape_on(const Kernels& k, const Score& what) {
        SnnlShape s = what.shape;
        s.x.block = k.block(s.x.c);
        return s;
    }
    SnnlShape shape;
    Buffer x, dx, scratch, labels, scores, dscore;
};

[[maybe_unused]] const bool registered = on_each_device([](const Kernels& k) {
    for (const Score& what : kScores) {
        const SnnlShape s = Data::shape_on(k, what);
        const double flops = what.backward ? s.backward_flops() : s.flops(), bytes = s.bytes(bytes_of(k.activation));
        add<Data>(k, {"snnl", what.name, flops, bytes}, what, [&k, &what](const Data& d, Stream stream) {
            if (what.backward)
                k.snnl.backward(d.shape,
                                {.x = d.x,
                                 .labels = d.labels,
                                 .strata = nullptr,
                                 .dscore = d.dscore,
                                 .dx = d.dx,
                                 .write = Write::replace},
                                d.scratch, stream);
            else
                k.snnl.forward(d.shape, {.x = d.x, .labels = d.labels, .strata = nullptr, .scores = d.scores},
                               d.scratch, stream);
        });
    }
});

}  // namespace
}  // namespace fp::bench
