// Clusters of blocks and kernels that begin early, on the emulated machine: what they do, and faults planted one at a
// time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "kernels/machine/emulated/hopper.cuh"
#include "kernels/machine/emulated/sanitizers.h"

namespace fp::emulated {
namespace {

using ::testing::HasSubstr;

template <class... Params, class... Args>
std::string complaint(const Grid& grid, void (*kernel)(Params...), Args... args) {
    try {
        launch(kernel, grid, {}, args...);
    } catch (const Error& e) {
        return e.what();
    }
    return {};
}

// Each block writes its number; then each adds the numbers of all, weighted by their rank.
__global__ void adds_over_cluster(float* sums, int blocks, bool first_barrier, bool second_barrier) {
    DYN_SHARED(float4, own);
    own[thread_index()] = {float(blockIdx.x) + 1, 0, 0, 0};
    if (first_barrier) cluster_sync();
    float sum = 0;
    for (int rank = 0; rank < blocks; ++rank) sum += float(rank + 1) * load_of_block(own + thread_index(), rank).x;
    if (thread_index() == 0) stg(sums + blockIdx.x, sum);
    if (second_barrier) cluster_exit();
}
const Grid kTwoClusters{.blocks = 6, .threads = 64, .shared_bytes = 64 * sizeof(float4), .cluster = 3};

TEST(Clusters, BlocksReadEachOthersSharedMemory) {
    for (const uint64_t seed : {0, 1, 2, 3}) {
        settings().seed = seed;
        std::vector<float> sums(6);
        EXPECT_EQ(complaint(kTwoClusters, adds_over_cluster, sums.data(), 3, true, true), "");
        EXPECT_EQ(sums, (std::vector<float>{14, 14, 14, 32, 32, 32})) << "seed " << seed;
    }
    settings() = {};
}

// Without the first barrier some block reads what has not been written; without the second one that has left.
TEST(Clusters, MissingBarriersAreSeen) {
    if (under_tsan()) GTEST_SKIP() << "ThreadSanitizer reports them itself";
    std::vector<float> sums(6);
    EXPECT_EQ(complaint(kTwoClusters, adds_over_cluster, sums.data(), 3, false, true), "");
    int wrong = 0;
    for (const float sum : sums) wrong += sum != sum;
    EXPECT_GT(wrong, 0);
    EXPECT_THAT(complaint(kTwoClusters, adds_over_cluster, sums.data(), 3, true, false),
                AllOf(HasSubstr("which is read, has left"), HasSubstr("test_clusters.cpp")));
}

enum class Behind { nothing, block, global };
__global__ void goes_on_behind_exit(float* sums, Behind what) {
    DYN_SHARED(float4, own);
    own[thread_index()] = {};
    cluster_sync();
    cluster_exit();
    if (what == Behind::block) own[thread_index()] = load_of_block(own + thread_index(), 1);
    if (what == Behind::global) stg(sums + thread_index(), 1.0f);
}

TEST(Clusters, NothingIsTouchedBehindTheExit) {
    std::vector<float> sums(64);
    const auto run = [&](Behind what) { return complaint(kTwoClusters, goes_on_behind_exit, sums.data(), what); };
    EXPECT_EQ(run(Behind::nothing), "");
    EXPECT_THAT(run(Behind::block), HasSubstr("a read of block 1 behind cluster_exit()"));
    EXPECT_THAT(run(Behind::global), HasSubstr("global memory behind cluster_exit()"));
}

TEST(Clusters, ThereAreNoOtherBlocks) {
    std::vector<float> sums(6);
    EXPECT_THAT(complaint(kTwoClusters, adds_over_cluster, sums.data(), 4, true, true),
                HasSubstr("block 3 of a cluster of 3"));
    Grid uneven = kTwoClusters;
    uneven.blocks = 7;
    EXPECT_THAT(complaint(uneven, adds_over_cluster, sums.data(), 3, true, true), HasSubstr("clusters of 3 in 7"));
    Grid large = kTwoClusters;
    large.blocks = large.cluster = 17;
    EXPECT_THAT(complaint(large, adds_over_cluster, sums.data(), 17, true, true), HasSubstr("clusters of 17"));
}

__global__ void waits_apart() {
    if (thread_index() < 32)
        cluster_sync();
    else
        block_sync();
}

TEST(Clusters, ABarrierThatSomeThreadsMissIsADeadlock) {
    EXPECT_THAT(complaint({.blocks = 2, .threads = 64, .cluster = 2}, waits_apart),
                AllOf(HasSubstr("deadlock"), HasSubstr("the cluster's barrier")));
}

__global__ void has_a_static_array() {
    SHARED(int, numbers, [32]);
    numbers[thread_index()] = 0;
}

TEST(Clusters, HaveDynamicSharedMemoryAlone) {
    EXPECT_EQ(complaint({.blocks = 2, .threads = 32}, has_a_static_array), "");
    EXPECT_THAT(complaint({.blocks = 2, .threads = 32, .cluster = 2}, has_a_static_array),
                HasSubstr("only dynamic shared memory"));
}

// ---- kernels that begin early

enum class Access { none, load, store, copy };
__global__ void begins_early(float4* memory, Access before, bool waits) {
    DYN_SHARED(float4, shared);
    let_next_begin();
    float4* const own = memory + thread_index();
    if (before == Access::load) ldg(own);
    if (before == Access::store) stg(own, float4{});
    if (before == Access::copy) cp_async16(shared + thread_index(), own);
    if (waits) wait_for_kernels_in_front();
    if (waits) stg(own, ldg(own));
}

TEST(EarlyKernels, TouchGlobalMemoryOnlyBehindTheWait) {
    std::vector<float4> memory(32);
    const auto run = [&](bool early, Access before, bool waits) {
        return complaint({.threads = 32, .shared_bytes = 32 * sizeof(float4), .early = early}, begins_early,
                         memory.data(), before, waits);
    };
    EXPECT_EQ(run(true, Access::none, true), "");
    for (const Access before : {Access::load, Access::store, Access::copy}) {
        EXPECT_EQ(run(false, before, true), "");
        EXPECT_THAT(run(true, before, true), AllOf(HasSubstr("global memory before wait_for_kernels_in_front()"),
                                                   HasSubstr("test_clusters.cpp")));
    }
    EXPECT_EQ(run(false, Access::none, false), "");
    EXPECT_THAT(run(true, Access::none, false), HasSubstr("left without waiting for the kernels in front"));
}

__global__ void copies_early(const TensorMapSpec map) {
    DYN_SHARED(unsigned char, memory);
    auto* barrier = reinterpret_cast<Mbarrier*>(memory + 8192);
    if (thread_index() == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(barrier, map.bytes());
        tensor_load_3d(memory, map, 0, 0, 0, barrier);
    }
    block_sync();
    mbarrier_wait(barrier, 0);
    wait_for_kernels_in_front();
}

TEST(EarlyKernels, CopyOnlySettledArraysBeforeTheWait) {
    alignas(16) static uint16_t numbers[8 * 64];
    TensorMapSpec map{.base = numbers, .rank = 3, .size = {64, 1, 8}, .stride = {1, 64, 64}, .box = {64, 1, 8}};
    const Grid grid{.threads = 32, .shared_bytes = 8192 + 8, .early = true};
    EXPECT_THAT(complaint(grid, copies_early, map), HasSubstr("global memory before wait_for_kernels_in_front()"));
    map.settled = true;
    EXPECT_EQ(complaint(grid, copies_early, map), "");
}

}  // namespace
}  // namespace fp::emulated
