#include "engine/measure/roofline.h"

#include <algorithm>
#include <functional>
#include <memory>

#include "engine/measure/stopwatch.h"

namespace fp {

// One call's work and the number of calls that take kLongEnough.
struct RoofProblem {
    double work;  // flops or bytes
    std::function<void()> call;
    int calls = 1;
};

namespace {

constexpr double kLongEnough = 0.003;  // seconds of a measurement
constexpr double kSlow = 0.1;          // of a single call: larger problems would take too long

// All calls are enqueued before the host waits, so that a measurement on a GPU does not begin with each launch.
double seconds_per_call(const Kernels& k, const RoofProblem& p) {
    OwnedEvent start(k.streams), end(k.streams);
    start.record({});
    for (int i = 0; i < p.calls; ++i) p.call();
    end.record({});
    end.wait();
    return end.seconds_since(start) / p.calls;
}

RoofProblem product(const Kernels& k, int side) {
    const int block = k.block(side);
    const LinearShape shape{.x = {.n = side, .c = side, .h = 1, .w = 1, .block = block},
                            .w = k.filter(side, side, 1, 1, block),
                            .y_block = block};
    const auto buffer = [&](Type type, int64_t count) {
        return std::make_shared<const Buffer>(random_elements(k, type, count));
    };
    const auto x = buffer(k.activation, shape.x.stored()), w = buffer(k.parameter, shape.w.stored()),
               bias = buffer(k.parameter, shape.y().stored_c()), y = buffer(k.activation, shape.y().stored());
    const auto scratch = std::make_shared<const Buffer>(k.memory, k.linear.scratch_bytes(shape));
    return {.work = shape.flops(), .call = [=, &k] {
                k.linear.forward(shape,
                                 {.x = x->as<act>(), .w = w->as<par>(), .bias = bias->as<par>(), .y = y->as<act>()},
                                 scratch->data(), {});
            }};
}

RoofProblem sum(const Kernels& k, int images) {
    const Map map{.n = images, .c = 64, .h = 32, .w = 32, .block = k.block(64)};
    const auto buffer = [&] { return std::make_shared<const Buffer>(random_elements(k, k.activation, map.stored())); };
    const auto a = buffer(), b = buffer(), y = buffer();
    return {.work = 3.0 * double(map.stored()) * bytes_of(k.activation),
            .call = [=, &k] { k.add.forward(map, {.a = a->as<act>(), .b = b->as<act>(), .y = y->as<act>()}, {}); }};
}

}  // namespace

struct RoofProbe::State {
    const Kernels& kernels;
    RoofProblem product;
    std::vector<RoofProblem> sums;
};

RoofProbe::RoofProbe(const Kernels& k) : state_(new State{k, {}, {}}) {
    const auto first_call = [&](RoofProblem& p) {
        p.call();
        const double seconds = seconds_per_call(k, p);
        p.calls = calls_for(kLongEnough, seconds);
        return seconds;
    };
    for (int side = 64;; side *= 2) {
        state_->product = fp::product(k, side);
        if (first_call(state_->product) >= kLongEnough || side == 8192) break;
    }
    for (int images = 1; images <= 512; images *= 8)
        if (first_call(state_->sums.emplace_back(sum(k, images))) > kSlow) break;
}

RoofProbe::~RoofProbe() = default;

int calls_for(double seconds, double of_one) {
    return of_one > 0 ? int(std::clamp(seconds / of_one, 1.0, 1000.0)) : 1000;
}

Roofline RoofProbe::measure() {
    const State& s = *state_;
    // The fastest of a few: what shares the machine for some of them lowers no ceiling.
    const auto rate = [&](const RoofProblem& p) {
        double seconds = seconds_per_call(s.kernels, p);
        for (int again = 0; again < 2; ++again) seconds = std::min(seconds, seconds_per_call(s.kernels, p));
        return p.work / seconds;
    };
    Roofline out{.flops = rate(s.product), .levels = {}};
    for (const RoofProblem& p : s.sums) out.levels.push_back({p.work, rate(p)});
    return out;
}

double Roofline::bytes(double moved) const {
    double rate = levels.at(0).bytes;
    for (const Level& level : levels)
        if (level.moved <= moved) rate = level.bytes;
    return rate;
}

Roofline faster_of(const Roofline& a, const Roofline& b) {
    FP_CHECK(a.levels.size() == b.levels.size(), "two roofs of ", a.levels.size(), " and ", b.levels.size(), " levels");
    Roofline out{.flops = std::max(a.flops, b.flops), .levels = a.levels};
    for (size_t i = 0; i < out.levels.size(); ++i) out.levels[i].bytes = std::max(a.levels[i].bytes, b.levels[i].bytes);
    return out;
}

LowerBound lower_bound(const Roofline& roof, double flops, double bytes) {
    const double arithmetic = flops / roof.flops, memory = bytes / roof.bytes(bytes);
    return {std::max(arithmetic, memory), memory > arithmetic};
}

LowerBound lower_bound(const Roofline& roof, const LayerCost& c) {
    const LowerBound forward = lower_bound(roof, 2 * c.executed_macs, c.bytes);
    if (c.backward_seconds <= 0) return forward;
    if (c.macs <= 0) return {0, true};
    // Each gradient moves the forward's three tensors, in other roles.
    const double gradients = c.backward_macs / c.macs;
    const LowerBound backward = lower_bound(roof, 2 * c.executed_backward_macs / gradients, c.bytes);
    return {forward.seconds + gradients * backward.seconds, backward.memory};
}

}  // namespace fp
