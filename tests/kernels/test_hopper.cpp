// What the emulated machine adds for Hopper: tensor copies, barriers that count bytes, warpgroup products.
// First what must work, then faults planted in the kernels that must be caught.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/machine/emulated/hopper.cuh"

namespace fp::emulated {
namespace {

using ::testing::HasSubstr;

constexpr int kRows = 64, kColumns = 32, kDepth = 64, kSteps = 7, kStages = 2;

struct Stages {
    unsigned char rows[kStages][kRows * 128];
    unsigned char columns[kStages][kColumns * 128];
    bf16 plain[kRows][64];
    Mbarrier full[kStages], empty[kStages];
};

// The faults of the kernel below, one at a time.
enum class Fault {
    none,
    producer_ignores_empty,
    consumer_ignores_full,
    stage_freed_before_the_wait,
    no_wait_for_products,
    no_product_fence,
    no_init_fence,
    too_few_bytes_expected,
    nobody_frees_a_stage,
    one_arrival_too_many,
};

// sums (64 x 32) = sum over the steps of A (64 x 64 of 448) B^T: one thread of the second warpgroup copies,
// the first multiplies.
__global__ void staged_product(const TensorMap a, const TensorMap b, float* sums, Fault fault) {
    DYN_SHARED(Stages, s);
    if (thread_index() == 0) {
        for (int i = 0; i < kStages; ++i) {
            mbarrier_init(&s->full[i], 1);
            mbarrier_init(&s->empty[i], kWarpgroup / kWarp);
        }
        if (fault != Fault::no_init_fence) mbarrier_init_fence();
    }
    block_sync();
    if (thread_index() >= kWarpgroup) {
        if (thread_index() > kWarpgroup) return;
        for (int i = 0; i < kSteps; ++i) {
            const int stage = i % kStages, round = i / kStages;
            if (round > 0 && fault != Fault::producer_ignores_empty) mbarrier_wait(&s->empty[stage], (round - 1) % 2);
            const int bytes = (kRows + kColumns) * 128;
            mbarrier_arrive_expect(&s->full[stage], fault == Fault::too_few_bytes_expected ? bytes / 2 : bytes);
            tensor_load_3d(s->rows[stage], a, i * kDepth, 0, 0, &s->full[stage]);
            tensor_load_3d(s->columns[stage], b, i * kDepth, 0, 0, &s->full[stage]);
        }
        return;
    }
    float d[kColumns / 2];
    for (int i = 0; i < kSteps; ++i) {
        const int stage = i % kStages;
        const auto free_stage = [&] {
            if (lane_index() == 0 && fault != Fault::nobody_frees_a_stage) mbarrier_arrive(&s->empty[stage]);
            if (thread_index() == 0 && fault == Fault::one_arrival_too_many && i == 0)
                for (int more = 0; more < 4; ++more) mbarrier_arrive(&s->empty[stage]);
        };
        if (fault != Fault::consumer_ignores_full) mbarrier_wait(&s->full[stage], i / kStages % 2);
        if (fault != Fault::no_product_fence) wgmma_fence();
        for (int k = 0; k < kDepth; k += 16)
            wgmma_bf16<kColumns>(d, row_descriptor(s->rows[stage] + k * 2), row_descriptor(s->columns[stage] + k * 2),
                                 i > 0 || k > 0);
        wgmma_commit();
        if (fault == Fault::stage_freed_before_the_wait) free_stage();
        if (fault != Fault::no_wait_for_products || i + 1 < kSteps) wgmma_wait<0>();
        if (fault != Fault::stage_freed_before_the_wait) free_stage();
    }
    const int row = warp_index() * 16 + lane_index() / 4;
    for (int j = 0; j < kColumns / 2; ++j)
        sums[(row + j / 2 % 2 * 8) * kColumns + j / 4 * 8 + lane_index() % 4 * 2 + j % 2] = d[j];
}

class Hopper : public ::testing::Test {
protected:
    Hopper() {
        for (size_t i = 0; i < a_.size(); ++i) a_[i] = to_bf16(std::sin(0.37f * float(i)));
        for (size_t i = 0; i < b_.size(); ++i) b_[i] = to_bf16(std::cos(0.53f * float(i)));
    }
    ~Hopper() override { settings() = before_; }
    static TensorMap map(const bf16* base, int rows, int box) {
        return encode({.base = base,
                       .rank = 3,
                       .size = {kSteps * kDepth, 1, rows},
                       .stride = {1, kSteps * kDepth, kSteps * kDepth},
                       .box = {64, 1, box}});
    }
    // What the kernel with a fault complains of, or "wrong result", or "".
    std::string outcome(Fault fault) {
        std::fill(sums_.begin(), sums_.end(), NAN);
        try {
            launch(staged_product, {.threads = 2 * kWarpgroup, .shared_bytes = sizeof(Stages)}, {},
                   map(a_.data(), kRows, kRows), map(b_.data(), kColumns, kColumns), sums_.data(), fault);
        } catch (const Error& e) {
            return e.what();
        }
        for (int m = 0; m < kRows; ++m)
            for (int n = 0; n < kColumns; ++n) {
                double want = 0;
                for (int k = 0; k < kSteps * kDepth; ++k)
                    want += double(to_float(a_[m * kSteps * kDepth + k])) * to_float(b_[n * kSteps * kDepth + k]);
                if (!(std::abs(sums_[m * kColumns + n] - want) < 1e-3)) return "wrong result";
            }
        return {};
    }
    // A fault is caught if some order of threads shows it: a test takes three.
    std::string outcome_of_orders(Fault fault) {
        for (const uint64_t seed : {1, 2, 3}) {
            settings().seed = seed;
            const std::string seen = outcome(fault);
            if (!seen.empty()) return seen;
        }
        return {};
    }

