// A view of a batch of feature maps in memory that an Arena, a ParamStore or a Loader owns.
#pragma once

#include "kernels/layout.h"
#include "kernels/types.h"

namespace fp {

struct Tensor {
    act* data = nullptr;
    Map map = {};
    explicit operator bool() const { return data != nullptr; }
};

}  // namespace fp
