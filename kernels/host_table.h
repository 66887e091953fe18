// What kernels/cpu gives to the rest of the program, once for each instruction set that it is compiled for.
#pragma once

#include "kernels/executed.h"

namespace fp {

struct HostTable {
    const Kernels& kernels;
    int vector_bits;
    ExecutedShare (*executed)(const ConvShape&, ConvPass);
};

}  // namespace fp
