#include "engine/measure/roofline.h"

#include <algorithm>
#include <limits>

#include "engine/measure/stopwatch.h"

namespace fp {
namespace {

constexpr double kLongEnough = 0.005;  // seconds of a call
constexpr int kCalls = 5;

// The fastest of several calls by the device's own clock, the first not counted. All are enqueued before the
// host waits, so that a call on a GPU does not begin with a launch.
template <class Call>
double seconds_of(const Kernels& k, const Call& call) {
    std::vector<OwnedEvent> marks;
    for (int i = 0; i <= kCalls; ++i) marks.emplace_back(k.streams);
    const auto run = [&](int i) {
        call();
        marks[size_t(i)].record({});
    };
    marks[0].record({});
    run(1);
    marks[1].wait();
    const double first = marks[1].seconds_since(marks[0]);
    if (first > 20 * kLongEnough) return first;  // a slow device: once is enough
    marks[0].record({});
    for (int i = 1; i <= kCalls; ++i) run(i);
    marks[kCalls].wait();
    double best = std::numeric_limits<double>::infinity();
    for (size_t i = 1; i <= kCalls; ++i) best = std::min(best, marks[i].seconds_since(marks[i - 1]));
    return best;
}

double product_rate(const Kernels& k) {
    for (int side = 64;; side *= 2) {
        const int block = k.block(side);
        const LinearShape shape{.x = {.n = side, .c = side, .h = 1, .w = 1, .block = block},
                                .w = k.filter(side, side, 1, 1, block),
                                .y_block = block};
        const Buffer x = random_elements(k, k.activation, shape.x.stored()),
                     w = random_elements(k, k.parameter, shape.w.stored()),
                     bias = random_elements(k, k.parameter, shape.y().stored_c()),
                     y = random_elements(k, k.activation, shape.y().stored()),
                     scratch(k.memory, k.linear.scratch_bytes(shape));
        const double seconds = seconds_of(k, [&] {
            k.linear.forward(shape, {.x = x.as<act>(), .w = w.as<par>(), .bias = bias.as<par>(), .y = y.as<act>()},
                             scratch.data(), {});
        });
        if (seconds >= kLongEnough || side == 8192) return shape.flops() / seconds;
    }
}

double sum_rate(const Kernels& k) {
    for (int images = 1;; images *= 4) {
        const Map map{.n = images, .c = 64, .h = 64, .w = 64, .block = k.block(64)};
        const double bytes = 3.0 * double(map.stored()) * bytes_of(k.activation);
        const Buffer a = random_elements(k, k.activation, map.stored()),
                     b = random_elements(k, k.activation, map.stored()),
                     y = random_elements(k, k.activation, map.stored());
        const double seconds =
            seconds_of(k, [&] { k.add.forward(map, {.a = a.as<act>(), .b = b.as<act>(), .y = y.as<act>()}, {}); });
        if (images == 256 || (seconds >= kLongEnough && bytes > 5e8) || seconds >= 20 * kLongEnough)
            return bytes / seconds;
    }
}

}  // namespace

Roofline measure_roofline(const Kernels& k) { return {product_rate(k), sum_rate(k)}; }

LowerBound lower_bound(const Roofline& roof, double flops, double bytes) {
    const double arithmetic = flops / roof.flops, memory = bytes / roof.bytes;
    return {std::max(arithmetic, memory), memory > arithmetic};
}

LowerBound lower_bound(const Roofline& roof, const LayerCost& c) {
    if (c.backward_seconds <= 0) return lower_bound(roof, 2 * c.macs, c.bytes);
    if (c.macs <= 0) return {0, true};
    // Each gradient moves the forward's three tensors, in other roles.
    const double passes = 1 + c.backward_macs / c.macs;
    return lower_bound(roof, 2 * c.macs * passes, c.bytes * passes);
}

}  // namespace fp
