// From L2 into shared memory by the tensor memory unit: every block keeps eight tiles of 16 KiB on their way and reads
// none of them. Two blocks follow each other through the region a prime number of tiles apart, so no tile is asked for by
// all at once.
#include "bench/gpu/rates/rates.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kRows = 128, kTileBytes = kRows * 128, kStages = 8;

struct Stages {
    unsigned char tile[kStages][kTileBytes];
    Mbarrier full[kStages];
};

__global__ void l2_kernel(const __grid_constant__ TensorMap map, int tiles, int steps) {
    DYN_SHARED(Stages, s);
    if (thread_index() != 0) return;
    for (Mbarrier& b : s->full) mbarrier_init(&b, 1);
    mbarrier_init_fence();
    int tile = int(blockIdx.x) * 37 % tiles;
    const auto bring = [&](int stage) {
        mbarrier_arrive_expect(&s->full[stage], kTileBytes);
        tensor_load_3d(s->tile[stage], map, 0, 0, tile * kRows, &s->full[stage]);
        if (++tile == tiles) tile = 0;
    };
    for (int i = 0; i < kStages; ++i) bring(i);
    for (int i = 0; i < steps; ++i) {
        mbarrier_wait(&s->full[i % kStages], i / kStages % 2);
        if (i + kStages < steps) bring(i % kStages);
    }
}

__global__ void fill_kernel(uint16_t* out) {
    const uint32_t i = blockIdx.x * 256 + uint32_t(thread_index());
    out[i] = some_bf16(i);
}

}  // namespace

Rate l2_rate(const Kernels& k, const RateAsked& asked) {
    const int tiles = asked.variant * 1024 / kTileBytes;
    FP_REQUIRE(tiles > 0 && asked.steps >= kStages, Exit::usage, "rate l2: ", asked.variant, " KiB, ", asked.steps,
               " steps");
    const auto region = block_of(k.memory, size_t(tiles) * kTileBytes);
    launch(fill_kernel, {.blocks = int64_t(tiles) * kTileBytes / 512, .threads = 256}, {},
           static_cast<uint16_t*>(region.get()));
    const TensorMap map = encode({.base = region.get(),
                                  .rank = 3,
                                  .size = {64, 1, int64_t(tiles) * kRows},
                                  .stride = {1, 64, 64},
                                  .box = {64, 1, kRows}});
    const Grid grid{.blocks = asked.blocks, .threads = kWarp, .shared_bytes = sizeof(Stages)};
    return {
        .units = double(asked.blocks) * asked.steps * kTileBytes,
        .call = [region, map, tiles, grid, steps = asked.steps] { launch(l2_kernel, grid, {}, map, tiles, steps); }};
}

}  // namespace fp::FP_MACHINE
