// The emulated machine: faults planted in kernels must be caught.
#include "tests/kernels/machine_test.h"

namespace fp::emulated {
namespace {

using ::testing::HasSubstr;

constexpr char kPlanted[] = "ThreadSanitizer reports the race that is planted here, as it should";

__global__ void reads_neighbour_without_barrier(float* out) {
    SHARED(float, tile, [256]);
    const int t = thread_index();
    tile[t] = float(t);
    out[t] = t ? tile[t - 1] : 0;
}

TEST_F(Machine, AMissingBarrierShowsInARandomOrderThoughTheNaturalOneHidesIt) {
    if (under_tsan()) GTEST_SKIP() << kPlanted;
    settings().seed = 0;
    launch(reads_neighbour_without_barrier, {.threads = 256}, {}, out_.data());
    EXPECT_EQ(nans(), 0);
    settings().seed = 1;
    launch(reads_neighbour_without_barrier, {.threads = 256}, {}, out_.data());
    EXPECT_GT(nans(), 0);  // not yet written
}

__global__ void reads_across_lanes_without_warp_sync(float* out, bool synchronised) {
    SHARED(float, tile, [256]);
    const int t = thread_index();
    tile[t] = float(t);
    if (synchronised) warp_sync();
    out[t] = tile[t & ~31];
}

TEST_F(Machine, AMissingWarpSyncShowsInARandomOrder) {
    launch(reads_across_lanes_without_warp_sync, {.threads = 256}, {}, out_.data(), true);
    EXPECT_EQ(nans(), 0);
    if (under_tsan()) GTEST_SKIP() << kPlanted;
    launch(reads_across_lanes_without_warp_sync, {.threads = 256}, {}, out_.data(), false);
    EXPECT_GT(nans(), 0);
}

__global__ void double_buffer(float* out, bool second_barrier) {
    SHARED(float, tile, [256]);
    const int t = thread_index();
    float sum = 0;
    for (int round = 0; round < 4; ++round) {
        tile[t] = float(round);
        block_sync();
        sum += tile[(t + 100) % 256];
        if (second_barrier) block_sync();
    }
    out[t] = sum;
}

TEST_F(Machine, AMissingSecondBarrierGivesAWrongSum) {
    launch(double_buffer, {.threads = 256}, {}, out_.data(), true);
    EXPECT_EQ(out_, std::vector<float>(256, 6));
    if (under_tsan()) GTEST_SKIP() << kPlanted;
    launch(double_buffer, {.threads = 256}, {}, out_.data(), false);
    EXPECT_NE(out_, std::vector<float>(256, 6));
}

__global__ void reads_what_nobody_wrote(float* out) {
    SHARED(float, tile, [256]);
    const int t = thread_index();
    if (t < 200) tile[t] = 1;
    block_sync();
    out[t] = tile[t];
}

TEST_F(Machine, UnwrittenSharedMemoryReadsAsNaN) {
    launch(reads_what_nobody_wrote, {.threads = 256}, {}, out_.data());
    EXPECT_EQ(nans(), 56);
}

__global__ void copy_without_wait(const float* from, float* out) {
    SHARED(float, tile, [128]);
    cp_async16(&tile[4 * thread_index()], from + 4 * thread_index());
    cp_async_commit();
    block_sync();
    out[thread_index()] = tile[thread_index()];
}

TEST_F(Machine, ACopyNobodyWaitedForHasNotArrived) {
    std::vector<float> from(128, 1);
    launch(copy_without_wait, {.threads = 32}, {}, from.data(), out_.data());
    EXPECT_EQ(nans(), 256);
}

__global__ void some_skip_the_barrier(float* out) {
    if (thread_index() < 250) block_sync();
    out[thread_index()] = 1;
}

TEST_F(Machine, ABarrierThatSomeSkipIsADeadlock) {
    const std::string why = complaint(some_skip_the_barrier, 256, out_.data());
    EXPECT_THAT(why, HasSubstr("6 of 256 threads have left, 250 wait at the block's barrier"));
    EXPECT_THAT(why, HasSubstr("test_machine_faults.cpp"));
}

__global__ void barriers_in_both_branches(float* out) {
    if (thread_index() < 32) {
        block_sync();
    } else {
        block_sync();
    }
    out[thread_index()] = 1;
}

TEST_F(Machine, ABarrierAtTwoPlacesIsDivergent) {
    EXPECT_THAT(complaint(barriers_in_both_branches, 64, out_.data()), HasSubstr("divergent barrier"));
}

__global__ void full_shuffle_in_half_a_warp(float* out) {
    const int t = thread_index();
    if (t % 32 < 16) out[t] = shuffle_xor(float(t), 1);
}

TEST_F(Machine, AFullMaskInHalfAWarpIsADeadlockThatNamesTheMask) {
    const std::string why = complaint(full_shuffle_in_half_a_warp, 32, out_.data());
    EXPECT_THAT(why, HasSubstr("deadlock"));
    EXPECT_THAT(why, HasSubstr("a warp operation of lanes 0xffffffff"));
}

__global__ void overlapping_masks(float* out) {
    const int t = thread_index();
    out[t] = t < 16 ? shuffle(1.f, 0, 0x0001ffffu) : shuffle(2.f, 16, 0xffff0000u);
}

TEST_F(Machine, OverlappingMasksAreAnError) {
    EXPECT_THAT(complaint(overlapping_masks, 32, out_.data()), HasSubstr("overlapping masks"));
}

__global__ void outside_its_mask(float* out) { out[thread_index()] = shuffle(1.f, 0, 0xffff0000u); }

TEST_F(Machine, ALaneOutsideItsOwnMaskIsAnError) {
    EXPECT_THAT(complaint(outside_its_mask, 32, out_.data()), HasSubstr("not in its own mask"));
}

__global__ void ballot_meets_shuffle(float* out) {
    const int t = thread_index();
    if (t < 16)
        out[t] = shuffle(1.f, 0);
    else
        out[t] = float(ballot(true));
}

TEST_F(Machine, DifferentWarpOperationsDoNotMeet) {
    EXPECT_THAT(complaint(ballot_meets_shuffle, 32, out_.data()), HasSubstr("different warp operations meet"));
}

__global__ void writes_past_shared(int past) {
    SHARED(float, tile, [250]);
    float* p = &tile[0];
    p[thread_index() + past] = 1;
}

TEST_F(Machine, WritesPastASharedArrayAreSeen) {
    if (under_asan()) GTEST_SKIP() << "AddressSanitizer stops at the write itself";
    EXPECT_EQ(complaint(writes_past_shared, 250, 0), "");
    EXPECT_THAT(complaint(writes_past_shared, 250, 1), HasSubstr("written outside the array of"));
    EXPECT_THAT(complaint(writes_past_shared, 250, -1), HasSubstr("written outside the array of"));
}

__global__ void writes_past_dynamic(int past) {
    DYN_SHARED(float, tile);
    tile[thread_index() + past] = 1;
}

TEST_F(Machine, WritesPastDynamicSharedMemoryAreSeen) {
    if (under_asan()) GTEST_SKIP() << "AddressSanitizer stops at the write itself";
    const Grid grid{.threads = 64, .shared_bytes = 256};
    EXPECT_EQ(complaint_with(grid, writes_past_dynamic, 0), "");
    EXPECT_THAT(complaint_with(grid, writes_past_dynamic, 1), HasSubstr("dynamic shared memory"));
}

__global__ void touches_nothing() {}

TEST_F(Machine, TooMuchSharedMemoryIsRefused) {
    const Grid most{.threads = 32, .shared_bytes = 227 << 10};
    const Grid more{.threads = 32, .shared_bytes = (227 << 10) + 16};
    EXPECT_EQ(complaint_with(most, touches_nothing), "");
    EXPECT_THAT(complaint_with(more, touches_nothing), HasSubstr("shared memory"));
    EXPECT_THAT(complaint(touches_nothing, 1025), HasSubstr("1025 threads"));
    EXPECT_THAT(complaint_with({.blocks = 0}, touches_nothing), HasSubstr("empty grid"));
}

__global__ void loads_a_misaligned_vector(const float* from) {
    ldg(reinterpret_cast<const float4*>(from + thread_index()));
}

TEST_F(Machine, AMisalignedVectorIsSeen) {
    alignas(16) float from[8] = {};
    EXPECT_EQ(complaint(loads_a_misaligned_vector, 1, &from[0]), "");
    EXPECT_THAT(complaint(loads_a_misaligned_vector, 1, &from[1]), HasSubstr("misaligned access of 16 bytes"));
}

// After a stopped block the machine goes on as if nothing had been.
TEST_F(Machine, WorksAgainAfterAFault) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_NE(complaint(full_shuffle_in_half_a_warp, 32, out_.data()), "");
        EXPECT_NE(complaint(some_skip_the_barrier, 256, out_.data()), "");
        EXPECT_EQ(complaint(reverse_through_shared, 256, out_.data()), "");
        EXPECT_EQ(out_[0], 255);
    }
}

}  // namespace
}  // namespace fp::emulated
