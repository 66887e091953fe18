// A view of a batch of feature maps in memory that someone else owns: an Arena, a ParamStore or a Loader.
// The element type is the backend's activation type.
#pragma once

#include "kernels/layout.h"

namespace fp {

struct Tensor {
    void* data = nullptr;
    Map map = {};
    explicit operator bool() const { return data != nullptr; }
};

}  // namespace fp