    Settings before_ = settings();
    std::vector<bf16> a_ = std::vector<bf16>(kRows * kSteps * kDepth);
    std::vector<bf16> b_ = std::vector<bf16>(kColumns * kSteps * kDepth);
    std::vector<float> sums_ = std::vector<float>(kRows * kColumns);
};

TEST_F(Hopper, AStagedProductIsRightInEveryOrder) {
    for (const bool late : {true, false})
        for (const uint64_t seed : {0, 1, 2, 3, 4}) {
            settings().late_copy = late;
            settings().seed = seed;
            EXPECT_EQ(outcome(Fault::none), "") << "seed " << seed << ", late " << late;
        }
}

TEST_F(Hopper, CountsCopiesBytesAndFlops) {
    reset_counters();
    EXPECT_EQ(outcome(Fault::none), "");
    const Counters c = counters();
    EXPECT_EQ(c.tensor_copies, 2u * kSteps);
    EXPECT_EQ(c.bytes_loaded, uint64_t(kRows + kColumns) * kSteps * kDepth * 2);
    EXPECT_EQ(c.matrix_flops, 2.0 * kRows * kColumns * kSteps * kDepth);
}

TEST_F(Hopper, AProducerThatIgnoresEmptyIsCaught) { EXPECT_NE(outcome_of_orders(Fault::producer_ignores_empty), ""); }
TEST_F(Hopper, AConsumerThatIgnoresFullIsCaught) { EXPECT_NE(outcome_of_orders(Fault::consumer_ignores_full), ""); }
TEST_F(Hopper, AStageFreedBeforeItsProductsAreOverIsCaught) {
    EXPECT_EQ(outcome_of_orders(Fault::stage_freed_before_the_wait), "wrong result");
}
TEST_F(Hopper, SumsReadBeforeTheirWaitAreWrong) {
    EXPECT_EQ(outcome_of_orders(Fault::no_wait_for_products), "wrong result");
}
TEST_F(Hopper, AMissingProductFenceIsNamed) {
    EXPECT_THAT(outcome(Fault::no_product_fence), HasSubstr("wgmma without a wgmma_fence"));
}
TEST_F(Hopper, AMissingInitFenceIsNamed) {
    EXPECT_THAT(outcome(Fault::no_init_fence), HasSubstr("initialisation was not fenced"));
}
TEST_F(Hopper, TooFewBytesExpectedIsCaught) { EXPECT_NE(outcome_of_orders(Fault::too_few_bytes_expected), ""); }
TEST_F(Hopper, AStageThatNobodyFreesIsADeadlockAtAnMbarrier) {
    EXPECT_THAT(outcome(Fault::nobody_frees_a_stage), HasSubstr("an mbarrier"));
}
TEST_F(Hopper, OneArrivalTooManyIsCaught) { EXPECT_NE(outcome_of_orders(Fault::one_arrival_too_many), ""); }

// Rows that the kernel itself writes, swizzled as TMA would.
__global__ void product_of_own_rows(float* sums, bool fenced) {
    DYN_SHARED(Stages, s);
    for (int i = thread_index(); i < kRows * 64; i += kWarpgroup) {
        const int row = i / 64, k = i % 64;
        const int chunk = (k / 8) ^ (row % 8);
        auto* rows = reinterpret_cast<bf16*>(s->rows[0]);
        rows[row * 64 + chunk * 8 + k % 8] = to_bf16(float(row % 4));
        if (row < kColumns)
            reinterpret_cast<bf16*>(s->columns[0])[row * 64 + chunk * 8 + k % 8] = to_bf16(float(k == row));
    }
    if (fenced) async_fence();
    block_sync();
    if (fenced) async_fence();
    float d[kColumns / 2];
    wgmma_fence();
    for (int k = 0; k < 64; k += 16)
        wgmma_bf16<kColumns>(d, row_descriptor(s->rows[0] + k * 2), row_descriptor(s->columns[0] + k * 2), k > 0);
    wgmma_commit();
    wgmma_wait<0>();
    if (thread_index() < kWarp) sums[thread_index()] = d[0];
}

TEST_F(Hopper, StoresAreSeenByProductsOnlyBehindAnAsyncFence) {
    const Grid grid{.threads = kWarpgroup, .shared_bytes = sizeof(Stages)};
    launch(product_of_own_rows, grid, {}, sums_.data(), true);
    for (int l = 0; l < kWarp; ++l) EXPECT_EQ(sums_[l], l / 4 % 4);
    launch(product_of_own_rows, grid, {}, sums_.data(), false);
    EXPECT_TRUE(std::isnan(sums_[0]));
}

// One im2col copy of 16 pixels of a 5 x 5 map at stride 2 and pad 1, read at a tap of a 3 x 3 filter.
__global__ void im2col_copy(const TensorMap map, int tap_w, int tap_h, bf16* out) {
    DYN_SHARED(Stages, s);
    if (thread_index() == 0) {
        mbarrier_init(&s->full[0], 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&s->full[0], 16 * 128);
        tensor_load_im2col(s->rows[0], map, 0, 1 * 2 - 1, 0 * 2 - 1, 0, tap_w, tap_h, &s->full[0]);
    }
    block_sync();
    mbarrier_wait(&s->full[0], 0);
    for (int i = thread_index(); i < 16 * 64; i += kWarp) {
        const int row = i / 64, c = i % 64;
        out[i] = reinterpret_cast<bf16*>(s->rows[0])[row * 64 + ((c / 8) ^ (row % 8)) * 8 + c % 8];
    }
}

TEST_F(Hopper, Im2colWalksOutputPixelsAndFillsWithZeros) {
    constexpr int kSide = 5, kChannels = 8, kSamples = 2, kOut = 3;
    std::vector<bf16> x(kSamples * kSide * kSide * kChannels), out(16 * 64);
    for (size_t i = 0; i < x.size(); ++i) x[i] = to_bf16(float(1 + i % 251));
    const TensorMap map = encode({.base = x.data(),
                                  .rank = 4,
                                  .size = {kChannels, kSide, kSide, kSamples},
                                  .stride = {1, kChannels, kChannels * kSide, kChannels * kSide * kSide},
                                  .im2col = true,
                                  .pixels = 16,
                                  .lower = {-1, -1},
                                  .upper = {-1, -1},
                                  .step = 2});
    for (int tap = 0; tap < 9; ++tap) {
        launch(im2col_copy, {.threads = kWarp, .shared_bytes = sizeof(Stages)}, {}, map, tap % 3, tap / 3, out.data());
        for (int row = 0; row < 16; ++row)
            for (int c = 0; c < 64; ++c) {
                const int pixel = 1 + row;  // from output (0,1) of sample 0 on
                const int q = pixel % kOut, p = pixel / kOut % kOut, n = pixel / kOut / kOut;
                const int h = p * 2 - 1 + tap / 3, w = q * 2 - 1 + tap % 3;
                const bool inside = h >= 0 && h < kSide && w >= 0 && w < kSide && c < kChannels && n < kSamples;
                const float want = inside ? to_float(x[((n * kSide + h) * kSide + w) * kChannels + c]) : 0;
                ASSERT_EQ(to_float(out[row * 64 + c]), want) << "tap " << tap << ", row " << row << ", channel " << c;
            }
    }
}

__global__ void copy_to(const TensorMap map, int offset) {
    DYN_SHARED(unsigned char, bytes);
    auto* barrier = reinterpret_cast<Mbarrier*>(bytes);
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
    mbarrier_arrive_expect(barrier, map.bytes());
    tensor_load_3d(bytes + offset, map, 0, 0, 0, barrier);
}

TEST_F(Hopper, CopiesToWrongPlacesAndForgottenOnesAreNamed) {
    const auto complaint = [&](int offset) -> std::string {
        try {
            launch(copy_to, {.threads = 1, .shared_bytes = 16384}, {}, map(a_.data(), kRows, 8), offset);
        } catch (const Error& e) {
            return e.what();
        }
        return {};
    };
    EXPECT_THAT(complaint(1024), HasSubstr("1 tensor copies on their way"));
    EXPECT_THAT(complaint(1088), HasSubstr("no multiple of 1024"));
    EXPECT_THAT(complaint(16384), HasSubstr("outside dynamic shared memory"));
}

__global__ void matrices_round_trip(const uint16_t* from, uint16_t* to) {
    SHARED(uint16_t, tile, [32][8]);
    SHARED(uint16_t, back, [32][8]);
    const int l = lane_index();
    for (int i = 0; i < 8; ++i) tile[l][i] = from[l * 8 + i];
    warp_sync();
    uint32_t r[4];
    ldmatrix_x4(r, &tile[l][0]);
    stmatrix_x4(&back[l][0], r);
    warp_sync();
    for (int i = 0; i < 8; ++i) to[l * 8 + i] = back[l][i];
}

TEST_F(Hopper, StmatrixUndoesLdmatrix) {
    uint16_t from[256], to[256];
    for (int i = 0; i < 256; ++i) from[i] = uint16_t(i * 7);
    launch(matrices_round_trip, {.threads = 32}, {}, from, to);
    for (int i = 0; i < 256; ++i) EXPECT_EQ(to[i], from[i]);
}

}  // namespace
}  // namespace fp::emulated
