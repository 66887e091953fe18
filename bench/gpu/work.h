// What an engine of the comparison can be told to do, one file a kind. Each reads the rest of its line (worker.cpp
// says how it looks), brings its inputs to the device and answers how it is done.
#pragma once

#include <cstdint>
#include <functional>
#include <sstream>

#include "kernels/kernels.h"

namespace fp {

constexpr int kSets = 3;  // of inputs, in turns, so that none waits in the cache

struct Work {
    std::function<void(int set)> call;  // given to the device's own stream
    std::function<double()> error = {};
    std::function<uint64_t()> bits = {};
    double flops = 0;                           // or what else a rate counts
    double expected = 0;                        // seconds, where model.h does not say
    size_t input_bytes = 0, scratch_bytes = 0;  // on the device, where they are told
};

Work copy_work(const Kernels&, std::istringstream&);
Work product_work(const Kernels&, std::istringstream&);
Work convolution_work(const Kernels&, std::istringstream&);
Work rate_work(const Kernels&, std::istringstream&);
Work network_work(const Kernels&, std::istringstream&);
Work snnl_work(const Kernels&, std::istringstream&);
Work op_work(const Kernels&, std::istringstream&);

uint64_t hash_of(const Kernels&, const void* device, size_t bytes);

}  // namespace fp
