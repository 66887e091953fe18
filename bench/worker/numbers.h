// Inputs of a case: approximately normal numbers, zeros where the layout pads. A prime number of them is drawn and
// repeated in logical order (n h w c; k r s c), so that no two rows or channels hold the same numbers, each can be
// computed from its place, and the device can fill its memory by copying.
#pragma once

#include <algorithm>
#include <cmath>
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

// A vector on the device.
template <class T>
Buffer upload(const Kernels& k, const std::vector<T>& host) {
    Buffer out(k.memory, host.size() * sizeof(T));
    k.memory.copy_in(out.data(), host.data(), out.bytes(), {});
    k.memory.synchronize({});
    return out;
}

std::vector<int32_t> drawn_labels(int n, int classes, uint64_t seed);

// Device memory, copied to the host.
template <class T = char>
std::vector<T> on_host(const Kernels& k, const void* data, size_t bytes) {
    std::vector<T> out(bytes / sizeof(T));
    if (bytes) k.memory.copy_out(out.data(), data, bytes, {});
    return out;
}
template <class T = char, class Block>
std::vector<T> on_host(const Kernels& k, const Block& block) {
    return on_host<T>(k, block.data(), block.bytes());
}

template <class F>
void each_pixel(const Map& m, const F& f) {
    for (int n = 0; n < m.n; ++n)
        for (int h = 0; h < m.h; ++h)
            for (int w = 0; w < m.w; ++w) f(n, h, w);
}

// The larger of two distances; 1e30 where the second is not finite, since JSON has no NaN.
inline double worse(double worst, double off) { return std::isfinite(off) ? std::max(worst, off) : 1e30; }

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

// One of the drawn numbers by its place, as a device has it that stores them in this type.
class Drawn {
public:
    Drawn(const Numbers&, Type);

    const Numbers numbers;
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
