// Arithmetic that the machine layer spells in PTX: ex2, and the conversions to what tensor cores take.
#include "tests/kernels/probe/probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kCount = 2048;

__global__ void exp2_kernel(const float* in, float* out) {
    const int i = int(blockIdx.x) * 256 + thread_index();
    out[i] = fast_exp2(ldg(in + i));
}

__global__ void conversions_kernel(const uint32_t* in, uint32_t* out) {
    const int i = int(blockIdx.x) * 256 + thread_index();
    const float low = std::bit_cast<float>(ldg(in + i)), high = std::bit_cast<float>(ldg(in + i) * 3 + 1);
    out[2 * i] = to_tf32(low);
    out[2 * i + 1] = high == high ? pack_bf16(low, high) : pack_bf16(low, 1);
}

// Any float32 but NaN; ties of both roundings, the largest and the smallest among them.
std::vector<uint32_t> any_floats() {
    std::vector<uint32_t> out = probe_words(kCount, 3);
    const uint32_t special[] = {0x00000000, 0x80000000, 0x7f800000, 0xff800000, 0x7f7fffff,
                                0xff7fffff, 0x00000001, 0x807fffff, 0x00800000, 0x3f808000,
                                0x3f818000, 0x3f801000, 0x3f803000, 0xbf801000, 0x3f800fff};
    std::copy(std::begin(special), std::end(special), out.begin());
    for (uint32_t& v : out)
        if ((v & 0x7f800000) == 0x7f800000 && (v & 0x007fffff)) v &= 0xbfffffff;
    return out;
}

}  // namespace

void add_arithmetic_probes(std::vector<Probe>& list) {
    // PTX: 2 ulp over the full range, denormals flushed; the host's own rounding beside it.
    list.push_back({.name = "ex2", .held = Held::relative, .tolerance = 3e-7, .run = [](const Memory& memory) {
                        std::vector<float> exponents = probe_numbers(kCount, 2);
                        for (int i = 0; i < kCount; ++i)
                            exponents[size_t(i)] *= i % 4 == 0 ? 40.0f : i % 4 == 1 ? 0.01f : 3.0f;
                        const float special[] = {0, -0.0f, 1, -1, -126, -127.5f, -150, -2.88f, 127.5f, 129, 1e-30f};
                        std::copy(std::begin(special), std::end(special), exponents.begin());
                        const Given<float> in(memory, exponents);
                        const Wanted out(memory, {{"number", kCount}});
                        launch(exp2_kernel, {.blocks = kCount / 256, .threads = 256}, {}, in.data(), out.floats());
                        return out.output();
                    }});
    list.push_back({.name = "to_tf32_and_pack_bf16", .run = [](const Memory& memory) {
                        const Given<uint32_t> in(memory, any_floats());
                        const Wanted out(memory, {{"number", kCount}, {"conversion", 2}});
                        launch(conversions_kernel, {.blocks = kCount / 256, .threads = 256}, {}, in.data(), out.data());
                        return out.output();
                    }});
}

}  // namespace fp::FP_MACHINE
