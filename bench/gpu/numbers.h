// Inputs of a case: numbers about normal, zeros where the layout pads. They are a prime number of drawn ones,
// repeated in logical order (n h w c; k r s c), so that no row or channel meets the same ones, any of them
// can be told without keeping them, and the device can be filled by copies of its own.
#pragma once

#include <vector>

#include "engine/core/memory.h"
#include "kernels/kernels.h"

namespace fp {

struct Numbers {
    uint64_t seed = 1;
    bool rectified = false;  // max(., 0), as a ReLU leaves them: half are zeros
    Type exact = Type::f32;  // rounded to this type before anything else

    static constexpr size_t kDrawn = 65521;
    std::vector<float> drawn() const;
};

// Of a whole layout on the device, in `type`.
Buffer upload(const Kernels&, Type, const Map&, const Numbers&);
Buffer upload(const Kernels&, Type, const Filter&, const Numbers&);

// A block of the device, filled with the same bytes again and again.
void fill(const Kernels&, const std::vector<char>& bytes, void* to, size_t count);

// Device memory for an output: NaN in every element until it is written, with a known pattern before and behind it.
class Guarded {
public:
    Guarded() = default;
    Guarded(const Kernels&, size_t bytes);

    void* data() const { return whole_ ? static_cast<char*>(whole_.data()) + kGuardBytes : nullptr; }
    template <class T>
    T* as() const {
        return static_cast<T*>(data());
    }
    size_t bytes() const { return bytes_; }
    void poison();
    bool intact() const;  // nothing was written outside

private:
    static constexpr size_t kGuardBytes = 4096;  // keeps the alignment of an allocation
    const Kernels* kernels_ = nullptr;
    Buffer whole_;
    size_t bytes_ = 0;
};

// One of the drawn numbers by its place, as the device has it.
class Drawn {
public:
    Drawn(const Numbers&, Type);
    double at(const Map& m, int n, int c, int h, int w) const {
        return of(((int64_t(n) * m.h + h) * m.w + w) * m.c + c);
    }
    double at(const Filter& f, int k, int c, int r, int s) const {
        return of(((int64_t(k) * f.r + r) * f.s + s) * f.c + c);
    }

private:
    double of(int64_t rank) const { return double(drawn_[size_t(rank) % drawn_.size()]); }
    std::vector<float> drawn_;
};

}  // namespace fp
