// Clusters of blocks: their numbers, their barrier, and the shared memory of the other blocks.
#include "tests/kernels/probe/hopper_probe.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 32, kClusters = 2, kRounds = 3;

// In each round a thread writes a number to shared memory and adds up what its neighbour in each block of the cluster
// wrote, weighted by the block. Out: its block's number in the cluster, and the sums.
__global__ void cluster_kernel(const uint32_t* in, int blocks, uint32_t* out) {
    DYN_SHARED(float4, own);
    const int t = thread_index();
    uint32_t* const mine = out + (int(blockIdx.x) * kThreads + t) * (1 + kRounds);
    mine[0] = uint32_t(cluster_rank());
    float number = float(ldg(in + int(blockIdx.x) * kThreads + t) >> 20);
    for (int round = 0; round < kRounds; ++round) {
        own[t] = {number, 0, number + 1, 0};
        cluster_sync();  // all have written
        float sum = 0;
        for (int rank = 0; rank < blocks; ++rank) {
            const float4 other = load_of_block(own + (t + 1 + rank) % kThreads, rank);
            sum += float(rank + 1) * (other.x + other.z);
        }
        number = float(uint32_t(sum) % 4096u);
        mine[1 + round] = uint32_t(sum);
        if (round + 1 < kRounds) cluster_sync();  // all have read
    }
    cluster_exit();
}

void add(std::vector<Probe>& list, int blocks, bool portable) {
    list.push_back(
        {.name = text("cluster_of_", blocks), .binding = portable, .run = [blocks](const Memory& memory) {
             const int all = kClusters * blocks;
             const Given<uint32_t> in(memory, probe_words(size_t(all) * kThreads, 30));
             const Wanted out(memory, {{"block", all}, {"thread", kThreads}, {"rank, sums", 1 + kRounds}});
             launch(cluster_kernel,
                    {.blocks = all, .threads = kThreads, .shared_bytes = kThreads * sizeof(float4), .cluster = blocks},
                    {}, in.data(), blocks, out.data());
             return out.output();
         }});
}

}  // namespace

void add_cluster_probes(std::vector<Probe>& list) {
    add(list, 2, true);
    add(list, 8, true);
    add(list, 16, false);  // not every GPU runs it, and no plan asks for it
}

}  // namespace fp::FP_MACHINE
