#include "kernels/executed.h"

#include "kernels/cpu/bilinear.h"
#include "kernels/cpu/conv.h"

namespace fp {
namespace cpu {
const Kernels* find();
}

ExecutedShare executed_share(const Kernels& k, const ConvShape& s, ConvPass pass) {
    if (&k != cpu::find()) return {};
    constexpr cpu::ConvCall kCalls[] = {cpu::ConvCall::forward, cpu::ConvCall::backward_data,
                                        cpu::ConvCall::backward_filter, cpu::ConvCall::infer};
    const std::string how = cpu::implementation(s, kCalls[size_t(pass)]);
    const double taps = double(s.w.r) * s.w.s * s.p() * s.q();  // products of an image, a channel and a filter
    if (how == "bilinear") return {double(cpu::bilinear(s).products.size()) / taps, how};
    // F(4x4, 3x3): 36 products for a tile of 4 x 4 outputs.
    if (how == "winograd") return {36.0 * ceil_div(s.p(), 4) * ceil_div(s.q(), 4) / taps, how};
    return {1, how};
}

}  // namespace fp
