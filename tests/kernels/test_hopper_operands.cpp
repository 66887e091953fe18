// Warpgroup products of fp16, and those whose operands are both MN-major, on the emulated machine: first what must work,
// then planted faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/machine/emulated/hopper.cuh"

namespace fp::emulated {
namespace {

using ::testing::HasSubstr;

// Panels of 64 steps of the sum, each a row of 64 lines.
constexpr int kWide = 96, kPanel = 64 * 128;

struct Panels {
    unsigned char a[kPanel], b[2 * kPanel];
    Mbarrier full;
};

enum class Turned {
    none,
    second_panel_elsewhere,  // the next 64 lines are not where the descriptor says
    taken_for_rows,          // an MN-major operand described as K-major
    next_16_in_the_row,      // the next 16 of the sum at the offset of a K-major operand
    not_at_eight_rows,
    no_fence_of_the_copy
};

// sums (64 x 96) = A^T B, A (64 x 64) and B (64 x 96) with the sum's steps as rows.
__global__ void turned_product(const TensorMap a, const TensorMap b, float* sums, Turned fault) {
    DYN_SHARED(Panels, s);
    if (thread_index() == 0) {
        mbarrier_init(&s->full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&s->full, 3 * kPanel);
        tensor_load_3d(s->a, a, 0, 0, 0, &s->full);
        tensor_load_3d(s->b, b, 0, 0, 0, &s->full);
        tensor_load_3d(s->b + kPanel, b, 64, 0, 0, &s->full);
    }
    block_sync();
    if (fault != Turned::no_fence_of_the_copy) mbarrier_wait(&s->full, 0);
    float d[kWide / 2];
    wgmma_fence();
    for (int k = 0; k < 64; k += 16) {
        int row = k * 128;
        if (fault == Turned::next_16_in_the_row) row = k * 2;
        if (fault == Turned::not_at_eight_rows) row += 4 * 128;
        const uint64_t across = column_descriptor(s->a + row, kPanel);
        const uint64_t wide =
            column_descriptor(s->b + k * 128, fault == Turned::second_panel_elsewhere ? kPanel / 2 : kPanel);
        if (fault == Turned::taken_for_rows)
            wgmma_bf16<kWide, Operand::rows, Operand::columns>(d, row_descriptor(s->a + k * 2), wide, k > 0);
        else
            wgmma_bf16<kWide, Operand::columns, Operand::columns>(d, across, wide, k > 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    if (fault == Turned::no_fence_of_the_copy) mbarrier_wait(&s->full, 0);
    const int row = warp_index() * 16 + lane_index() / 4;
    for (int j = 0; j < kWide / 2; ++j)
        sums[(row + j / 2 % 2 * 8) * kWide + j / 4 * 8 + lane_index() % 4 * 2 + j % 2] = d[j];
}

// sums (64 x 96) = A B^T of fp16, A (64 x 64) and B (96 x 64) with the sum along their rows.
__global__ void half_product(const TensorMap a, const TensorMap b, float* sums) {
    DYN_SHARED(Panels, s);
    if (thread_index() == 0) {
        mbarrier_init(&s->full, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&s->full, (64 + kWide) * 128);
        tensor_load_3d(s->a, a, 0, 0, 0, &s->full);
        tensor_load_3d(s->b, b, 0, 0, 0, &s->full);
    }
    block_sync();
    mbarrier_wait(&s->full, 0);
    float d[kWide / 2];
    wgmma_fence();
    for (int k = 0; k < 64; k += 16)
        wgmma_f16<kWide>(d, row_descriptor(s->a + k * 2), row_descriptor(s->b + k * 2), k > 0);
    wgmma_commit();
    wgmma_wait<0>(d);
    const int row = warp_index() * 16 + lane_index() / 4;
    for (int j = 0; j < kWide / 2; ++j)
        sums[(row + j / 2 % 2 * 8) * kWide + j / 4 * 8 + lane_index() % 4 * 2 + j % 2] = d[j];
}

TEST(HalfOperands, AreReadAsHalfPrecision) {
    std::vector<f16> a(64 * 64), b(64 * kWide);
    for (size_t i = 0; i < a.size(); ++i) a[i] = half_of(std::sin(0.37f * float(i)));
    for (size_t i = 0; i < b.size(); ++i) b[i] = half_of(std::cos(0.53f * float(i)));
    std::vector<float> sums(64 * kWide, NAN);
    const auto rows = [](const f16* base, int count) {
        return encode(
            {.base = base, .rank = 3, .size = {64, count, 1}, .stride = {1, 64, 64 * count}, .box = {64, count, 1}});
    };
    launch(half_product, {.threads = kWarpgroup, .shared_bytes = sizeof(Panels)}, {}, rows(a.data(), 64),
           rows(b.data(), kWide), sums.data());
    for (size_t m = 0; m < 64; ++m)
        for (size_t n = 0; n < kWide; ++n) {
            double want = 0;
            for (size_t k = 0; k < 64; ++k) want += double(to_float(a[m * 64 + k])) * to_float(b[n * 64 + k]);
            ASSERT_NEAR(sums[m * kWide + n], want, 1e-5);
        }
}

class TurnedOperands : public ::testing::Test {
protected:
    TurnedOperands() {
        for (size_t i = 0; i < a_.size(); ++i) a_[i] = to_bf16(std::sin(0.37f * float(i)));
        for (size_t i = 0; i < b_.size(); ++i) b_[i] = to_bf16(std::cos(0.53f * float(i)));
    }
    ~TurnedOperands() override { settings() = before_; }
    std::string outcome(Turned fault) {
        std::vector<float> sums(64 * kWide, NAN);
        const auto panels = [](const bf16* base, int lines) {
            return encode(
                {.base = base, .rank = 3, .size = {lines, 1, 64}, .stride = {1, lines, lines}, .box = {64, 1, 64}});
        };
        try {
            launch(turned_product, {.threads = kWarpgroup, .shared_bytes = sizeof(Panels)}, {}, panels(a_.data(), 64),
                   panels(b_.data(), kWide), sums.data(), fault);
        } catch (const Error& e) {
            return e.what();
        }
        for (int m = 0; m < 64; ++m)
            for (int n = 0; n < kWide; ++n) {
                double want = 0;
                for (int k = 0; k < 64; ++k) want += double(to_float(a_[k * 64 + m])) * to_float(b_[k * kWide + n]);
                if (!(std::abs(sums[m * kWide + n] - want) < 1e-4)) return "wrong result";
            }
        return {};
    }

    Settings before_ = settings();
    std::vector<bf16> a_ = std::vector<bf16>(64 * 64), b_ = std::vector<bf16>(64 * kWide);
};

TEST_F(TurnedOperands, AreRightInEveryOrder) {
    for (const bool late : {true, false})
        for (const uint64_t seed : {0, 1, 2}) {
            settings().late_copy = late;
            settings().seed = seed;
            EXPECT_EQ(outcome(Turned::none), "") << "seed " << seed << ", late " << late;
        }
}
TEST_F(TurnedOperands, ADescriptorWithAnotherDistanceIsWrong) {
    EXPECT_EQ(outcome(Turned::second_panel_elsewhere), "wrong result");
}
TEST_F(TurnedOperands, AnOperandReadTheOtherWayIsWrong) { EXPECT_EQ(outcome(Turned::taken_for_rows), "wrong result"); }
TEST_F(TurnedOperands, AStartInsideARowIsNamed) {
    EXPECT_THAT(outcome(Turned::next_16_in_the_row), HasSubstr("no multiple of 128"));
}
TEST_F(TurnedOperands, ReadBeforeTheyArriveAreWrong) {
    EXPECT_EQ(outcome(Turned::no_fence_of_the_copy), "wrong result");
}

}  // namespace
}  // namespace fp::emulated
