// What a device can do at most, as we reach it: a copy within its memory, a large matrix product, and the rates of its parts
// (bench/gpu/rates/rates.h) with what the models take them to be.
#include <memory>
#include <vector>

#include "bench/gpu/rates/rates.h"
#include "bench/worker/numbers.h"
#include "bench/worker/work.h"
#include "kernels/cuda/plan/tiling.h"
#include "kernels/error.h"

namespace fp {

Work copy_work(const Kernels& k, Line& words) {
    size_t bytes = 0;
    words >> bytes;
    auto blocks = std::make_shared<std::vector<Buffer>>();
    for (int i = 0; i < 2; ++i) blocks->emplace_back(k.memory, bytes);
    return {.call = [&k, blocks](
                        int) { k.memory.copy((*blocks)[1].data(), (*blocks)[0].data(), (*blocks)[0].bytes(), {}); },
            .flops = 2.0 * double(bytes),  // read and written
            .expected = 2.0 * double(bytes) / kDevice.hbm};
}

Work product_work(const Kernels& k, Line& words) {
    int n = 0;
    std::string inputs;
    words >> n >> inputs;
    const LinearShape s{
        .x = {.n = n, .c = n, .block = k.block(n)}, .w = k.filter(n, n, 1, 1, k.block(n)), .y_block = k.block(n)};
    struct Data {
        Buffer x, w, y, scratch;
    };
    auto d = std::make_shared<Data>(Data{.x = upload(k, k.activation, s.x, {.seed = 1}),
                                         .w = upload(k, k.parameter, s.w, {.seed = 2}),
                                         .y = Buffer(k.memory, size_t(s.y().stored()) * size_t(bytes_of(k.activation))),
                                         .scratch = Buffer(k.memory, k.linear.scratch_bytes(s))});
    if (inputs == "zeros") {  // which draw less power
        k.memory.zero(d->x.data(), d->x.bytes(), {});
        k.memory.zero(d->w.data(), d->w.bytes(), {});
    }
    return {.call =
                [&k, d, s](int) {
                    k.linear.forward(s,
                                     {.x = d->x.as<act>(), .w = d->w.as<par>(), .bias = nullptr, .y = d->y.as<act>()},
                                     d->scratch.data(), {});
                },
            .flops = s.flops()};
}

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
