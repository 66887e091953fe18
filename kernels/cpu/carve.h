// Cuts arrays from one block of scratch memory. Without a block it only counts bytes, so that the same code computes
// the size and hands out the arrays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fp::cpu {

class Carve {
public:
    explicit Carve(void* block) : block_(reinterpret_cast<uintptr_t>(block)) {}

    template <class T>
    T* take(int64_t count) {
        T* const array = reinterpret_cast<T*>(block_ + bytes_);
        bytes_ += (size_t(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
        return array;
    }
    size_t bytes() const { return bytes_; }

private:
    static constexpr size_t kAlignment = 64;
    uintptr_t block_;
    size_t bytes_ = 0;
};

}  // namespace fp::cpu
