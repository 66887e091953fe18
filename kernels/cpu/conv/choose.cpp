// Winograd or direct: the one of fewer cycles on one core, counted as follows, with L the lanes of a vector.
//
//   multiply-adds   2 L a cycle at 85 % of that
//   transforms      of a 6x6 patch 110 cycles a vector of channels, of its outputs 90, of a filter 70 (not in inference,
//                   where `prepare` has transformed it): estimates from the instructions, not measured
//   filters         once from memory, 4 bytes a cycle, and Winograd's are four times as many: for few pixels they decide
#include "kernels/cpu/conv/choose.h"

#include <algorithm>

#include "kernels/cpu/bilinear.h"
#include "kernels/cpu/conv_small.h"
#include "kernels/cpu/lanes.h"

namespace fp::cpu {
namespace {

constexpr double kMultiplyAdds = 2.0 * kNativeLanes * 0.85, kBytes = 4;  // a cycle
constexpr double kPatch = 110, kOutputs = 90, kFilter = 70;              // cycles a vector

double cycles(double multiply_adds, double filter_floats) {
    return std::max(multiply_adds / kMultiplyAdds, filter_floats * sizeof(float) / kBytes);
}

double direct_cycles(const ConvShape& s) {
    const double filters = double(s.x.stored_c()) * s.y().stored_c() * 9;
    return cycles(filters * double(s.y().pixels()) * s.x.n, filters);
}

double winograd_cycles(const ConvShape& s, ConvPass call) {
    const double filters = double(s.x.stored_c()) * s.y().stored_c() * 36;
    const double tiles = double(ceil_div(s.p(), 4) * ceil_div(s.q(), 4)) * s.x.n;
    const double transforms = tiles * (kPatch * s.x.blocks() + kOutputs * s.y().blocks());
    const double once = call == ConvPass::inference ? 0 : double(s.x.stored_c()) * s.y().blocks() * kFilter;
    return cycles(filters * tiles, filters) + transforms + once;
}

}  // namespace

Algorithm choose(const ConvShape& s, ConvPass call) {
    if (small::suits(s, call)) return Algorithm::bilinear;
    const bool possible = s.w.r == 3 && s.w.s == 3 && s.stride == 1 && s.pad == 1 && s.x.block > 1;
    return possible && winograd_cycles(s, call) < direct_cycles(s) ? Algorithm::winograd : Algorithm::direct;
}

ExecutedShare executed(const ConvShape& s, ConvPass pass) {
    const double taps = double(s.w.r) * s.w.s * s.p() * s.q();  // products of an image, a channel and a filter
    switch (choose(s, pass)) {
        case Algorithm::bilinear:
            return {double(bilinear(s).products.size()) / taps, "bilinear"};
        case Algorithm::winograd:
            return {36.0 * double(ceil_div(s.p(), 4) * ceil_div(s.q(), 4)) / taps, "winograd"};
        case Algorithm::direct:
            break;
    }
    return {1, "direct"};
}

}  // namespace fp::cpu
