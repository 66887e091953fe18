#include "bench/gpu/rates/rates.cuh"

namespace fp::FP_MACHINE {

Rate rate(const Kernels& k, const RateAsked& asked) {
    FP_REQUIRE(asked.blocks > 0 && asked.steps > 0, Exit::usage, "rate ", asked.what, ": ", asked.blocks, " blocks of ",
               asked.steps, " steps");
    if (asked.what == "l2") return l2_rate(k, asked);
    if (asked.what == "wgmma") return wgmma_rate(k, asked);
    if (asked.what == "ex2") return ex2_rate(k, asked);
    if (asked.what == "start") return start_rate(k, asked);
    fail_with(Exit::usage, asked.what, ": no such rate");
}

}  // namespace fp::FP_MACHINE
