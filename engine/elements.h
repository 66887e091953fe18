// One number of a block of any type, on the host.
#pragma once

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

}  // namespace fp
