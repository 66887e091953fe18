// Linear layer.
#pragma once

#include <cstddef>

#include "kernels/shapes.h"
#include "kernels/types.h"

namespace fp {

// y = x w^T + bias, as LinearShape says. dbias may be null where there is no bias.
struct Linear {
    size_t (*scratch_bytes)(const LinearShape&);
    void (*forward)(const LinearShape&,
                    const act* x,
                    const par* w,
                    const par* bias,
                    act* y,
                    void* scratch,
                    Stream);
    void (*backward_data)(
        const LinearShape&, const act* dy, const par* w, act* dx, Write, void* scratch, Stream);
    void (*backward_filter)(const LinearShape&,
                            const act* x,
                            const act* dy,
                            par* dw,
                            par* dbias,
                            Write,
                            void* scratch,
                            Stream);
};

}  // namespace fp
