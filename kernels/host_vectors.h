// The vectors that the host's kernels were compiled for.
#pragma once

namespace fp {

int host_vector_bits();  // 512 with AVX-512, 256 with AVX2, 128 with SSE or NEON

}  // namespace fp
