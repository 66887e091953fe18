// Names as keys of random numbers (kernels/random.h).
#pragma once

#include <cstdint>
#include <string_view>

namespace fp {

constexpr uint64_t key_of_name(std::string_view name) {  // FNV-1a
    uint64_t h = 0xcbf29ce484222325u;
    for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001b3u;
    return h;
}

}  // namespace fp
