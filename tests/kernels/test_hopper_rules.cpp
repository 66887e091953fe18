// What the documents forbid of Hopper's units, planted in kernels one fault at a time: the emulated machine names it.
// (PTX ISA: 5.5.4.1 and 5.5.4.2 of im2col, elect.sync, setmaxnreg, mbarrier, wgmma; cuda.h: cuTensorMapEncode*.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/machine/emulated/hopper.cuh"

namespace fp::emulated {
namespace {

using ::testing::HasSubstr;

class HopperRules : public ::testing::Test {
protected:
    ~HopperRules() override { settings() = before_; }
    // What launch() complains of; empty if nothing.
    template <class... Params, class... Args>
    static std::string complaint(int threads, void (*kernel)(Params...), Args... args) {
        try {
            launch(kernel, {.threads = threads, .shared_bytes = 32 << 10}, {}, args...);
        } catch (const Error& e) {
            return e.what();
        }
        return {};
    }
    static std::string complaint(const TensorMapSpec& spec) {
        try {
            encode(spec);
        } catch (const Error& e) {
            return e.what();
        }
        return {};
    }
    Settings before_ = settings();
};

// ---- barriers

// Parity 0 never ends: an arrival or bytes are missing.
__global__ void waits_for_ever(int arrivals, int bytes) {
    SHARED(Mbarrier, b, [2]);
    if (thread_index() == 0) {
        mbarrier_init(&b[0], 1);
        mbarrier_init(&b[1], arrivals);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&b[1], bytes);
    }
    block_sync();
    mbarrier_wait(&b[1], 0);
}

TEST_F(HopperRules, AWaitThatNothingEndsSaysWhatIsMissing) {
    EXPECT_EQ(complaint(64, waits_for_ever, 1, 0), "");
    EXPECT_THAT(complaint(64, waits_for_ever, 3, 0),
                AllOf(HasSubstr("deadlock"), HasSubstr("test_hopper_rules.cpp"),
                      HasSubstr("an mbarrier (number 1 in the order of their initialisation): 2 of "
                                "3 arrivals and 0 bytes are missing")));
    EXPECT_THAT(complaint(64, waits_for_ever, 1, 512), HasSubstr("0 of 1 arrivals and 512 bytes are missing"));
}

TEST_F(HopperRules, AnMbarrierCountsToTwentyBits) {
    EXPECT_THAT(complaint(32, waits_for_ever, 1 << 20, 0), HasSubstr("1048576 arrivals"));
    EXPECT_THAT(complaint(32, waits_for_ever, 1, 1 << 20), HasSubstr("expects 1048576 bytes"));
}

__global__ void named_barrier(int id, int threads) { named_sync(id, threads); }

TEST_F(HopperRules, NamedBarriersAreOneTo15AndOfWholeWarps) {
    EXPECT_EQ(complaint(64, named_barrier, 15, 64), "");
    EXPECT_THAT(complaint(64, named_barrier, 16, 64), HasSubstr("barrier 16 of 64 threads"));
    EXPECT_THAT(complaint(48, named_barrier, 1, 48), HasSubstr("barrier 1 of 48 threads"));
    EXPECT_THAT(complaint(64, named_barrier, 0, 64), HasSubstr("barrier 0 of 64 threads"));
}

// ---- warps and warpgroups

__global__ void elects(int* elected, int lanes) {
    if (lane_index() < lanes && elect_one()) ++elected[warp_index()];
}

TEST_F(HopperRules, AWholeWarpElectsOneLaneAndNotAlwaysTheFirst) {
    int elected[2] = {};
    EXPECT_EQ(complaint(64, elects, elected, 32), "");
    EXPECT_EQ(elected[0], 1);
    EXPECT_EQ(elected[1], 1);
    EXPECT_THAT(complaint(64, elects, elected, 16), AllOf(HasSubstr("deadlock"), HasSubstr("of lanes 0xffffffff")));
    EXPECT_THAT(complaint(40, elects, elected, 32), HasSubstr("elect_one in a warp of 8 threads"));
}

__global__ void notes_the_elected(int* lane) {
    if (elect_one()) *lane = lane_index();
}

TEST_F(HopperRules, WhichLaneIsElectedDependsOnTheSeed) {
    int first = -1, others = 0;
    for (const uint64_t seed : {0, 1, 2, 3, 4}) {
        settings().seed = seed;
        int lane = -1;
        EXPECT_EQ(complaint(32, notes_the_elected, &lane), "");
        if (seed == 0) first = lane;
        others += lane != first;
    }
    EXPECT_EQ(first, 0);
    EXPECT_GT(others, 0);
}

enum class Registers {
    none,
    more_than_were_given_back,
    keeps_more_than_it_has,
    takes_fewer_than_it_has,
    one_warp_does_not,
    one_warp_keeps_another_number,
};

// 384 threads: 168 registers each. The first warpgroup keeps 40, the others take 232.
__global__ void shares_registers(Registers fault) {
    if (thread_index() < kWarpgroup) {
        if (fault == Registers::keeps_more_than_it_has) return keep_registers<176>();
        if (fault == Registers::more_than_were_given_back) return keep_registers<48>();
        if (fault == Registers::one_warp_does_not && warp_index() == 2) return;
        if (fault == Registers::one_warp_keeps_another_number && warp_index() == 2) return keep_registers<32>();
        return keep_registers<40>();
    }
    if (fault == Registers::takes_fewer_than_it_has) return take_registers<160>();
    take_registers<232>();
}

TEST_F(HopperRules, RegistersTakenAreThoseGivenBackByWholeWarpgroups) {
    for (const uint64_t seed : {0, 1, 2}) {
        settings().seed = seed;
        const auto complains = [](Registers fault) { return complaint(3 * kWarpgroup, shares_registers, fault); };
        EXPECT_EQ(complains(Registers::none), "");
        EXPECT_THAT(complains(Registers::more_than_were_given_back), HasSubstr("registers that no warp gives back"));
        EXPECT_THAT(complains(Registers::keeps_more_than_it_has), HasSubstr("keeps 176 registers and has 168"));
        EXPECT_THAT(complains(Registers::takes_fewer_than_it_has), HasSubstr("takes 160 registers and has 168"));
        EXPECT_THAT(complains(Registers::one_warp_keeps_another_number), HasSubstr("the warps of warpgroup 0 differ"));
        EXPECT_NE(complains(Registers::one_warp_does_not), "");
    }
}

// ---- products

enum class Product {
    none,
    read_before_the_wait,
    added_to_before_the_wait,
    said_to_be_settled_in_flight,
    one_warp_does_not,
    base_offset,
    inside_16_bytes,
    groups_not_apart_by_16,
    half_of_32,
};

// Ones times ones, 64 deep: every sum is 64, twice over 128.
__global__ void product_of_ones(float* out, Product fault) {
    DYN_SHARED(bf16, rows);
    for (int i = thread_index(); i < (64 + 8) * 64; i += kWarpgroup) rows[i] = to_bf16(1);
    async_fence();
    block_sync();
    async_fence();
    float first[4], second[4];
    if (fault == Product::one_warp_does_not && warp_index() == 3) return;
    const auto multiply = [&](float(&d)[4], bool add) {
        for (int k = 0; k < 64; k += 16) {
            const bf16* a = rows + k;
            if (fault == Product::inside_16_bytes) a += 4;
            if (fault == Product::half_of_32) a += 8;
            uint64_t from = row_descriptor(a);
            if (fault == Product::base_offset) from = matrix_descriptor(a, 128, 1024);
            if (fault == Product::base_offset) from |= uint64_t(3) << 49;
            if (fault == Product::groups_not_apart_by_16) from = matrix_descriptor(a, 8, 1024);
            wgmma_bf16<8>(d, from, row_descriptor(rows + 64 * 64 + k), add || k > 0);
        }
        wgmma_commit();
    };
    wgmma_fence();
    multiply(first, false);
    multiply(second, false);
    wgmma_wait<1>(first);
    out[thread_index()] = first[0];
    if (fault == Product::read_before_the_wait) out[thread_index()] += second[0];
    if (fault == Product::added_to_before_the_wait) second[0] += 1000;
    if (fault == Product::said_to_be_settled_in_flight) wgmma_settled(second);
    multiply(second, true);
    wgmma_wait<0>(second);
    out[kWarpgroup + thread_index()] = second[0];
}

TEST_F(HopperRules, SumsAreNaNUntilTheWaitThatSettlesThem) {
    std::vector<float> out(2 * kWarpgroup, -1);
    EXPECT_EQ(complaint(kWarpgroup, product_of_ones, out.data(), Product::none), "");
    for (int i = 0; i < kWarpgroup; ++i) {
        ASSERT_EQ(out[size_t(i)], 64);
        ASSERT_EQ(out[size_t(kWarpgroup + i)], 128);
    }
    EXPECT_EQ(complaint(kWarpgroup, product_of_ones, out.data(), Product::read_before_the_wait), "");
    EXPECT_TRUE(std::isnan(out[5]));
    // What a kernel adds to sums in flight is lost, as in registers that a product overwrites.
    EXPECT_EQ(complaint(kWarpgroup, product_of_ones, out.data(), Product::added_to_before_the_wait), "");
    EXPECT_EQ(out[kWarpgroup + 5], 128);
}

TEST_F(HopperRules, ProductsThatTheDocumentsForbidAreNamed) {
    std::vector<float> out(2 * kWarpgroup);
    const auto complains = [&out](Product fault, int threads = kWarpgroup) {
        return complaint(threads, product_of_ones, out.data(), fault);
    };
    EXPECT_THAT(complains(Product::said_to_be_settled_in_flight), HasSubstr("still in flight"));
    EXPECT_THAT(complains(Product::one_warp_does_not),
                AllOf(HasSubstr("warpgroup 0 differ"), HasSubstr("12 products"), HasSubstr("; 0 products")));
    EXPECT_THAT(complains(Product::none, 96), HasSubstr("warpgroup 0 differ"));
    EXPECT_THAT(complains(Product::base_offset), HasSubstr("base offset"));
    EXPECT_THAT(complains(Product::inside_16_bytes), HasSubstr("not a multiple of 16"));
    EXPECT_THAT(complains(Product::groups_not_apart_by_16), HasSubstr("with 8 bytes"));
    EXPECT_THAT(complains(Product::half_of_32), HasSubstr("no multiple of 32"));
}

// ---- the tensor memory unit

__global__ void copies(const TensorMap map, int first, int w, int h, int offset) {
    DYN_SHARED(unsigned char, bytes);
    SHARED(Mbarrier, b, [1]);
    if (thread_index() == 0) {
        mbarrier_init(&b[0], 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(&b[0], map.bytes());
        if (map.im2col)
            tensor_load_im2col(bytes, map, first, w, h, 0, offset, 0, &b[0]);
        else
            tensor_load_3d(bytes, map, first, w, h, &b[0]);
    }
    block_sync();
    mbarrier_wait(&b[0], 0);
}

class HopperMaps : public HopperRules {
protected:
    std::vector<bf16> array_ = std::vector<bf16>(64 * 7 * 6 * 2);
    const TensorMapSpec tiled_{
        .base = array_.data(), .rank = 3, .size = {64, 7, 12}, .stride = {1, 64, 448}, .box = {64, 1, 8}};
    // A 3 x 3 filter at stride 2 and pad 1 on 7 x 6: places from -1 to 4 and to 3.
    const TensorMapSpec im2col_{.base = array_.data(),
                                .rank = 4,
                                .size = {64, 7, 6, 2},
                                .stride = {1, 64, 448, 2688},
                                .im2col = true,
                                .pixels = 16,
                                .lower = {-1, -1},
                                .upper = {-1, -1},
                                .step = 2};
};

TEST_F(HopperMaps, CopiesBeginAtWhole16Bytes) {
    EXPECT_EQ(complaint(32, copies, tiled_, -8, 0, 0, 0), "");
    EXPECT_THAT(complaint(32, copies, tiled_, 4, 0, 0, 0), HasSubstr("from element 4 on"));
    EXPECT_THAT(complaint(32, copies, im2col_, 4, -1, -1, 0), HasSubstr("from element 4 on"));
}

TEST_F(HopperMaps, Im2colCopiesBeginInTheirBoxAndItsOffsetsAreBytes) {
    EXPECT_EQ(complaint(32, copies, im2col_, 0, -1, -1, 0), "");
    EXPECT_EQ(complaint(32, copies, im2col_, 0, 5, 4, 2), "");
    EXPECT_THAT(complaint(32, copies, im2col_, 0, 6, 4, 2), HasSubstr("place 6 on"));
    EXPECT_THAT(complaint(32, copies, im2col_, 0, 5, 5, 2), HasSubstr("not in the box [-1, 5)"));
    EXPECT_THAT(complaint(32, copies, im2col_, 0, -2, 4, 2), HasSubstr("place -2 on"));
    EXPECT_EQ(complaint(32, copies, im2col_, 0, 5, 4, 255), "");
    EXPECT_THAT(complaint(32, copies, im2col_, 0, 5, 4, 256), HasSubstr("offset of 256"));
    EXPECT_THAT(complaint(32, copies, im2col_, 0, 5, 4, -1), HasSubstr("offset of -1"));
}

TEST_F(HopperMaps, ThatCudaForbidsAreRefused) {
    EXPECT_EQ(complaint(tiled_), "");
    EXPECT_EQ(complaint(im2col_), "");
    // What `change` makes of a good map is refused with these words.
    const auto refused = [](TensorMapSpec spec, auto change, const char* words) {
        change(spec);
        EXPECT_THAT(complaint(spec), HasSubstr(words));
    };
    using Spec = TensorMapSpec;
    refused(
        tiled_, [](Spec& s) { s.base = static_cast<const bf16*>(s.base) + 4; }, "misaligned");
    refused(
        tiled_, [](Spec& s) { s.rank = 1; }, "rank 1");
    refused(
        im2col_, [](Spec& s) { s.rank = 3; }, "rank 3");
    refused(
        tiled_, [](Spec& s) { s.size[2] = 0; }, "size 0");
    refused(
        tiled_, [](Spec& s) { s.size[2] = (int64_t(1) << 32) + 1; }, "size 4294967297");
    refused(
        tiled_, [](Spec& s) { s.stride[1] = 60; }, "multiple of 16 bytes");
    refused(
        tiled_, [](Spec& s) { s.stride[0] = 2; }, "stride 2 of dimension 0");
    refused(
        tiled_, [](Spec& s) { s.stride[2] = int64_t(1) << 39; }, "not below 2^40 bytes");
    refused(
        tiled_, [](Spec& s) { s.stride[2] = 440; }, "reach beyond stride 440");
    refused(
        tiled_, [](Spec& s) { s.stride[1] = 56; }, "reach beyond stride 56");
    refused(
        tiled_, [](Spec& s) { s.box[2] = 257; }, "a box of 257");
    refused(
        tiled_, [](Spec& s) { s.box[1] = 0; }, "a box of 0");
    refused(
        tiled_, [](Spec& s) { s.box[0] = 128; }, "rows of 128");  // wider than the swizzle
    refused(
        tiled_, [](Spec& s) { s.box[0] = 12; }, "rows of 12");
    refused(
        im2col_, [](Spec& s) { s.pixels = 1025; }, "1025 pixels");
    refused(
        im2col_, [](Spec& s) { s.step = 9; }, "step 9");
    refused(
        im2col_, [](Spec& s) { s.lower[0] = -129; }, "corners -129");
    refused(
        im2col_, [](Spec& s) { s.upper[1] = 128; }, "and 128");
    refused(
        im2col_, [](Spec& s) { s.upper[1] = -7; }, "an empty box from -1 to -1");
    TensorMapSpec windows = tiled_;  // of 64 elements, 8 further each
    windows.stride[1] = 8;
    EXPECT_NE(complaint(windows), "");
    windows.overlapping = true;
    EXPECT_EQ(complaint(windows), "");
}

}  // namespace
}  // namespace fp::emulated
