// The algorithm of a convolution: by a rule and not by timing, so that the bits of a result do not vary between runs.
#pragma once

#include "kernels/executed.h"

namespace fp::cpu {

enum class Algorithm {
    bilinear,  // conv_small.h: maps so small that much of each window is padding
    winograd,  // conv/winograd.h: F(4x4, 3x3)
    direct     // conv/direct.h, conv/filter_gradient.h
};

Algorithm choose(const ConvShape&, ConvPass);

ExecutedShare executed(const ConvShape&, ConvPass);

}  // namespace fp::cpu
