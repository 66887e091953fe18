// Products of a warpgroup: every kind of width, fp16 beside bf16, and rows that begin and follow each other otherwise
// than a whole tile's.
#include "tests/kernels/probe/hopper_probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kDepth = 64;

// Where the 64 rows of A lie among those in shared memory: in groups of eight, one row behind the other.
struct RowPlan {
    int first = 0;             // row
    int group_bytes = 1024;    // from a group to the next
    bool base_offset = false;  // the descriptor says that the pattern of exchanged chunks begins at `first`
};

// Sums as the threads hold them, of A (64 rows) B^T (kN rows), 64 deep. Element: bf16 or f16.
template <int kN, class Element>
__global__ void warpgroup_kernel(
    const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, int a_rows, RowPlan plan, float* out) {
    DYN_SHARED(unsigned char, rows_a);
    unsigned char* const rows_b = rows_a + a_rows * 128;
    auto* barrier = reinterpret_cast<Mbarrier*>(rows_b + kN * 128);
    if (thread_index() == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_init_fence();
    }
    block_sync();
    if (thread_index() == 0) {
        mbarrier_arrive_expect(barrier, (a_rows + kN) * 128);
        tensor_load_3d(rows_a, a, 0, 0, 0, barrier);
        tensor_load_3d(rows_b, b, 0, 0, 0, barrier);
    }
    const bool all_came = phase_ends(barrier, 0);
    block_sync();
    if (!all_came) return;

    float d[kN / 2];
    wgmma_fence();
    UNROLL
    for (int k = 0; k < kDepth; k += 16) {
        uint64_t from = row_descriptor(rows_a + plan.first * 128 + k * 2);
        from = (from & ~(uint64_t(0x3fff) << 32)) | uint64_t(plan.group_bytes >> 4) << 32;
        if (plan.base_offset) from |= uint64_t(plan.first % 8) << 49;
        if constexpr (std::is_same_v<Element, f16>)
            wgmma_f16<kN>(d, from, row_descriptor(rows_b + k * 2), k > 0);
        else
            wgmma_bf16<kN>(d, from, row_descriptor(rows_b + k * 2), k > 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    UNROLL
    for (int i = 0; i < kN / 2; ++i) out[thread_index() * (kN / 2) + i] = d[i];
}

// Rows that the threads write themselves, chunks exchanged as the tensor memory unit would.
__global__ void own_rows_kernel(const bf16* a, const bf16* b, float* out) {
    constexpr int kN = 32;
    DYN_SHARED(bf16, rows);
    for (int i = thread_index(); i < (64 + kN) * kDepth; i += kWarpgroup) {
        const int row = i / kDepth, k = i % kDepth;
        rows[row * kDepth + ((k / 8) ^ (row % 8)) * 8 + k % 8] = row < 64 ? ldg(a + i) : ldg(b + i - 64 * kDepth);
    }
    async_fence();
    block_sync();
    async_fence();
    float d[kN / 2];
    wgmma_fence();
    UNROLL
    for (int k = 0; k < kDepth; k += 16)
        wgmma_bf16<kN>(d, row_descriptor(rows + k), row_descriptor(rows + 64 * kDepth + k), k > 0);
    wgmma_commit();
    wgmma_wait<0>();
    UNROLL
    for (int i = 0; i < kN / 2; ++i) out[thread_index() * (kN / 2) + i] = d[i];
}

TensorMapSpec rows_of(const void* base, int rows) {
    return {
        .base = base, .rank = 3, .size = {kDepth, 1, rows}, .stride = {1, kDepth, kDepth}, .box = {kDepth, 1, rows}};
}

template <class Element>
std::vector<Element> numbers(int rows, uint64_t seed) {
    if constexpr (std::is_same_v<Element, f16>)
        return f16_numbers(size_t(rows) * kDepth, seed);
    else
        return bf16_numbers(size_t(rows) * kDepth, seed);
}

template <int kN, class Element = bf16>
ProbeOutput products(const Memory& memory, int a_rows, const std::vector<RowPlan>& plans) {
    const Given<Element> a(memory, numbers<Element>(a_rows, 20)), b(memory, numbers<Element>(kN, 21));
    const TensorMap map_a = encode(rows_of(a.data(), a_rows)), map_b = encode(rows_of(b.data(), kN));
    const Wanted out(memory, {{"case", int64_t(plans.size())}, {"thread", kWarpgroup}, {"register", kN / 2}});
    for (size_t i = 0; i < plans.size(); ++i)
        launch(warpgroup_kernel<kN, Element>, {.threads = kWarpgroup, .shared_bytes = size_t(a_rows + kN) * 128 + 64},
               {}, map_a, map_b, a_rows, plans[i], out.floats() + i * kWarpgroup * (kN / 2));
    return out.output();
}

// As the warp's own products lose (matrix.cu), over four instructions.
constexpr double kTolerance = 1e-5;

template <int kN, class Element = bf16>
void add_width(std::vector<Probe>& list) {
    list.push_back({.name = text(std::is_same_v<Element, f16> ? "wgmma_f16_n" : "wgmma_n", kN),
                    .held = Held::to_largest,
                    .tolerance = kTolerance,
                    .run = [](const Memory& memory) { return products<kN, Element>(memory, 64, {{}}); }});
}

void add_plans(std::vector<Probe>& list, const char* name, bool binding, const std::vector<RowPlan>& plans) {
    list.push_back({.name = name,
                    .held = Held::to_largest,
                    .tolerance = kTolerance,
                    .binding = binding,
                    .run = [plans](const Memory& memory) { return products<8>(memory, 160, plans); }});
}

}  // namespace

void add_warpgroup_probes(std::vector<Probe>& list) {
    add_width<64>(list);
    add_width<8>(list);
    add_width<16>(list);
    add_width<24>(list);
    add_width<40>(list);
    add_width<72>(list);
    add_width<104>(list);
    add_width<128>(list);
    add_width<200>(list);
    add_width<256>(list);
    add_width<8, f16>(list);
    add_width<128, f16>(list);
    list.push_back({.name = "wgmma_n32_of_rows_the_threads_wrote",
                    .held = Held::to_largest,
                    .tolerance = kTolerance,
                    .run = [](const Memory& memory) {
                        const Given<bf16> a(memory, bf16_numbers(64 * kDepth, 24)),
                            b(memory, bf16_numbers(32 * kDepth, 25));
                        const Wanted out(memory, {{"thread", kWarpgroup}, {"register", 16}});
                        launch(own_rows_kernel, {.threads = kWarpgroup, .shared_bytes = (64 + 32) * 128}, {}, a.data(),
                               b.data(), out.floats());
                        return out.output();
                    }});
    // A patch of pixels is read once, and its taps are rows further in.
    add_plans(list, "wgmma_rows_from_any_128_bytes_on", true, {{1}, {2}, {3}, {4}, {5}, {6}, {7}, {9}});
    add_plans(list, "wgmma_groups_of_rows_2048_bytes_apart", false, {{0, 2048}, {3, 2048}});
    add_plans(
        list, "wgmma_patch_10_pixels_wide", true,
        {{0, 1280}, {1, 1280}, {2, 1280}, {10, 1280}, {11, 1280}, {12, 1280}, {20, 1280}, {21, 1280}, {22, 1280}});
    add_plans(list, "wgmma_rows_from_any_128_bytes_on_told_as_base_offset", false,
              {{1, 1024, true}, {4, 1024, true}, {7, 1024, true}});
}

}  // namespace fp::FP_MACHINE
