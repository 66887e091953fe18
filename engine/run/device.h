// Which device computes, and in which precision.
#pragma once

#include <functional>
#include <string>

#include "kernels/kernels.h"

namespace fp {

struct ComputeOptions {
    std::string device = "auto";  // auto, cpu, cuda, cuda:1, emulated, reference, cudnn or onednn
    Precision precision = Precision::f32;
    int threads = 0;  // of the host; 0: one per core
    int gpu = -1;     // that a device without a number takes; -1: the first
};

// Sets the number of host threads and returns the kernels of the device. `auto` takes CUDA where it is built in and a
// GPU is present that it has code for, else the CPU, and tells `say` which and why. A GPU named by number is selected.
// Exit::device where the device is not present, Exit::usage for another word.
const Kernels& use_device(const ComputeOptions&, const std::function<void(const std::string&)>& say = {});

bool uses_gpu(const Kernels&);
std::string processor();  // the host's, as it names itself

// "cpu: AMD EPYC 9R14, 2 threads, 512-bit vectors" or "cuda: NVIDIA H200, driver 13.0".
std::string device_text(const Kernels&);

}  // namespace fp
