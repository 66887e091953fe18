// Asynchronous copies of 16 and 8 bytes, some of them zeros instead ("zfill").
#include "tests/kernels/probe/probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 64;

// Each thread copies 16 bytes, then 8 and 8, from a place that it is given; a bit of the place says whether.
__global__ void async_copy_kernel(const uint32_t* from, const uint32_t* places, uint32_t* out) {
    SHARED(uint32_t, tile, [2][kThreads * 4]);
    const int t = thread_index();
    const uint32_t place = ldg(places + t);
    cp_async16(&tile[0][4 * t], from + 4 * (place % kThreads), place >> 8 & 1);
    cp_async_commit();
    cp_async8(&tile[1][4 * t], from + 2 * (place % (2 * kThreads)), place >> 9 & 1);
    cp_async8(&tile[1][4 * t + 2], from + 2 * (place >> 16 & 63), place >> 10 & 1);
    cp_async_commit();
    cp_async_wait<1>();
    block_sync();
    for (int i = 0; i < 4; ++i) out[4 * t + i] = tile[0][4 * (kThreads - 1 - t) + i];
    cp_async_wait<0>();
    block_sync();
    for (int i = 0; i < 4; ++i) out[4 * (kThreads + t) + i] = tile[1][4 * (kThreads - 1 - t) + i];
}

}  // namespace

void add_copy_probes(std::vector<Probe>& list) {
    list.push_back({.name = "cp_async_zfill", .run = [](const Memory& memory) {
                        const Given<uint32_t> from(memory, probe_words(kThreads * 4, 4));
                        const Given<uint32_t> places(memory, probe_words(kThreads, 5));
                        const Wanted out(memory, {{"width", 2}, {"place", kThreads}, {"word", 4}});
                        launch(async_copy_kernel, {.threads = kThreads}, {}, from.data(), places.data(), out.data());
                        return out.output();
                    }});
}

}  // namespace fp::FP_MACHINE
