#include <numeric>

#include "tests/kernels/compare.h"

namespace fp::testing {
namespace {

class MemoryOn : public OnBackend {};
FP_ON_EVERY_BACKEND(MemoryOn);

TEST_P(MemoryOn, CopiesAndZeroes) {
    const Memory& memory = table().memory;
    std::vector<uint8_t> in(1000);
    std::iota(in.begin(), in.end(), uint8_t(1));
    auto* a = static_cast<uint8_t*>(memory.alloc(in.size()));
    auto* b = static_cast<uint8_t*>(memory.alloc(in.size()));
    memory.copy_in(a, in.data(), in.size(), {});
    memory.copy(b, a, in.size(), {});
    memory.zero(a, in.size(), {});
    memory.copy(a + 1, b + 3, 5, {});
    std::vector<uint8_t> from_a(in.size(), 77), from_b(in.size(), 77);
    memory.copy_out(from_a.data(), a, in.size(), {});
    memory.copy_out(from_b.data(), b, in.size(), {});
    memory.synchronize({});
    memory.release(a);
    memory.release(b);

    EXPECT_EQ(from_b, in);
    std::vector<uint8_t> want(in.size(), 0);
    std::copy(in.begin() + 3, in.begin() + 8, want.begin() + 1);
    EXPECT_EQ(from_a, want);
}

TEST_P(MemoryOn, BlocksAreAligned) {
    const Memory& memory = table().memory;
    for (const size_t bytes : {0, 1, 255, 1000, 100000}) {
        void* block = memory.alloc(bytes);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 256, 0u) << bytes << " bytes";
        memory.release(block);
    }
}

}  // namespace
}  // namespace fp::testing
