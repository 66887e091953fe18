// The host's kernels are in the program once for each instruction set (x86-64-v2, -v3 with AVX2, -v4 with AVX-512; on ARM
// NEON alone); the best that the processor has is picked at the first use. FP_CPU_ISA=v2|v3|v4 in the environment forces
// a lower one.
#pragma once

#include <string_view>
#include <vector>

namespace fp {

// "x86-64-v4", "aarch64-neon"; "baseline" on other processors. Exit::usage where FP_CPU_ISA names a set that there is
// not, Exit::device where it names one that the processor lacks.
std::string_view host_isa();
// The vectors of the kernels that run: 512, 256 or 128 bits.
int host_vector_bits();
// Those that the processor has, best first.
std::vector<std::string_view> host_isas();

}  // namespace fp
