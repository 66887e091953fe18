#include "kernels/gpu_code.h"

#include <gmock/gmock.h>

#include "tests/expect_error.h"

namespace fp {
namespace {

using testing::expect_error;
using ::testing::HasSubstr;

std::vector<int> usable(std::string_view architectures) {
    std::vector<int> out;
    for (const int gpu : {70, 75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121})
        if (why_no_code(gpu, architectures).empty()) out.push_back(gpu);
    return out;
}

using Gpus = std::vector<int>;

TEST(GpuCode, MachineCodeRunsOnLaterGpusOfItsMajorNumber) {
    EXPECT_EQ(usable("80-real"), (Gpus{80, 86, 87, 89}));
    EXPECT_EQ(usable("86-real"), (Gpus{86, 87, 89}));
    EXPECT_EQ(usable("100-real"), (Gpus{100, 103}));
    EXPECT_EQ(usable("90a-real"), (Gpus{90}));
    EXPECT_EQ(usable("100a-real"), (Gpus{100}));
    EXPECT_EQ(usable("100f-real"), (Gpus{100, 103}));
}

TEST(GpuCode, PtxRunsOnEveryLaterGpu) {
    EXPECT_EQ(usable("89-virtual"), (Gpus{89, 90, 100, 103, 110, 120, 121}));
    EXPECT_EQ(usable("120"), (Gpus{120, 121}));
    EXPECT_EQ(usable("90a-virtual"), (Gpus{90}));
    EXPECT_EQ(usable("90a"), (Gpus{90}));
    EXPECT_EQ(usable("100f-virtual"), (Gpus{100, 103}));
}

TEST(GpuCode, OneWordOfSeveralIsEnough) {
    EXPECT_EQ(usable("80-real+90a-real+80-virtual"), (Gpus{80, 86, 87, 89, 90, 100, 103, 110, 120, 121}));
    EXPECT_EQ(usable("90a-real+120-real"), (Gpus{90, 120, 121}));
    EXPECT_EQ(usable("native+90a-real"), usable("all"));
    EXPECT_EQ(usable("all").size(), 12u);
}

TEST(GpuCode, TheReasonNamesBothSides) {
    const std::string why = why_no_code(75, "80-real+90a-real+80-virtual");
    EXPECT_THAT(why, HasSubstr("7.5"));
    EXPECT_THAT(why, HasSubstr("80-real+90a-real+80-virtual"));
    EXPECT_THAT(why_no_code(120, "90a-real"), HasSubstr("12.0"));
}

TEST(KernelGeneration, HopperHasItsOwnKernels) {
    EXPECT_EQ(kernel_generation(90, nullptr), 90);
    for (const int gpu : {80, 86, 89, 100, 120}) EXPECT_EQ(kernel_generation(gpu, nullptr), 80);
}

TEST(KernelGeneration, AnOlderOneIsGivenWhereItIsAskedFor) {
    for (const int gpu : {80, 90, 120}) EXPECT_EQ(kernel_generation(gpu, "80"), 80);
    EXPECT_EQ(kernel_generation(90, "90"), 90);
}

TEST(KernelGeneration, OneThatTheGpuCannotRunIsRefused) {
    for (const int gpu : {80, 89, 100, 120})
        expect_error(
            Exit::usage, [&] { kernel_generation(gpu, "90"); }, "FP_CUDA_GENERATION", capability_text(gpu), "9.0");
    for (const char* word : {"", "70", "89", "100", "8", "800", "hopper", "80 "})
        expect_error(
            Exit::usage, [&] { kernel_generation(90, word); }, "FP_CUDA_GENERATION");
}

}  // namespace
}  // namespace fp
