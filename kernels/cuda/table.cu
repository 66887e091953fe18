// The tables of the GPU's kernels.
#include "kernels/cuda/tables.cuh"
#include "machine.cuh"

namespace fp::cuda {

extern const Memory memory;
extern const Order order;
extern const Graph graph;
extern const Ranges ranges;

namespace {

constinit const Tables tables{Host{"cuda", memory, order, &graph, &ranges}};

}  // namespace

// A machine without a driver answers with an error of its own and leaves the count alone: any error is none.
const Kernels* find(Precision precision) {
    int devices = 0, device = 0, major = 0, minor = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) return nullptr;
    check(cudaGetDevice(&device));
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
    check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device));
    return &tables.of(precision, major * 10 + minor);
}

}  // namespace fp::cuda
