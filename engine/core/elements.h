// Reading and writing single numbers of a block of any type, on the host or on a device.
#pragma once

#include <vector>

#include "kernels/bf16.h"
#include "kernels/kernels.h"

namespace fp {

inline double element(const void* block, Type type, int64_t index) {
    switch (type) {
        case Type::f64:
            return static_cast<const double*>(block)[index];
        case Type::f32:
            return static_cast<const float*>(block)[index];
        case Type::bf16:
            return to_float(static_cast<const bf16*>(block)[index]);
    }
    return 0;
}

inline void set_element(void* block, Type type, int64_t index, double value) {
    switch (type) {
        case Type::f64:
            static_cast<double*>(block)[index] = value;
            break;
        case Type::f32:
            static_cast<float*>(block)[index] = float(value);
            break;
        case Type::bf16:
            static_cast<bf16*>(block)[index] = to_bf16(float(value));
            break;
    }
}

// `count` activations on the device from number `first` on, in the order of memory.
std::vector<double> read_activations(const Kernels&, const void* device, int64_t first, int64_t count);
void write_activations(const Kernels&, void* device, int64_t first, const std::vector<double>& values);

// Feature maps from `values` in the order n, c, h, w; padding becomes 0.
void write_maps(const Kernels&, void* device, const Map&, const float* values);

}  // namespace fp
