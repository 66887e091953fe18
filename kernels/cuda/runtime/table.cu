// The tables of the GPU's kernels, and the GPUs they run on.
#include <cstdlib>
#include <vector>

#include "kernels/cuda/runtime/tables.h"
#include "kernels/gpu_code.h"
#include "machine.cuh"

namespace fp::cuda {

extern const Memory memory;
extern const StreamApi streams;
extern const Graph graph;
extern const Ranges ranges;

namespace {

constinit const Tables tables{Host{"cuda", memory, streams, &graph, &ranges}};
// Without graphs: a capture cannot wait after each launch.
constinit const Tables waiting_tables{Host{"cuda", memory, streams, nullptr, &ranges}};

struct Gpu {
    std::string name;
    int capability;
    std::string unusable;  // why; empty: it is usable
};
struct Gpus {
    std::vector<Gpu> all;
    std::string none;  // why there are none
};

Gpu describe(int index) {
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, index));
    const int capability = properties.major * 10 + properties.minor;
    return {properties.name, capability, why_no_code(capability, FP_GPU_CODE)};
}

std::string version_text(int version) { return text(version / 1000, ".", version % 1000 / 10); }

std::string driver() {
    int version = 0;
    cudaDriverGetVersion(&version);  // 0 where there is no driver
    return version == 0 ? "no driver" : "driver " + version_text(version);
}

// Queried once. A GPU that fails later stays in the list; its next call reports the failure.
const Gpus& gpus() {
    static const Gpus found = [] {
        Gpus out;
        int count = 0;
        const cudaError_t status = cudaGetDeviceCount(&count);
        if (status == cudaErrorNoDevice || status == cudaErrorInsufficientDriver) {
            cudaGetLastError();  // clears it: the next launch would report it
            count = 0;
        } else {
            FP_REQUIRE(status == cudaSuccess, Exit::device, "CUDA cannot be used: ", cudaGetErrorString(status), " (",
                       driver(), ")");
        }
        if (count == 0) {
            const bool old = status == cudaErrorInsufficientDriver && driver() != "no driver";
            out.none = text("CUDA is not on this machine: no GPU, ", driver(),
                            old ? ", and this build needs " + version_text(CUDART_VERSION) : "");
        }
        for (int i = 0; i < count; ++i) out.all.push_back(describe(i));
        return out;
    }();
    return found;
}

thread_local int selected = 0;

}  // namespace

bool each_launch_waits() {
    static const bool waits = [] {
        const char* asked = std::getenv("FP_CUDA_SYNC");
        return asked && std::string_view(asked) == "1";
    }();
    return waits;
}

std::string why_missing() {
    const Gpus& found = gpus();
    if (found.all.empty()) return found.none;
    const Gpu& gpu = found.all[size_t(selected)];
    return gpu.unusable.empty() ? "" : text(gpu.name, " cannot be used: ", gpu.unusable);
}

const Kernels* find(Precision precision) {
    if (!why_missing().empty()) return nullptr;
    const int capability = gpus().all[size_t(selected)].capability;
    const Tables& of = each_launch_waits() ? waiting_tables : tables;
    return &of.of(precision, kernel_generation(capability, std::getenv("FP_CUDA_GENERATION")));
}

void select_gpu(int index) {
    const Gpus& found = gpus();
    FP_REQUIRE(!found.all.empty(), Exit::device, "device cuda:", index, ": ", found.none);
    FP_REQUIRE(index < int(found.all.size()), Exit::device, "device cuda:", index, " is not here: ", found.all.size(),
               " GPUs are");
    check(cudaSetDevice(index));
    selected = index;
}

std::string gpu() {
    try {
        const Gpus& found = gpus();
        return text(found.all.empty() ? "no GPU" : found.all[size_t(selected)].name, ", ", driver());
    } catch (const Error& error) {
        return error.what();
    }
}

}  // namespace fp::cuda
