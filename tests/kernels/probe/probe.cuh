// What the probes' kernels share: arrays on the device and the lists of the files here.
#pragma once

#include "kernels/f16.h"
#include "machine.cuh"
#include "tests/kernels/probe/probe.h"

namespace fp::FP_MACHINE {

// One list a file.
void add_lane_probes(std::vector<Probe>&);
void add_copy_probes(std::vector<Probe>&);
void add_matrix_probes(std::vector<Probe>&);
void add_arithmetic_probes(std::vector<Probe>&);
void add_mbarrier_probes(std::vector<Probe>&);
void add_tensor_copy_probes(std::vector<Probe>&);
void add_warpgroup_probes(std::vector<Probe>&);
void add_column_probes(std::vector<Probe>&);
void add_cluster_probes(std::vector<Probe>&);
void add_early_probes(std::vector<Probe>&);

// An input on the device.
template <class T>
class Given {
public:
    Given(const Memory& memory, const std::vector<T>& values)
        : memory_(memory), data_(memory.alloc(values.size() * sizeof(T))) {
        memory.copy_in(data_, values.data(), values.size() * sizeof(T), {});
    }
    ~Given() { memory_.release(data_); }
    Given(const Given&) = delete;
    Given& operator=(const Given&) = delete;
    const T* data() const { return static_cast<const T*>(data_); }

private:
    const Memory& memory_;
    void* data_;
};

// An output of words that start as NaN.
class Wanted {
public:
    Wanted(const Memory& memory, std::vector<ProbeOutput::Axis> shape) : memory_(memory), shape_(std::move(shape)) {
        for (const auto& axis : shape_) count_ *= size_t(axis.size);
        data_ = static_cast<uint32_t*>(memory.alloc(count_ * sizeof(uint32_t)));
        const std::vector<uint32_t> ones(count_, ~0u);
        memory.copy_in(data_, ones.data(), count_ * sizeof(uint32_t), {});
    }
    ~Wanted() { memory_.release(data_); }
    Wanted(const Wanted&) = delete;
    Wanted& operator=(const Wanted&) = delete;

    uint32_t* data() const { return data_; }
    float* floats() const { return reinterpret_cast<float*>(data_); }
    ProbeOutput output() const {  // once the kernel has ended
        std::vector<uint32_t> words(count_);
        memory_.copy_out(words.data(), data_, count_ * sizeof(uint32_t), {});
        memory_.synchronize({});
        return {.shape = shape_, .words = std::move(words)};
    }

private:
    const Memory& memory_;
    std::vector<ProbeOutput::Axis> shape_;
    size_t count_ = 1;
    uint32_t* data_ = nullptr;
};

// Those below 2^-14 too, which have no bit in front.
inline std::vector<f16> f16_numbers(size_t count, uint64_t seed) {
    const std::vector<float> numbers = probe_numbers(count, seed);
    std::vector<f16> out;
    for (size_t i = 0; i < count; ++i) out.push_back(half_of(i % 5 == 0 ? numbers[i] * 0x1p-16f : numbers[i]));
    return out;
}

inline std::vector<bf16> bf16_numbers(size_t count, uint64_t seed) {
    std::vector<bf16> out;
    for (const float v : probe_numbers(count, seed)) out.push_back(to_bf16(v));
    return out;
}

}  // namespace fp::FP_MACHINE
