// Kernels that only move bytes, and what devices give.
#include "kernels/cuda/plan/cost.h"

namespace fp {
namespace {

// What a kernel reads and writes of an activation map, counted in maps: x and what has its size, more with a residual,
// less without a ReLU; and the share of HBM's rate at which it does.
struct Row {
    Moving kernel;
    std::string_view name;
    double maps, residual, without_relu, share;
};
constexpr double kBits = 1.0 / 16;  // of a ReLU, one an element
constexpr double kPooled =
    0.25 + 0.25 / 2;  // a quarter of the pixels, and a byte of argmax for each
constexpr Row kRows[kMovings] = {
    {Moving::normalize, "normalize", 2, 1 + kBits, 0, 1},
    {Moving::normalize_pair, "normalize_pair", 3 + kBits, 0, 0, 1},
    {Moving::normalize_pool, "normalize_pool", 1 + kPooled, 0, 0, 0.63},
    {Moving::gradient_sums, "gradient_sums", 2, kBits, 0, 1},
    {Moving::differentiate, "differentiate", 3, 1 + kBits, 0, 1},
    {Moving::pair_gradient_sums, "pair_gradient_sums", 3 + kBits, 0, 0, 1},
    {Moving::pair_differentiate, "pair_differentiate", 5 + kBits, 0, 0, 1},
    {Moving::pool_gradient_sums, "pool_gradient_sums", 1 + kPooled, 0, 0, 0.9},
    {Moving::pool_differentiate, "pool_differentiate", 2 + kPooled, 0, 0, 0.93},
    {Moving::sheet_normalize, "sheet_normalize", 2, 1, 0, 0.87},
    {Moving::sheet_gradient_sums, "sheet_gradient_sums", 3, 0, -1, 0.82},
    {Moving::sheet_differentiate, "sheet_differentiate", 4, 1, -1, 0.66},
    {Moving::maxpool_forward, "maxpool_forward", 1 + kPooled, 0, 0, 0.41},
    {Moving::maxpool_backward, "maxpool_backward", 1 + kPooled, 0, 0, 0.27},
    {Moving::image, "image", 0, 0, 0, 0.47},
    {Moving::image_pairs, "image_pairs", 0, 0, 0, 0.94},
    {Moving::sgd, "sgd", 0, 0, 0, 1},
    {Moving::others, "others", 0, 0, 0, 1},
};
const Row& row_of(Moving kernel) { return kRows[int(kernel)]; }
static_assert([] {
    for (int i = 0; i < kMovings; ++i)
        if (int(kRows[i].kernel) != i) return false;
    return true;
}());

constexpr double kRamp = 2.5e-6;  // until bytes flow at the full rate, and back
constexpr double kFinish = 4e-6, kFinishChannel = 10e-9;

// H200 figures per multiprocessor and clock, by which others are scaled: bytes from L2, exponentials.
constexpr double kL2Bytes = 40, kExponentials = 16;

// From data sheets: dense rates with float32 sums. `clock` is the boost clock. HBM reaches 0.89 of its sheet's rate, as
// an H200's does (4.27 of 4.8 TB/s), the tensor cores 0.87 (860 of 989).
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
constexpr Device kA100 =
    sheet("NVIDIA A100", 108, 164, 40e6, 1.41e9, 2.04e12, 19.5e12, 156e12, 312e12);
constexpr Device kRtx3090 =
    sheet("NVIDIA GeForce RTX 3090", 82, 100, 6e6, 1.70e9, 0.936e12, 35.6e12, 35.6e12, 71e12);
constexpr Device kRtx4090 =
    sheet("NVIDIA GeForce RTX 4090", 128, 100, 72e6, 2.52e9, 1.008e12, 82.6e12, 82.6e12, 165e12);
constexpr Device kB200 =
    sheet("NVIDIA B200", 148, 228, 126e6, 1.85e9, 8e12, 75e12, 1100e12, 2250e12);
constexpr Device kRtx5090 = sheet(
    "NVIDIA GeForce RTX 5090", 170, 100, 96e6, 2.41e9, 1.792e12, 104.8e12, 104.8e12, 209.5e12);

}  // namespace

// The H200's chip with slower memory.
constexpr Device kH100Of = [] {
    Device d = kDevice;
    d.name = "NVIDIA H100 SXM";
    d.measured = false;
    d.hbm *= 3.35 / 4.8;
    return d;
}();
const Device kH100 = kH100Of;

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

std::string_view name_of(Moving kernel) { return row_of(kernel).name; }

Cost cost(const Device& d, Moving kernel, double bytes) {
    return {.start = d.start + kRamp, .memory = bytes / (d.hbm * row_of(kernel).share)};
}

double bytes_of(Moving kernel, const Map& x, bool residual, bool relu) {
    const Row& row = row_of(kernel);
    return 2.0 * double(x.stored()) *
           (row.maps + (residual ? row.residual : 0) + (relu ? 0 : row.without_relu));
}

Cost finishing(const Device& d, int channels) {
    return {.start = d.start + kFinish, .epilogue = channels * kFinishChannel};
}

}  // namespace fp
