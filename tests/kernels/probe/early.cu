// Kernels that begin before the one in front is complete, and wait for it before they read what it wrote.
#include "tests/kernels/probe/hopper_probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kBlocks = 48, kThreads = 64, kLinks = 24, kTurns = 1024;

// Scrambles a number long enough that a kernel behind that does not wait reads before it is stored.
__device__ uint32_t scrambled(uint32_t v, int turns) {
    for (int i = 0; i < turns; ++i) v = v * 1664525u + 1013904223u;
    return v;
}

// Lets the next kernel begin, then waits and reads what another block of the one in front wrote. Odd blocks take longer.
__global__ void early_kernel(const uint32_t* in, uint32_t* out) {
    let_next_begin();
    wait_for_kernels_in_front();
    const int block = int(blockIdx.x), t = thread_index();
    // Not by ldg, which is for what no kernel that runs writes.
    const uint32_t v = in[((block * 7 + 5) % kBlocks) * kThreads + (t + 1) % kThreads];
    stg(out + block * kThreads + t, scrambled(v, block % 2 ? kTurns : kTurns / 8));
}

}  // namespace

void add_early_probes(std::vector<Probe>& list) {
    list.push_back({.name = "early_kernels_wait_for_those_in_front", .run = [](const Memory& memory) {
                        const Given<uint32_t> in(memory, probe_words(kBlocks * kThreads, 31));
                        const Wanted map[2] = {{memory, {{"block", kBlocks}, {"thread", kThreads}}},
                                               {memory, {{"block", kBlocks}, {"thread", kThreads}}}};
                        for (int link = 0; link < kLinks; ++link)
                            launch(early_kernel, {.blocks = kBlocks, .threads = kThreads, .early = true}, {},
                                   link == 0 ? in.data() : map[(link - 1) % 2].data(), map[link % 2].data());
                        return map[(kLinks - 1) % 2].output();
                    }});
}

}  // namespace fp::FP_MACHINE
