// Products of a warpgroup whose operands lie across the sum ("MN-major"): each row of shared memory is one step of the
// sum and holds 64 lines.
#include "tests/kernels/probe/hopper_probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kDepth = 64, kBoxBytes = kDepth * 128;  // of 64 lines across the sum

constexpr int boxes(int lines) { return int(ceil_div(lines, 64)); }
constexpr int bytes_of(Operand lies, int lines) {
    return lies == Operand::rows ? lines * 128 : boxes(lines) * kBoxBytes;
}

template <int kN, Operand kA, Operand kB>
__global__ void columns_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, float* out) {
    DYN_SHARED(unsigned char, at_a);
    constexpr int kBytesA = bytes_of(kA, 64), kBytesB = bytes_of(kB, kN);
    unsigned char* const at_b = at_a + kBytesA;
    auto* barrier = reinterpret_cast<Mbarrier*>(at_b + kBytesB);
    if (thread_index() == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_init_fence();
    }
    block_sync();
    if (thread_index() == 0) {
        mbarrier_arrive_expect(barrier, kBytesA + kBytesB);
        tensor_load_3d(at_a, a, 0, 0, 0, barrier);
        for (int i = 0; i < (kB == Operand::rows ? 1 : boxes(kN)); ++i)
            tensor_load_3d(at_b + i * kBoxBytes, b, i * 64, 0, 0, barrier);
    }
    const bool all_came = phase_ends(barrier, 0);
    block_sync();
    if (!all_came) return;

    const auto descriptor = [](Operand lies, const unsigned char* at, int k) {
        return lies == Operand::rows ? row_descriptor(at + k * 2) : column_descriptor(at + k * 128, kBoxBytes);
    };
    float d[kN / 2];
    wgmma_fence();
    UNROLL
    for (int k = 0; k < kDepth; k += 16)
        wgmma_bf16<kN, kA, kB>(d, descriptor(kA, at_a, k), descriptor(kB, at_b, k), k > 0);
    wgmma_commit();
    wgmma_wait<0>();
    UNROLL
    for (int i = 0; i < kN / 2; ++i) out[thread_index() * (kN / 2) + i] = d[i];
}

TensorMapSpec lying(Operand lies, const void* base, int lines) {
    if (lies == Operand::rows)
        return {
            .base = base, .rank = 3, .size = {kDepth, 1, lines}, .stride = {1, kDepth, kDepth}, .box = {64, 1, lines}};
    return {.base = base, .rank = 3, .size = {lines, 1, kDepth}, .stride = {1, lines, lines}, .box = {64, 1, kDepth}};
}

template <int kN, Operand kA, Operand kB>
void add(std::vector<Probe>& list, const char* which) {
    list.push_back({.name = text("wgmma_n", kN, "_", which, "_across_the_sum"),
                    .held = Held::to_largest,
                    .tolerance = 1e-5,
                    .binding = kN % 64 == 0,  // kernels take whole boxes
                    .run = [](const Memory& memory) {
                        const Given<bf16> a(memory, bf16_numbers(64 * kDepth, 22)),
                            b(memory, bf16_numbers(size_t(kN) * kDepth, 23));
                        const Wanted out(memory, {{"thread", kWarpgroup}, {"register", kN / 2}});
                        launch(
                            columns_kernel<kN, kA, kB>,
                            {.threads = kWarpgroup, .shared_bytes = size_t(bytes_of(kA, 64) + bytes_of(kB, kN)) + 64},
                            {}, encode(lying(kA, a.data(), 64)), encode(lying(kB, b.data(), kN)), out.floats());
                        return out.output();
                    }});
}

}  // namespace

void add_column_probes(std::vector<Probe>& list) {
    add<64, Operand::columns, Operand::rows>(list, "a");
    add<64, Operand::rows, Operand::columns>(list, "b");
    add<40, Operand::rows, Operand::columns>(list, "b");
    add<72, Operand::rows, Operand::columns>(list, "b");
    add<72, Operand::columns, Operand::columns>(list, "both");
    add<128, Operand::columns, Operand::columns>(list, "both");
}

}  // namespace fp::FP_MACHINE
