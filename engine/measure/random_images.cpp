#include "engine/measure/random_images.h"

#include <vector>

#include "kernels/random.h"

namespace fp {

Buffer random_images(const Kernels& k, const Map& map) {
    std::vector<uint8_t> rgb(size_t(map.logical()));
    for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = uint8_t(mix(i));
    const float constants[6] = {0.5f, 0.5f, 0.5f, 0.25f, 0.25f, 0.25f};
    const Buffer bytes(k.memory, rgb.size()), normal(k.memory, sizeof(constants));
    k.memory.copy_in(bytes.data(), rgb.data(), rgb.size(), {});
    k.memory.copy_in(normal.data(), constants, sizeof(constants), {});
    Buffer out(k.memory, size_t(map.stored()) * bytes_of(k.activation));
    const auto* mean = static_cast<const float*>(normal.data());
    k.image.normalize(map,
                      {.rgb = static_cast<const uint8_t*>(bytes.data()),
                       .mean = mean,
                       .std = mean + 3,
                       .x = static_cast<act*>(out.data())},
                      {});
    k.memory.synchronize({});
    return out;
}

}  // namespace fp
