// What the GPU's compiler made of the kernels: the matrix and copy instructions meant are there, nothing lives in local
// memory, and neither a known fault of the compiler's nor a division in a producer's loop is in any of them. Read from
// the machine code in libfp_cuda.a and beside it (machine_code.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/kernels/machine_code.h"

namespace fp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Cubins : public ::testing::Test {
protected:
    void SetUp() override {
        const auto program = std::filesystem::read_symlink("/proc/self/exe");
        const auto build = program.parent_path().parent_path();
        if (!std::filesystem::exists(build / "libfp_cuda.a"))
            GTEST_SKIP() << "this build has no CUDA kernels for GPUs: no " << build / "libfp_cuda.a";
        read_library(build / "libfp_cuda.a");
        read_library(build / "libfp_probe.a");
        if (std::filesystem::exists(build / "libfp_rates.a")) read_library(build / "libfp_rates.a");
    }
    void read_library(const std::filesystem::path& library) {
        std::ifstream file(library, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        std::vector<KernelCode> more = kernels_of(bytes);
        ASSERT_FALSE(more.empty()) << "no machine code in " << library;
        std::move(more.begin(), more.end(), std::back_inserter(kernels_));
    }
    std::vector<const KernelCode*> named(const std::string& part, int generation) const {
        std::vector<const KernelCode*> found;
        for (const KernelCode& k : kernels_)
            if (k.generation == generation && k.name.find(part) != std::string::npos) found.push_back(&k);
        EXPECT_FALSE(found.empty()) << "no " << part << " for sm_" << generation;
        return found;
    }
    std::vector<KernelCode> kernels_;
};

TEST_F(Cubins, NothingLivesInLocalMemory) {
    for (const KernelCode& k : kernels_) EXPECT_THAT(local_memory(k), IsEmpty());
}

TEST_F(Cubins, NoMinimumWritesAPredicate) {
    for (const KernelCode& k : kernels_) EXPECT_THAT(predicates_of_minima(k), IsEmpty());
}

TEST_F(Cubins, LoopsThatFillARingDivideNothing) {
    for (const KernelCode& k : kernels_) EXPECT_THAT(divisions_in_fill_loops(k), IsEmpty());
    for (const char* name :
         {"snnl_wgmma_kernel", "wgmma_pixels_kernel", "wgmma_stream_kernel", "wgmma_strided_kernel",
          "wgmma_filter_kernel", "wgmma_taps_kernel", "wgmma_window_rows_kernel", "wgmma_split_kernel"})
        for (const KernelCode* k : named(name, 90))
            EXPECT_GT(fill_loops(*k), 0) << k->name << ": its loop is not found";
}

TEST_F(Cubins, TensorConvolutionsUseMmaAndAsynchronousCopies) {
    for (const int generation : {80, 90})
        for (const char* name : {"tensor_forward_kernel", "tensor_data_kernel", "tensor_filter_kernel"})
            for (const KernelCode* k : named(name, generation)) {
                EXPECT_GT(k->of(kHmma), 0) << k->name;
                EXPECT_GT(k->of(kAsyncCopy), 0) << k->name;
                // No load transposes TF32: its filter gradient reads fragments one by one.
                const bool by_one =
                    k->name.find("Tf32") != std::string::npos && name == std::string_view("tensor_filter_kernel");
                EXPECT_EQ(k->of(kLoadMatrix) == 0, by_one) << k->name;
            }
}

TEST_F(Cubins, CosinesOfTheNeighbourLossAreOfTheTensorCore) {
    for (const int generation : {80, 90})
        for (const KernelCode* k : named("snnl_sums_kernel", generation)) {
            const bool cosine = k->name.find("TensorPairs") != std::string::npos;
            EXPECT_EQ(k->of(kHmma) > 0, cosine) << k->name;
            EXPECT_EQ(k->of(kAsyncCopy) > 0, cosine) << k->name;
            EXPECT_EQ(k->of(kLoadMatrix) > 0, cosine) << k->name;
        }
}

TEST_F(Cubins, OnHopperTheirProductsAreOfWgmma) {
    for (const KernelCode* k : named("snnl_wgmma_kernel", 90)) {
        EXPECT_GT(k->of(kHgmma), 0) << k->name;
        EXPECT_GT(k->of(kTensorCopy), 0) << k->name;
        EXPECT_EQ(k->of(kHmma), 0) << k->name;
        EXPECT_THAT(local_memory(*k), IsEmpty());
    }
}

TEST_F(Cubins, NothingIsTouchedBehindAClustersLastBarrierOrBeforeTheWaitForKernelsInFront) {
    for (const KernelCode& k : kernels_) {
        EXPECT_THAT(accesses_behind_cluster(k), IsEmpty());
        EXPECT_THAT(accesses_before_wait(k), IsEmpty());
    }
    for (const KernelCode* k : named("wgmma_split_kernel", 90))
        for (const int opcode : {kClusterArrive, kLetNextBegin, kWaitInFront}) EXPECT_GT(k->of(opcode), 0) << k->name;
}

TEST_F(Cubins, EachProbeUsesThePrimitiveItIsOf) {
    const auto expect = [this](const char* name, std::initializer_list<int> opcodes) {
        for (const KernelCode* k : named(name, 90))
            for (const int opcode : opcodes) EXPECT_GT(k->of(opcode), 0) << k->name << ", " << opcode;
    };
    expect("async_copy_kernel", {kAsyncCopy});
    expect("matrices_kernel", {kLoadMatrix, kStoreMatrix});
    expect("fragment_products_kernel", {kHmma});
    expect("tensor_copy_kernel", {kTensorCopy, kIm2colCopy});
    expect("warpgroup_kernel", {kTensorCopy, kHgmma});
    expect("cluster_kernel", {kClusterArrive});
    expect("early_kernel", {kLetNextBegin, kWaitInFront});
}

TEST_F(Cubins, HoppersConvolutionsUseWgmmaAndTheTensorMemoryUnit) {
    struct Expected {
        const char* name;
        bool tiled;           // one operand comes by tiled copies, the other by im2col; else both by im2col
        bool through_shared;  // results leave through shared memory
    };
    for (const Expected& of :
         {Expected{"wgmma_pixels_kernel", true, true}, Expected{"wgmma_stream_kernel", true, true},
          Expected{"wgmma_strided_kernel", true, true}, Expected{"wgmma_filter_kernel", true, false},
          Expected{"wgmma_split_kernel", true, false}, Expected{"wgmma_taps_kernel", false, false},
          Expected{"wgmma_window_rows_kernel", false, false}})
        for (const KernelCode* k : named(of.name, 90)) {
            EXPECT_GT(k->of(kHgmma), 0) << k->name;
            EXPECT_GT(k->of(kIm2colCopy), 0) << k->name;
            EXPECT_EQ(k->of(kTensorCopy) > 0, of.tiled) << k->name;
            EXPECT_EQ(k->of(kHmma), 0) << k->name;
            EXPECT_EQ(k->of(kStoreMatrix) > 0, of.through_shared) << k->name;
        }
    // Forward, and the gradient of the input, whose filters are MN-major.
    EXPECT_FALSE(named("FilterRows", 90).empty());
    EXPECT_FALSE(named("FilterColumns", 90).empty());
}

TEST_F(Cubins, HaloConvolutionsMultiplyByWhatTheyAreNamedFor) {
    for (const KernelCode* k : named("halo_kernel", 90)) {
        const bool wgmma = k->name.find("HaloWgmma") != std::string::npos;
        EXPECT_EQ(k->of(kHgmma) > 0, wgmma) << k->name;
        EXPECT_EQ(k->of(kHmma) > 0, !wgmma) << k->name;
        EXPECT_GT(k->of(kAsyncCopy), 0) << k->name;
    }
    for (const KernelCode* k : named("halo_filter_kernel", 90)) EXPECT_GT(k->of(kHmma), 0) << k->name;
}

// ---- planted: the reader sees what it is there to see

// A branch from one instruction to another, taken where predicate 0 holds.
Instruction branch(int from, int to) {
    const auto words = uint64_t(int64_t(to - from - 1) * 4);
    return {kBranch | (words & 0xff) << 16 | words >> 8 << 34, (words >> 38 & 0x3ffff) | uint64_t(7) << 23};
}
constexpr uint64_t kUnguarded = 0x7000;
Instruction plain(int opcode) { return {uint64_t(opcode) | kUnguarded, 0}; }

TEST(MachineCode, AMinimumThatWritesAPredicateIsSeen) {
    // What ptxas 13.0 made for sm_90a of the kernel in machine_code.h, and of a clamp alone.
    const KernelCode faulty{.name = "ragged",
                            .generation = 90,
                            .code = {{0x0000000408067981, 0x001e62000c1e1900},    // LDG.E R6
                                     {0x0000001006007848, 0x000fda0003801100}}};  // VIMNMX.RELU
    EXPECT_THAT(predicates_of_minima(faulty), ElementsAre("ragged for sm_90, at 0x10: VIMNMX.RELU writes P0"));
    const KernelCode right{.name = "clamp",
                           .generation = 90,
                           .code = {{0x00000002ff007248, 0x004fc80007fe0100},    // VIMNMX R0, RZ, R2
                                    {0x0000000900097248, 0x000fc60003fe1100}}};  // VIMNMX.RELU, PT
    EXPECT_THAT(predicates_of_minima(right), IsEmpty());
    // __vibmax_s16x2, whose second predicate is another.
    const KernelCode pair{.name = "pair",
                          .generation = 90,
                          .code = {{0x0000000700087248, 0x004fc40007a00300}, {0x0000000700087248, 0x004fc40007ae0300}}};
    EXPECT_THAT(predicates_of_minima(pair),
                ElementsAre("pair for sm_90, at 0x0: VIMNMX writes P0", "pair for sm_90, at 0x10: VIMNMX writes P2"));
}

TEST(MachineCode, LocalMemoryIsSeen) {
    // nvcc's of `int a[40]` with run-time indices: STL [R7], R6 and LDL.
    const KernelCode faulty{
        .name = "array",
        .generation = 90,
        .frame_bytes = 160,
        .code = {{0x0000000607007387, 0x0005e20000100800}, {0x0000000007067983, 0x000ea80000100800}}};
    EXPECT_THAT(local_memory(faulty), ElementsAre("array for sm_90, at 0x0: a frame of 160 bytes",
                                                  "array for sm_90, at 0x0: STL", "array for sm_90, at 0x10: LDL"));
    EXPECT_THAT(local_memory({.name = "none", .code = {plain(0x981)}}), IsEmpty());
    // .nv.info: an attribute without bytes, registers and the frame of symbol 8.
    const unsigned char info[] = {3, 0x1b, 0xff, 0,    4, 0x2f, 8, 0, 8, 0, 0,   0, 31, 0,
                                  0, 0,    4,    0x11, 8, 0,    8, 0, 0, 0, 160, 0, 0,  0};
    EXPECT_EQ(frames_of({reinterpret_cast<const char*>(info), sizeof info}), (std::map<uint32_t, int>{{8, 160}}));
}

TEST(MachineCode, MemoryBehindTheLastBarrierOfAClusterIsSeen) {
    constexpr int kLoad = 0x980, kStore = 0x986;
    const auto kernel = [](int first, int second) {
        return KernelCode{.name = "joins",
                          .generation = 90,
                          .code = {plain(kStore), plain(kClusterArrive), plain(kLoad), plain(first),
                                   plain(kClusterArrive), plain(second), plain(kExit), plain(kLoad)}};
    };
    EXPECT_THAT(accesses_behind_cluster(kernel(kStore, 0x802)), IsEmpty());
    EXPECT_THAT(accesses_behind_cluster(kernel(0x802, kStore)),
                ElementsAre("joins for sm_90, at 0x50: memory behind the cluster's last barrier"));
}

TEST(MachineCode, GlobalMemoryBeforeTheWaitIsSeen) {
    constexpr int kLoad = 0x981;
    const auto kernel = [](int first, int second) {
        return KernelCode{.name = "early",
                          .generation = 90,
                          .code = {plain(kLetNextBegin), branch(1, 4), plain(first), plain(kWaitInFront),
                                   plain(kWaitInFront), plain(second), plain(kExit)}};
    };
    EXPECT_THAT(accesses_before_wait(kernel(0x802, kLoad)), IsEmpty());
    EXPECT_THAT(accesses_before_wait(kernel(kLoad, 0x802)),
                ElementsAre("early for sm_90, at 0x20: global memory before griddepcontrol.wait"));
    EXPECT_THAT(accesses_before_wait({.name = "late", .code = {plain(kLoad), plain(kExit)}}), IsEmpty());
}

// Two loops round a copy, with a wait of one instruction's loop inside; a division at one place.
KernelCode fills(int division) {
    std::vector<Instruction> code{
        plain(0x802),        // 0: before
        plain(0x802),        // 1: a tile
        plain(0x5a7),        // 2: a stage: a try
        branch(3, 2),        // 3: again
        plain(kArrive),      // 4
        plain(kTensorCopy),  // 5
        branch(6, 2),        // 6: the next stage
        branch(7, 1),        // 7: the next tile
        plain(kExit),        // 8
        plain(0x802),        // 9: never reached
    };
    if (division >= 0) code[size_t(division)] = plain(0x306);
    return {.name = "fill", .generation = 90, .code = code};
}

TEST(MachineCode, DivisionsInTheInnermostLoopThatFillsAreSeen) {
    EXPECT_EQ(fill_loops(fills(-1)), 1);
    EXPECT_THAT(divisions_in_fill_loops(fills(-1)), IsEmpty());
    EXPECT_THAT(divisions_in_fill_loops(fills(2)), ElementsAre("fill for sm_90, at 0x20: I2F in a loop that fills"));
    EXPECT_THAT(divisions_in_fill_loops(fills(0)), IsEmpty());
    EXPECT_THAT(divisions_in_fill_loops(fills(1)), IsEmpty()) << "once a tile";
    EXPECT_THAT(divisions_in_fill_loops(fills(9)), IsEmpty());
    KernelCode calls = fills(-1);
    calls.code[2] = plain(kCall);
    EXPECT_THAT(divisions_in_fill_loops(calls), ElementsAre("fill for sm_90, at 0x20: CALL in a loop that fills"));
    KernelCode no_arrival = fills(2);  // copies, and no ring
    no_arrival.code[4] = plain(0x802);
    EXPECT_EQ(fill_loops(no_arrival), 0);
}

}  // namespace
}  // namespace fp
