// What a kernel in a graph costs that does nothing: each waits for the one before.
#include "bench/gpu/rates/rates.cuh"

namespace fp::FP_MACHINE {
namespace {

__global__ void empty_kernel() {}

}  // namespace

Rate start_rate(const Kernels& k, const RateAsked& asked) {
    FP_REQUIRE(k.graph && asked.variant > 0, Exit::usage, "rate start: ", asked.variant, " kernels");
    k.graph->begin({});
    for (int i = 0; i < asked.variant; ++i) launch(empty_kernel, {.threads = 128}, {});
    const std::shared_ptr<void> captured(k.graph->end({}), k.graph->release);
    return {.units = double(asked.variant), .call = [&k, captured] { k.graph->launch(captured.get(), {}); }};
}

}  // namespace fp::FP_MACHINE
