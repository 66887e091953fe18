#include "kernels/cuda/plan/snnl_plan.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace fp {
namespace {

constexpr double kLn2 = 0.693147180559945309;
constexpr SnnlGroups kGroups[] = {{1, 1}, {1, 2}, {2, 2}, {2, 4}, {4, 4}};

// Warp instructions per second and multiprocessor, times 32 lanes: four schedulers.
double instructions_of(const Device& d) { return d.exponentials * 8; }

int channels_of(const SnnlShape& s) { return s.of_channels > 0 ? s.of_channels : s.x.c; }
double halves_bytes(const SnnlShape& s, double channels) {
    return 4.0 * channels * s.x.n * double(round_up(s.d(), 16));
}

int64_t most_tiles(int n, SnnlGroups groups) {
    int64_t most = 0;
    for (int a = 0; a < groups.across; ++a) most = std::max(most, SnnlWalk(n, groups, a * groups.down).tiles());
    return most;
}
double rounds_of(const SnnlShape& s, SnnlGroups groups) {
    return double(ceil_div(int64_t(channels_of(s)) * groups.count(), kProcessors));
}
// Of the busiest multiprocessor, which gets now a large group of a channel, now a small one.
double tiles_of(const SnnlShape& s, SnnlGroups groups) {
    const double strips = double(ceil_div(s.x.n, kSnnlSide)), mean = strips * (strips + 1) / 2 / groups.count();
    return (rounds_of(s, groups) - 1) * mean + double(most_tiles(s.x.n, groups));
}
// Bytes of the rows of those channels that are summed at the same time.
double at_once(const SnnlShape& s, SnnlGroups groups) {
    return halves_bytes(s, std::min(double(channels_of(s)), double(ceil_div(kProcessors, groups.count()))));
}

// snnl_sums.cu, cosine: 128 x 64 samples on or right of the diagonal, three products in fp16; then the exponentials and
// the additions, which we count behind the products, though another block's may hide them.
void tensor(SnnlCost& c, const Device& d, const SnnlShape& s) {
    constexpr int kRows = 128, kColumns = 64;
    // Of the peak. An H200: 1024, 512, 7 in 0.88 ms, 4096, 256, 14 in 15.7, 10000, 64, 56 in 444, 128, 512, 7 in 0.05.
    constexpr double kShare = 0.19;
    const double rows = double(ceil_div(s.x.n, kRows)), columns = double(ceil_div(s.x.n, kColumns));
    const double tiles = channels_of(s) * (rows * columns - rows * (rows - 1));
    const double pairs = tiles * kRows * kColumns, depth = double(round_up(s.d(), 16));
    const double instructions = 2 + 5.0 * s.sets;  // per pair
    c.products = pairs * 2 * depth * 3 / (d.bf16_matrix * kShare);
    c.load = tiles * (kRows + kColumns) * 4 * depth / d.l2;
    c.adding = pairs * std::max(instructions / instructions_of(d), 1 / d.exponentials);
    c.sums = std::max(c.products, c.load) + c.adding;
}

// snnl_sums_sm90a.cu. Not measured: the rates are those of the convolutions on wgmma (cost.cpp).
void wgmma(SnnlCost& c, const Device& d, const SnnlShape& s) {
    constexpr double kFill = 0.97e-6, kOverlap = 3, kClock = 1.75e9;
    // Between two steps a warpgroup adds its products up and issues the next; the other's products go on meanwhile, of
    // which we believe half. At the end of a strip both wait for each other.
    constexpr double kStep = 150 / kClock / 2, kStrip = 600 / kClock;
    const SnnlGroups groups = snnl_groups(s);
    const SnnlSteps steps(s.d());
    const SnnlWalk walk(s.x.n, groups, 0);
    const double rounds = rounds_of(s, groups), tiles = tiles_of(s, groups);
    const double strips = rounds * double(ceil_div(walk.strips, groups.across));
    const double sixteens = 4.0 * (steps.steps - 1) + steps.last;
    constexpr double kPairs = double(kSnnlSide) * kSnnlSide;
    const double side_bytes = kSnnlSide * 4 * 16 * sixteens;  // of all steps
    const double processors = d.multiprocessors;
    c.products =
        tiles * (kPairs * 2 * 16 * sixteens * 3 / (d.bf16_matrix / processors) + steps.steps * kStep) + strips * kStrip;
    c.load = (tiles + (steps.resident ? strips : tiles)) * side_bytes / (d.l2 / processors);
    // 10 instructions per pair with one set of labels (counted in the machine code of a tile whose pairs are all near).
    // With more, the sums of columns leave the registers for each.
    const double instructions = 4 + (s.sets > 1 ? 9.5 * s.sets : 6);
    c.adding = tiles * kPairs * std::max(instructions / instructions_of(d), 1 / d.exponentials) * processors;
    c.memory = halves_bytes(s, channels_of(s)) / d.hbm;
    if (at_once(s, groups) > d.l2_bytes) {  // each row and strip comes again for every patch of across x down tiles
        const double sides = 1.0 / groups.across + 1.0 / groups.down;
        c.memory = tiles * processors * sides * side_bytes / d.hbm;
    }
    double sum = 0;
    for (const double part : {c.products, c.load, c.adding, c.memory}) sum += std::pow(part, kOverlap);
    c.start += kFill + d.start;  // the labels' kernel
    c.sums = std::pow(sum, 1 / kOverlap);
}

}  // namespace

