// The soft nearest neighbour loss of the networks' last maps. FLOPs are the full N x N count, as a batched
// product would do them; a kernel that does half the pairs can pass the processor's peak.
#include <string>
#include <vector>

#include "bench/measure.h"
#include "kernels/error.h"

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

void score(benchmark::State& state, const Kernels& k, const Score& what) {
    SnnlShape s = what.shape;
    s.x.block = k.block(s.x.c);
    std::vector<int32_t> groups(size_t(s.sets) * size_t(s.x.n));
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = int32_t(uniform_below(2, 1, i));
    const std::vector<double> ones(size_t(s.x.c), 1.0);
    const Buffer x(k, k.activation, s.x.stored()), dx(k, k.activation, s.x.stored());
    const Buffer scratch(k, k.snnl.scratch_bytes(s, what.backward));
    const Buffer labels(k, groups.size() * sizeof(int32_t));
    const Buffer scores(k, size_t(s.sets) * size_t(s.x.c) * sizeof(double));
    const Buffer dscore(k, ones.size() * sizeof(double));
    k.memory.copy_in(labels, groups.data(), groups.size() * sizeof(int32_t), {});
    k.memory.copy_in(dscore, ones.data(), ones.size() * sizeof(double), {});
    auto* label = reinterpret_cast<const int32_t*>(labels.data());
    measure(
        state, k, what.backward ? s.backward_flops() : s.flops(), s.bytes(bytes_of(k.activation)), [&](Stream stream) {
            if (what.backward)
                k.snnl.backward(s,
                                {.x = x,
                                 .labels = label,
                                 .strata = nullptr,
                                 .dscore = reinterpret_cast<const double*>(dscore.data()),
                                 .dx = dx,
                                 .write = Write::replace},
                                scratch, stream);
            else
                k.snnl.forward(
                    s, {.x = x, .labels = label, .strata = nullptr, .scores = reinterpret_cast<double*>(scores.data())},
                    scratch, stream);
        });
}

[[maybe_unused]] const bool registered = [] {
    for (const Kernels* k : devices())
        for (const Score& what : kScores)
            benchmark::RegisterBenchmark(text("snnl/", k->name, "/", what.name).c_str(),
                                         [=, &what](benchmark::State& state) { score(state, *k, what); })
                ->UseManualTime()
                ->Unit(benchmark::kMillisecond);
    return true;
}();

}  // namespace
}  // namespace fp::bench
