// Column sums, which Conv calls for the gradient of a bias: that their scratch holds every chunk, of either type.
#include <numeric>

#include "kernels/bf16.h"
#include "tests/kernels/compare.h"

namespace fp::emulated {
// As in kernels/cuda/walks.
struct Sum {
    float* to;
    Write write;
};
size_t column_sums_scratch_bytes(const Map&, int element_bytes);
void column_sums(const Map&, const float* x, const Sum&, void* scratch, Stream);
void column_sums(const Map&, const bf16* x, const Sum&, void* scratch, Stream);
}  // namespace fp::emulated

namespace fp::testing {
namespace {

// Enough rows that a bf16 map of 64 channels has all the chunks that a device is given, twice those of float32.
template <class A>
void expect_sums(Precision precision) {
    const Kernels& k = kernels(Backend::emulated, precision);
    const Device on{k};
    const Map m = on.map({.n = 1, .c = 61, .h = 260, .w = 260});
    const Values x = random_values(m.logical(), 1, k.activation);
    const Tensor map = on.act_in(m, x), sums = on.par_out(on.channels(m.c));
    const Buffer scratch(k, emulated::column_sums_scratch_bytes(m, sizeof(A)));
    const act* const from = map;
    par* const to = sums;
    emulated::column_sums(m, as<A>(from), {as<float>(to), Write::replace}, scratch.data(), {});
    scratch.read();  // checks that nothing was written past its end
    Values want;
    for (int c = 0; c < m.c; ++c)
        want.push_back(std::accumulate(x.begin() + c * m.pixels(), x.begin() + (c + 1) * m.pixels(), 0.0));
    expect_close(sums.values(), want, tolerance(Type::f32), "sums");
}

TEST(Columns, ScratchHoldsEveryChunkOfFloat32) { expect_sums<float>(Precision::f32); }
TEST(Columns, ScratchHoldsEveryChunkOfBf16) { expect_sums<bf16>(Precision::bf16); }

}  // namespace
}  // namespace fp::testing
