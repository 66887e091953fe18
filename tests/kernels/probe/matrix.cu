// A warp's matrix instructions: loads and stores of 8x8 matrices, products of bf16, fp16 and TF32.
#include "hopper.cuh"
#include "tests/kernels/probe/probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kTiles = 8;  // one per warp

enum class Operands { bf16, f16, tf32 };

// Rows lie where a permutation says, so that no lane is given its own.
__global__ void matrices_kernel(const uint32_t* in, uint32_t* out) {
    SHARED(uint32_t, rows, [32][4]);
    SHARED(uint32_t, back, [32][4]);
    const int l = lane_index();
    for (int i = 0; i < 4; ++i) rows[l][i] = ldg(in + l * 4 + i), back[l][i] = 0;
    warp_sync();
    uint32_t plain[4], turned[4];
    const int row = (l * 5 + 11) % 32;
    ldmatrix_x4(plain, &rows[row][0]);
    ldmatrix_x4_trans(turned, &rows[row][0]);
    stmatrix_x4(&back[(l * 13 + 2) % 32][0], {plain[1], turned[2], plain[3], turned[0]});
    warp_sync();
    for (int i = 0; i < 4; ++i) {
        out[l * 4 + i] = plain[i];
        out[(32 + l) * 4 + i] = turned[i];
        out[(64 + l) * 4 + i] = back[l][i];
    }
}

// Fragments as lanes hold them, twice, so that sums are added to.
__global__ void fragment_products_kernel(const uint32_t* a, const uint32_t* b, float* out, Operands type) {
    const int t = thread_index();
    const uint32_t *mine = a + t * 8, *others = b + t * 4;
    float d[4] = {};
    for (int step = 0; step < 2; ++step) {
        const uint32_t fa[4] = {ldg(mine + step * 4), ldg(mine + step * 4 + 1), ldg(mine + step * 4 + 2),
                                ldg(mine + step * 4 + 3)};
        const uint32_t fb[2] = {ldg(others + step * 2), ldg(others + step * 2 + 1)};
        if (type == Operands::tf32)
            mma_tf32(d, fa, fb);
        else if (type == Operands::f16)
            mma_f16(d, fa, fb);
        else
            mma_bf16(d, fa, fb);
    }
    for (int i = 0; i < 4; ++i) out[t * 4 + i] = d[i];
}

std::vector<uint32_t> bf16_pairs(size_t count, uint64_t seed) {
    const std::vector<bf16> halves = bf16_numbers(2 * count, seed);
    std::vector<uint32_t> out;
    for (size_t i = 0; i < count; ++i)
        out.push_back(uint32_t(halves[2 * i].bits) | uint32_t(halves[2 * i + 1].bits) << 16);
    return out;
}

std::vector<uint32_t> f16_pairs(size_t count, uint64_t seed) {
    const std::vector<f16> halves = f16_numbers(2 * count, seed);
    std::vector<uint32_t> out;
    for (size_t i = 0; i < count; ++i)
        out.push_back(uint32_t(halves[2 * i].bits) | uint32_t(halves[2 * i + 1].bits) << 16);
    return out;
}

// Float32 with all its bits: the tensor core drops 13 of them by itself.
std::vector<uint32_t> whole_floats(size_t count, uint64_t seed) {
    std::vector<uint32_t> out;
    for (const float v : probe_numbers(count, seed)) out.push_back(std::bit_cast<uint32_t>(v));
    return out;
}

ProbeOutput products(const Memory& memory, Operands type) {
    constexpr size_t kThreads = 32 * kTiles;
    const auto operands = type == Operands::tf32 ? whole_floats : type == Operands::f16 ? f16_pairs : bf16_pairs;
    const Given<uint32_t> a(memory, operands(kThreads * 8, 7)), b(memory, operands(kThreads * 4, 8));
    const Wanted out(memory, {{"warp", kTiles}, {"lane", 32}, {"register", 4}});
    launch(fragment_products_kernel, {.threads = int(kThreads)}, {}, a.data(), b.data(), out.floats(), type);
    return out.output();
}

}  // namespace

void add_matrix_probes(std::vector<Probe>& list) {
    list.push_back(
        {.name = "ldmatrix_and_stmatrix", .run = [](const Memory& memory) {
             const Given<uint32_t> in(memory, probe_words(128, 6));
             const Wanted out(memory, {{"case (plain, transposed, stored)", 3}, {"lane", 32}, {"register", 4}});
             launch(matrices_kernel, {.threads = 32}, {}, in.data(), out.data());
             return out.output();
         }});
    // Products are exact, sums lose what a tensor core drops when it lines terms up: 2^-23 or so of the largest
    // term each.
    list.push_back(
        {.name = "mma_bf16_m16n8k16", .held = Held::to_largest, .tolerance = 1e-5, .run = [](const Memory& memory) {
             return products(memory, Operands::bf16);
         }});
    list.push_back(
        {.name = "mma_f16_m16n8k16", .held = Held::to_largest, .tolerance = 1e-5, .run = [](const Memory& memory) {
             return products(memory, Operands::f16);
         }});
    list.push_back({.name = "mma_tf32_m16n8k8_drops_13_bits",
                    .held = Held::to_largest,
                    .tolerance = 1e-5,
                    .run = [](const Memory& memory) { return products(memory, Operands::tf32); }});
}

}  // namespace fp::FP_MACHINE
