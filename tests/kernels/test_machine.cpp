// The emulated machine: correct kernels must pass, in every order of threads.
#include "tests/kernels/machine_test.h"

namespace fp::emulated {
namespace {

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

// ---- the tensor core, against its definition

__global__ void one_mma_bf16(const bf16* a, const bf16* b, float* d) {
    SHARED(bf16, a_tile, [16][16]);  // rows of A
    SHARED(bf16, b_tile, [16][16]);  // rows of B transposed, twice: ldmatrix loads four matrices
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
