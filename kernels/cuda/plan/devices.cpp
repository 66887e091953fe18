// The rates of devices: those of the H200 were measured (tiling.h), the others are from data sheets.
#include "kernels/cuda/plan/cost.h"

namespace fp {
namespace {

// Figures of the H200 per multiprocessor and clock, which are assumed for the others: bytes from L2, exponentials.
constexpr double kL2Bytes = 40, kExponentials = 16;

// From data sheets: dense rates with float32 sums. `clock` is the boost clock. As measured on the H200, HBM is assumed
// to reach 0.89 of the sheet's rate (4.27 of 4.8 TB/s), the tensor cores 0.87 (860 of 989).
constexpr Device sheet(std::string_view name,
                       int multiprocessors,
                       int shared_kib,
                       double l2_bytes,
                       double clock,
                       double hbm,
                       double ffma,
                       double tf32,
                       double bf16) {
    return {.name = name,
            .measured = false,
            .multiprocessors = multiprocessors,
            .shared_bytes = shared_kib * 1024,
            .l2_bytes = l2_bytes,
            .hbm = 0.89 * hbm,
            .l2 = kL2Bytes * multiprocessors * clock,
            .ffma = 0.9 * ffma,
            .tf32_matrix = 0.87 * tf32,
            .bf16_matrix = 0.87 * bf16,
            .exponentials = kExponentials * multiprocessors * clock,
            .start = kDevice.start,
            .start_eager = kDevice.start_eager};
}
constexpr Device kA100 = sheet("NVIDIA A100", 108, 164, 40e6, 1.41e9, 2.04e12, 19.5e12, 156e12, 312e12);
constexpr Device kRtx3090 = sheet("NVIDIA GeForce RTX 3090", 82, 100, 6e6, 1.70e9, 0.936e12, 35.6e12, 35.6e12, 71e12);
constexpr Device kRtx4090 =
    sheet("NVIDIA GeForce RTX 4090", 128, 100, 72e6, 2.52e9, 1.008e12, 82.6e12, 82.6e12, 165e12);
constexpr Device kB200 = sheet("NVIDIA B200", 148, 228, 126e6, 1.85e9, 8e12, 75e12, 1100e12, 2250e12);
constexpr Device kRtx5090 =
    sheet("NVIDIA GeForce RTX 5090", 170, 100, 96e6, 2.41e9, 1.792e12, 104.8e12, 104.8e12, 209.5e12);

}  // namespace

// The H200's chip with slower memory.
const Device kH100 = [] {
    Device d = kDevice;
    d.name = "NVIDIA H100 SXM";
    d.measured = false;
    d.hbm *= 3.35 / 4.8;
    return d;
}();

const Device& device_of(int compute_capability) {
    switch (compute_capability) {
        case 80:
            return kA100;
        case 86:
            return kRtx3090;
        case 89:
            return kRtx4090;
        case 90:
            return kDevice;
        case 100:
            return kB200;
        default:
            return kRtx5090;
    }
}

}  // namespace fp
