// What the GPU's compiler made of the kernels: the matrix and copy instructions meant are there, and nothing
// lives in local memory. Read from the machine code in libfp_cuda.a and beside it, so no GPU and no disassembler is needed.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace fp {
namespace {

// The low 12 bits of an instruction's first word.
enum Opcode : uint16_t {
    kHmma = 0x23c,         // mma.sync
    kHgmma = 0x9f0,        // wgmma; the commit of a group too, with no destination
    kTensorCopy = 0x5b4,   // cp.async.bulk.tensor, tiled
    kIm2colCopy = 0x3b4,   // the same, im2col
    kAsyncCopy = 0xfae,    // cp.async
    kLoadMatrix = 0x83b,   // ldmatrix
    kStoreMatrix = 0x844,  // stmatrix
    kLoadLocal = 0x983,    // local memory: spills, and arrays that are indexed at run time
    kStoreLocal = 0x387,
    kStoreLocalUniform = 0x987,
};

struct Kernel {
    std::string name;
    int generation;
    std::map<int, int> count;  // by opcode
    int of(int opcode) const {
        const auto found = count.find(opcode);
        return found == count.end() ? 0 : found->second;
    }
};

template <class T>
T at(const std::string& bytes, size_t offset) {
    T value;
    if (offset + sizeof value > bytes.size()) throw std::runtime_error("a cubin is cut short");
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

// The kernels of one cubin that begins at `base`.
void read_cubin(const std::string& bytes, size_t base, std::vector<Kernel>& kernels) {
    constexpr int kCuda = 190;
    const auto header = at<Elf64_Ehdr>(bytes, base);
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kCuda) return;
    // From version 8 of its ABI on, the generation stands one byte higher.
    const int generation =
        int(header.e_ident[EI_ABIVERSION] >= 8 ? header.e_flags >> 8 : header.e_flags) & 0xff;
    const auto section = [&](int i) {
        return at<Elf64_Shdr>(bytes, base + header.e_shoff + size_t(i) * header.e_shentsize);
    };
    const size_t names = base + section(header.e_shstrndx).sh_offset;
    for (int i = 0; i < header.e_shnum; ++i) {
        const Elf64_Shdr s = section(i);
        const std::string name = bytes.c_str() + names + s.sh_name;
        if (s.sh_type != SHT_PROGBITS || !name.starts_with(".text.")) continue;
        Kernel k{.name = name.substr(6), .generation = generation, .count = {}};
        for (size_t offset = 0; offset + 16 <= s.sh_size; offset += 16) {
            const auto word = at<uint64_t>(bytes, base + s.sh_offset + offset);
            ++k.count[int(word & 0xfff)];
        }
        kernels.push_back(std::move(k));
    }
}

class Cubins : public ::testing::Test {
protected:
    void SetUp() override {
        const auto program = std::filesystem::read_symlink("/proc/self/exe");
        const auto build = program.parent_path().parent_path();
        if (!std::filesystem::exists(build / "libfp_cuda.a"))
            GTEST_SKIP() << "this build has no CUDA kernels for GPUs: no "
                         << build / "libfp_cuda.a";
        read_library(build / "libfp_cuda.a");
        read_library(build / "libfp_probe.a");
        if (std::filesystem::exists(build / "libfp_rates.a")) read_library(build / "libfp_rates.a");
    }
    void read_library(const std::filesystem::path& library) {
        std::ifstream file(library, std::ios::binary);
        const std::string bytes{std::istreambuf_iterator<char>(file), {}};
        const size_t before = kernels_.size();
        for (size_t i = 0; (i = bytes.find("\177ELF", i)) != std::string::npos; ++i)
            read_cubin(bytes, i, kernels_);
        ASSERT_GT(kernels_.size(), before) << "no machine code in " << library;
    }
    std::vector<const Kernel*> named(const std::string& part, int generation) const {
        std::vector<const Kernel*> found;
        for (const Kernel& k : kernels_)
            if (k.generation == generation && k.name.find(part) != std::string::npos)
                found.push_back(&k);
        EXPECT_FALSE(found.empty()) << "no " << part << " for sm_" << generation;
        return found;
    }
    std::vector<Kernel> kernels_;
};

TEST_F(Cubins, NothingLivesInLocalMemory) {
    for (const Kernel& k : kernels_) {
        const int local = k.of(kLoadLocal) + k.of(kStoreLocal) + k.of(kStoreLocalUniform);
        EXPECT_EQ(local, 0) << k.name << " for sm_" << k.generation;
    }
}

TEST_F(Cubins, TensorConvolutionsUseMmaAndAsynchronousCopies) {
    for (const int generation : {80, 90})
        for (const char* name :
             {"tensor_forward_kernel", "tensor_data_kernel", "tensor_filter_kernel"})
            for (const Kernel* k : named(name, generation)) {
                EXPECT_GT(k->of(kHmma), 0) << k->name;
                EXPECT_GT(k->of(kAsyncCopy), 0) << k->name;
                // No load transposes TF32: its filter gradient reads fragments one by one.
                const bool by_one = k->name.find("Tf32") != std::string::npos &&
                                    name == std::string_view("tensor_filter_kernel");
                EXPECT_EQ(k->of(kLoadMatrix) == 0, by_one) << k->name;
            }
}

TEST_F(Cubins, CosinesOfTheNeighbourLossAreOfTheTensorCore) {
    for (const int generation : {80, 90})
        for (const Kernel* k : named("snnl_sums_kernel", generation)) {
            const bool cosine = k->name.find("TensorPairs") != std::string::npos;
            EXPECT_EQ(k->of(kHmma) > 0, cosine) << k->name;
            EXPECT_EQ(k->of(kAsyncCopy) > 0, cosine) << k->name;
            EXPECT_EQ(k->of(kLoadMatrix) > 0, cosine) << k->name;
        }
}

TEST_F(Cubins, EachProbeUsesThePrimitiveItIsOf) {
    const auto expect = [this](const char* name, std::initializer_list<int> opcodes) {
        for (const Kernel* k : named(name, 90))
            for (const int opcode : opcodes)
                EXPECT_GT(k->of(opcode), 0) << k->name << ", " << opcode;
    };
    expect("async_copy_kernel", {kAsyncCopy});
    expect("matrices_kernel", {kLoadMatrix, kStoreMatrix});
    expect("fragment_products_kernel", {kHmma});
    expect("tensor_copy_kernel", {kTensorCopy, kIm2colCopy});
    expect("warpgroup_kernel", {kTensorCopy, kHgmma});
}

TEST_F(Cubins, HoppersConvolutionsUseWgmmaAndTheTensorMemoryUnit) {
    for (const char* name : {"wgmma_pixels_kernel", "wgmma_filter_kernel"})
        for (const Kernel* k : named(name, 90)) {
            EXPECT_GT(k->of(kHgmma), 0) << k->name;
            EXPECT_GT(k->of(kIm2colCopy), 0) << k->name;
            EXPECT_GT(k->of(kTensorCopy), 0) << k->name;
            EXPECT_EQ(k->of(kHmma), 0) << k->name;
            const bool through_shared = name == std::string_view("wgmma_pixels_kernel");
            EXPECT_EQ(k->of(kStoreMatrix) > 0, through_shared) << k->name;
        }
    // Forward and the input's gradient, whose filters lie the other way.
    EXPECT_FALSE(named("FilterRows", 90).empty());
    EXPECT_FALSE(named("FilterColumns", 90).empty());
}

TEST_F(Cubins, HaloConvolutionsMultiplyByWhatTheyAreNamedFor) {
    for (const Kernel* k : named("halo_kernel", 90)) {
        const bool wgmma = k->name.find("HaloWgmma") != std::string::npos;
        EXPECT_EQ(k->of(kHgmma) > 0, wgmma) << k->name;
        EXPECT_EQ(k->of(kHmma) > 0, !wgmma) << k->name;
        EXPECT_GT(k->of(kAsyncCopy), 0) << k->name;
    }
    for (const Kernel* k : named("halo_filter_kernel", 90)) EXPECT_GT(k->of(kHmma), 0) << k->name;
}

}  // namespace
}  // namespace fp