std::string_view name_of(SnnlKernel kernel) {
    constexpr std::string_view kNames[] = {"differences", "tensor", "wgmma"};
    return kNames[int(kernel)];
}

SnnlForced& snnl_forced() {
    static SnnlForced forced;
    return forced;
}

double snnl_sharpness(const SnnlShape& s) { return 1 / (kLn2 * s.temperature); }

bool snnl_bounded(const SnnlShape& s) {
    return s.distance == SnnlShape::Distance::cosine && 2 * snnl_sharpness(s) <= 100;
}

SnnlKernel snnl_kernel(const SnnlShape& s, bool hopper) {
    // By how much an unmeasured kernel must be faster (conv_choice.cpp).
    constexpr double kUnmeasuredShare = 0.1, kUnmeasured = 2e-6;
    if (s.distance == SnnlShape::Distance::euclidean) return SnnlKernel::differences;
    const bool can = hopper && snnl_bounded(s);
    if (const auto& forced = snnl_forced().kernel) {
        FP_REQUIRE(*forced == SnnlKernel::tensor || (*forced == SnnlKernel::wgmma && can), Exit::usage, "snnl: kernel ",
                   name_of(*forced), " cannot do it");
        return *forced;
    }
    if (!can) return SnnlKernel::tensor;
    const auto seconds = [&](SnnlKernel kernel) { return snnl_cost(kDevice, s, kernel, 4).seconds(); };
    const double now = seconds(SnnlKernel::wgmma) / (1 - kUnmeasuredShare) + kUnmeasured;
    return now < seconds(SnnlKernel::tensor) ? SnnlKernel::wgmma : SnnlKernel::tensor;
}

// The fewest groups for which the channels that are summed at the same time fit L2; from there on those with the least
// time of the busiest multiprocessor. The sums of 32 channels take no more than 1.5 GB.
SnnlGroups snnl_groups(const SnnlShape& s) {
    constexpr double kOfL2 = 0.7, kMostSums = 1.5e9;
    SnnlGroups best = kGroups[0];
    double least = 0;
    bool fits = false;
    for (const SnnlGroups& groups : kGroups) {
        if (32.0 * groups.count() * s.sets * 2 * s.x.n * 8 > kMostSums) break;
        const double time = tiles_of(s, groups) + rounds_of(s, groups);
        if (!fits || time < least) best = groups, least = time;
        fits = fits || at_once(s, groups) <= kOfL2 * kDevice.l2_bytes;
    }
    return best;
}

std::string_view SnnlCost::limiter() const {
    const double most = std::max({start, turn, products, load, memory, adding});
    return most == start                    ? "start"
           : most == turn || most == memory ? "memory"
           : most == adding                 ? "adding"
           : most == load                   ? "L2"
                                            : "matrix";
}

SnnlCost snnl_cost(const Device& d, const SnnlShape& s, SnnlKernel kernel, int element_bytes) {
    const double channels = channels_of(s);
    SnnlCost c{.start = 3 * d.start};
    c.turn = (element_bytes * channels * s.x.n * double(s.d()) + halves_bytes(s, channels)) / d.hbm;
    if (kernel == SnnlKernel::wgmma)
        wgmma(c, d, s);
    else
        tensor(c, d, s);
    return c;
}

}  // namespace fp
