#include "engine/measure/roofline.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <vector>

#include "engine/core/memory.h"
#include "kernels/bf16.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr double kLongEnough = 0.005;  // seconds of a call
constexpr int kCalls = 5;

// Uniform in [-1, 1], the same numbers again and again: zeros make some arithmetic faster than it is.
Buffer random_elements(const Kernels& k, Type type, int64_t count) {
    Buffer out(k.memory, size_t(count) * size_t(bytes_of(type)));
    const auto fill = [&](auto converted) {
        std::vector<decltype(converted(0.0f))> some(1 << 16);
        for (size_t i = 0; i < some.size(); ++i) some[i] = converted(float(int32_t(mix(i) >> 32)) * 0x1p-31f);
        const size_t whole = some.size() * sizeof(some[0]);
        for (size_t at = 0; at < out.bytes(); at += whole)
            k.memory.copy_in(static_cast<char*>(out.data()) + at, some.data(), std::min(whole, out.bytes() - at), {});
        k.memory.synchronize({});
    };
    if (type == Type::f32) fill([](float v) { return v; });
    if (type == Type::f64) fill([](float v) { return double(v); });
    if (type == Type::bf16) fill([](float v) { return to_bf16(v); });
    return out;
}

// The fastest of several calls by the device's own clock, the first not counted. All are enqueued before the
// host waits, so that a call on a GPU does not begin with a launch.
double seconds_of(const Kernels& k, const std::function<void()>& call) {
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
        const double seconds = seconds_of(k, [&] {
            k.add.forward(map,
                          {.a = static_cast<const act*>(a.data()),
                           .b = static_cast<const act*>(b.data()),
                           .y = static_cast<act*>(y.data())},
                          {});
        });
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
