// The forward pass of a linear layer of a few samples.
#pragma once

#include "kernels/cuda/plan/layout.h"
#include "machine.cuh"

namespace fp::FP_MACHINE {

// The most samples. More are matrix products of tiles.
constexpr int kFewRows = 4;

// A: float or bf16, the activations; the weights are float32.
template <class A>
void linear_rows(const LinearShape&, const Linear::Forward&, Stream);

}  // namespace fp::FP_MACHINE
