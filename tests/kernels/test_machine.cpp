// The emulated machine itself: faults planted in kernels must be caught, and right kernels must pass.
// The faults are those of a GPU programmer's bad day; each says which sign of it we rely on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/machine/emulated/machine.cuh"

namespace fp::emulated {
namespace {

using ::testing::HasSubstr;

// Sets the machine for one test and puts it back.
class Machine : public ::testing::Test {
protected:
    ~Machine() override { settings() = before_; }
    Settings before_ = settings();

    std::vector<float> out_ = std::vector<float>(256, NAN);

    // What launch() complains of; empty if nothing.
    template <class... Params, class... Args>
    std::string complaint(void (*kernel)(Params...), int threads, Args... args) {
        return complaint_with({.threads = threads}, kernel, args...);
    }
    template <class... Params, class... Args>
    std::string complaint_with(const Grid& grid, void (*kernel)(Params...), Args... args) {
        try {
            launch(kernel, grid, {}, args...);
        } catch (const Error& e) {
            return e.what();
        }
        return {};
    }
    int nans() const {
        int count = 0;
        for (const float v : out_) count += v != v;
        return count;
    }
};

// ---- what must work

__global__ void reverse_through_shared(float* out) {
    SHARED(float, tile, [256]);
    const int t = thread_index();
    tile[t] = float(t);
    block_sync();
    out[t] = tile[255 - t];
}

TEST_F(Machine, BarriersOrderSharedMemoryInAnyOrderOfThreads) {
    for (const uint64_t seed : {0, 1, 2, 3}) {
        settings().seed = seed;
        launch(reverse_through_shared, {.threads = 256}, {}, out_.data());
        for (int i = 0; i < 256; ++i) ASSERT_EQ(out_[i], 255 - i) << "seed " << seed;
    }
}

__global__ void lane_games(float* sum, float* odd, float* next, float* halves) {
    const int t = thread_index();
    float v = float(t);
    for (int lanes = 16; lanes; lanes /= 2) v += shuffle_xor(v, lanes);
    sum[t] = v;
    odd[t] = float(ballot(t % 2));
    next[t] = shuffle_down(float(t), 1);
    if (t % 32 < 16)
        halves[t] = shuffle_xor(float(t), 1, 0x0000ffffu);
    else
        halves[t] = shuffle_xor(float(t), 2, 0xffff0000u);
}

TEST_F(Machine, WarpOperationsExchangeAmongTheLanesOfTheirMask) {
    std::vector<float> sum(64), odd(64), next(64), halves(64);
    launch(lane_games, {.threads = 64}, {}, sum.data(), odd.data(), next.data(), halves.data());
    for (int i = 0; i < 64; ++i) {
        EXPECT_EQ(sum[i], i < 32 ? 496 : 1520);
        EXPECT_EQ(odd[i], float(0xaaaaaaaau));
        EXPECT_EQ(next[i], i % 32 == 31 ? i : i + 1);
        EXPECT_EQ(halves[i], i % 32 < 16 ? (i ^ 1) : (i ^ 2));
    }
}

__global__ void last_warp_is_short(float* out) { out[thread_index()] = shuffle(float(thread_index()), 0); }

TEST_F(Machine, AShortLastWarpTakesPart) {
    EXPECT_EQ(complaint(last_warp_is_short, 40, out_.data()), "");
    EXPECT_EQ(out_[39], 32);
}

__global__ void two_named_groups(float* out) {
    SHARED(float, tile, [128]);
    const int t = thread_index(), group = t / 64;
    for (int round = 0; round <= group; ++round) {  // the groups meet a different number of times
        tile[t] = float(t + round);
        named_sync(1 + group, 64);
        out[t] = tile[t ^ 63];
        named_sync(1 + group, 64);
    }
}

TEST_F(Machine, NamedBarriersHoldTheirOwnThreadsOnly) {
    EXPECT_EQ(complaint(two_named_groups, 128, out_.data()), "");
    for (int i = 0; i < 128; ++i) EXPECT_EQ(out_[i], (i ^ 63) + i / 64);
}

__global__ void block_indices(float* out) {
    if (thread_index() == 0)
        out[(blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x] =
            float(blockIdx.x + 10 * blockIdx.y + 100 * blockIdx.z);
}

TEST_F(Machine, EveryBlockRunsOnce) {
    launch(block_indices, {.blocks = 3, .blocks_y = 4, .blocks_z = 5, .threads = 32}, {}, out_.data());
    for (int z = 0; z < 5; ++z)
        for (int y = 0; y < 4; ++y)
            for (int x = 0; x < 3; ++x) EXPECT_EQ(out_[(z * 4 + y) * 3 + x], x + 10 * y + 100 * z);
}

__global__ void staged_copy(const float* from, float* out) {
    SHARED(float, tile, [2][128]);
    const int t = thread_index();
    cp_async16(&tile[0][4 * t], from + 4 * t);
    cp_async_commit();
    cp_async16(&tile[1][4 * t], from + 4 * t, t % 2 == 0);  // zeros for the odd
    cp_async_commit();
    cp_async_wait<1>();
    block_sync();
    out[t] = tile[0][127 - t];
    cp_async_wait<0>();
    block_sync();
    out[32 + t] = tile[1][4 * t];
}

TEST_F(Machine, CopiesArriveWhenWaitedFor) {
    std::vector<float> from(128);
    for (int i = 0; i < 128; ++i) from[i] = float(i);
    for (const bool late : {true, false}) {
        settings().late_copy = late;
        launch(staged_copy, {.threads = 32}, {}, from.data(), out_.data());
        for (int i = 0; i < 32; ++i) {
            EXPECT_EQ(out_[i], 127 - i);
            EXPECT_EQ(out_[32 + i], i % 2 ? 0 : 4 * i);
        }
    }
}

__global__ void counted_copy(const float* from, float* to) {
    const int t = int(blockIdx.x) * 64 + thread_index();
    stg(reinterpret_cast<float4*>(to) + t, ldg(reinterpret_cast<const float4*>(from) + t));
    block_sync();
}

TEST_F(Machine, CountsBytesAndBarriers) {
    alignas(16) std::vector<float> from(1024, 1), to(1024);
    reset_counters();
    launch(counted_copy, {.blocks = 4, .threads = 64}, {}, from.data(), to.data());
    const Counters c = counters();
    EXPECT_EQ(c.launches, 1u);
    EXPECT_EQ(c.blocks, 4u);
    EXPECT_EQ(c.bytes_loaded, 4096u);
    EXPECT_EQ(c.bytes_stored, 4096u);
    EXPECT_EQ(c.barriers, 4u * 64);
    EXPECT_EQ(from, to);
}

// ---- what must be caught

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
    EXPECT_GT(nans(), 0);  // poison: nobody had written it yet
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
    EXPECT_THAT(why, HasSubstr("test_machine.cpp"));
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

// ---- the tensor core, against its definition

__global__ void one_mma_bf16(const bf16* a, const bf16* b, float* d) {
    SHARED(bf16, a_tile, [16][16]);  // rows of A
    SHARED(bf16, b_tile, [16][16]);  // rows of B transposed, twice: ldmatrix brings four matrices
    const int l = lane_index();
    for (int i = l; i < 256; i += 32) {
        a_tile[i / 16][i % 16] = a[i];
        b_tile[i / 16][i % 16] = b[i % 128];
    }
    warp_sync();
    uint32_t fa[4], fb[4];
    ldmatrix_x4(fa, &a_tile[l % 16][l / 16 * 8]);
    ldmatrix_x4(fb, &b_tile[l % 8 + l / 16 * 8][l / 8 % 2 * 8]);
    float sum[4] = {};
    mma_bf16(sum, fa, {fb[0], fb[1]});
    for (int o = 0; o < 4; ++o) d[(l / 4 + o / 2 * 8) * 8 + l % 4 * 2 + o % 2] = sum[o];
}

TEST_F(Machine, MmaBf16MultipliesItsFragments) {
    bf16 a[256], b[128];  // A is 16 x 16, B is stored as 8 rows of 16 (its columns)
    for (int i = 0; i < 256; ++i) a[i] = to_bf16(std::sin(float(i)));
    for (int i = 0; i < 128; ++i) b[i] = to_bf16(std::cos(float(3 * i)));
    launch(one_mma_bf16, {.threads = 32}, {}, a, b, out_.data());
    for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 8; ++n) {
            double want = 0;
            for (int k = 0; k < 16; ++k) want += double(to_float(a[m * 16 + k])) * to_float(b[n * 16 + k]);
            EXPECT_NEAR(out_[m * 8 + n], want, 1e-6) << m << "," << n;
        }
}

__global__ void one_mma_tf32(const float* a, const float* b, float* d) {
    const int l = lane_index(), g = l / 4, q = l % 4;
    const uint32_t fa[4] = {to_tf32(a[g * 8 + q]), to_tf32(a[(g + 8) * 8 + q]), to_tf32(a[g * 8 + q + 4]),
                            to_tf32(a[(g + 8) * 8 + q + 4])};
    const uint32_t fb[2] = {to_tf32(b[q * 8 + g]), to_tf32(b[(q + 4) * 8 + g])};
    float sum[4] = {};
    mma_tf32(sum, fa, fb);
    for (int o = 0; o < 4; ++o) d[(g + o / 2 * 8) * 8 + q * 2 + o % 2] = sum[o];
}

TEST_F(Machine, MmaTf32MultipliesItsFragments) {
    float a[128], b[64];
    for (int i = 0; i < 128; ++i) a[i] = std::sin(float(i));
    for (int i = 0; i < 64; ++i) b[i] = std::cos(float(3 * i));
    launch(one_mma_tf32, {.threads = 32}, {}, a, b, out_.data());
    for (int m = 0; m < 16; ++m)
        for (int n = 0; n < 8; ++n) {
            double want = 0;
            for (int k = 0; k < 8; ++k) want += double(a[m * 8 + k]) * b[k * 8 + n];
            EXPECT_NEAR(out_[m * 8 + n], want, 8 * 2 * 0x1p-11) << m << "," << n;
        }
}

__global__ void transposing_load(const uint16_t* from, uint16_t* to) {
    SHARED(uint16_t, tile, [32][8]);
    const int l = lane_index();
    for (int i = 0; i < 8; ++i) tile[l][i] = from[l * 8 + i];
    warp_sync();
    uint32_t r[4];
    ldmatrix_x4_trans(r, &tile[l][0]);
    for (int m = 0; m < 4; ++m)
        for (int j = 0; j < 2; ++j) to[m * 64 + l / 4 * 8 + l % 4 * 2 + j] = uint16_t(r[m] >> (16 * j));
}

TEST_F(Machine, LdmatrixTransposes) {
    uint16_t from[256], to[256];
    for (int i = 0; i < 256; ++i) from[i] = uint16_t(i * 7);
    launch(transposing_load, {.threads = 32}, {}, from, to);
    for (int m = 0; m < 4; ++m)
        for (int i = 0; i < 8; ++i)
            for (int j = 0; j < 8; ++j) EXPECT_EQ(to[m * 64 + i * 8 + j], from[m * 64 + j * 8 + i]);
}

}  // namespace
}  // namespace fp::emulated
