// Which device computes, and in which precision.
#pragma once

#include <functional>
#include <string>

#include "kernels/kernels.h"

namespace fp {

struct ComputeOptions {
    std::string device = "auto";  // auto, cpu, cuda, cuda:1, emulated, reference or cudnn
    Precision precision = Precision::f32;
    int threads = 0;  // of the host; 0: one per core
};

struct Device {
    Backend backend;
    int index = 0;  // of the GPU
    Precision precision = Precision::f32;
    std::string why = {};  // the device was chosen by `auto`: the reason
};

// `auto` takes CUDA where it is built in and a GPU is present that it has code for, else the CPU. A GPU that is named
// by number is selected. Exit::device where the device is not present, Exit::usage for another word.
Device choose_device(const ComputeOptions&);

// Sets the number of host threads and returns the kernels of the chosen device. `say` is told what `auto` chose.
const Kernels& use_device(const ComputeOptions&, const std::function<void(const std::string&)>& say = {});

}  // namespace fp
