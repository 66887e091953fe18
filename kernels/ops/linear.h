// Linear layer: a convolution whose window is the whole map.
//
//   forward          y[n,k] = sum_i w[k,i] x[n,i] + bias[k]      i: every channel and pixel of a sample (LinearShape)
//   backward_data    dx[n,i] = sum_k w[k,i] dy[n,k]
//   backward_filter  dw[k,i] = sum_n dy[n,k] x[n,i]      dbias[k] = sum_n dy[n,k]
#pragma once

#include <cstddef>

#include "kernels/ops/conv.h"

namespace fp {

struct Linear {
    using Forward = Conv::Forward;
    using BackwardData = Conv::BackwardData;
    using BackwardFilter = Conv::BackwardFilter;

    size_t (*scratch_bytes)(const LinearShape&);  // enough for every function below
    void (*forward)(const LinearShape&, const Forward&, void* scratch, Stream);
    void (*backward_data)(const LinearShape&, const BackwardData&, void* scratch, Stream);
    void (*backward_filter)(const LinearShape&, const BackwardFilter&, void* scratch, Stream);
};

}  // namespace fp
