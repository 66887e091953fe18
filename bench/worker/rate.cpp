// A rate of the device (rates/rates.h), and what the models take it to be.
#include "bench/gpu/rates/rates.h"

#include "bench/worker/model.h"
#include "bench/worker/work.h"
#include "kernels/error.h"

namespace fp {

Work rate_work(const Kernels& k, Line& words) {
    RateAsked asked;
    words >> asked.what >> asked.variant >> asked.blocks >> asked.steps;
    FP_REQUIRE(k.name == name(Backend::cuda) || k.name == name(Backend::emulated), Exit::usage, "rate: not of ",
               k.name);
    const Rate rate = k.name == name(Backend::cuda) ? cuda::rate(k, asked) : emulated::rate(k, asked);
    const double assumed = asked.what == "l2"      ? kDevice.l2
                           : asked.what == "wgmma" ? kDevice.bf16_matrix
                           : asked.what == "ex2"   ? kDevice.exponentials
                                                   : 1 / kDevice.start;
    return {.call = [rate](int) { rate.call(); },
            .captured = false,  // one of them launches a graph
            .flops = rate.units,
            .expected = rate.units / assumed};
}

}  // namespace fp
