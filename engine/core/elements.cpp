#include "engine/core/elements.h"

#include "engine/core/memory.h"

namespace fp {

std::vector<double> read_activations(const Kernels& k, const void* device, int64_t first, int64_t count) {
    const size_t e = size_t(bytes_of(k.activation));
    const auto raw =
        copy_to_host<char>(k.memory, static_cast<const char*>(device) + size_t(first) * e, size_t(count) * e);
    std::vector<double> out(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) out[size_t(i)] = element(raw.data(), k.activation, i);
    return out;
}

void write_activations(const Kernels& k, void* device, int64_t first, const std::vector<double>& values) {
    const size_t e = size_t(bytes_of(k.activation));
    std::vector<char> raw(values.size() * e);
    for (size_t i = 0; i < values.size(); ++i) set_element(raw.data(), k.activation, int64_t(i), values[i]);
    copy_to_device(k.memory, static_cast<char*>(device) + size_t(first) * e, raw);
    k.memory.synchronize({});
}

void write_maps(const Kernels& k, void* device, const Map& map, const float* values) {
    Map one = map;
    one.n = 1;
    std::vector<double> stored(size_t(one.stored()), 0.0);
    for (int n = 0; n < map.n; ++n) {
        for (int c = 0; c < map.c; ++c)
            for (int h = 0; h < map.h; ++h)
                for (int w = 0; w < map.w; ++w) stored[size_t(one.at(0, c, h, w))] = *values++;
        write_activations(k, device, n * one.stored(), stored);
    }
}

}  // namespace fp
