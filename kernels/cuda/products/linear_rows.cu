// Linear layers of a few samples: a matrix-vector product that reads every weight once, as it is stored.
//
//   y[n,k] = bias[k] + sum_hwc w[k,h,w,c] x[n,h,w,c]
//
// Shapes    x (N,H,W,C)  w (K,H,W,C) float32  y (N,K); N at most 4
// Threads   256. A warp has one output k of all samples, or, where a filter has 4096 weights or more, a block has. Lanes
//           stride over the filter in packs of 16 bytes of x; the lanes' sums are added over the warp, then those of the
//           warps in order. So the order of a sum follows from the shape alone.
// Traffic   4 bytes per weight, once; x once per output, from L1. Rounding the weights first, as the convolutions'
//           kernels need it (kept.cu), would move 8 bytes and start a second kernel.
// Bound     memory, or for few weights the launch: of 512 to 1000 the weights are 2 MB, 0.5 us at 4.27 TB/s; of VGG's
//           first layer 411 MB, 96 us. Calculated, not measured.
#include "kernels/cuda/products/linear_rows.cuh"

#include "kernels/cuda/plan/conv_sizes.h"
#include "kernels/cuda/walks/pack.cuh"
#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kThreads = 256, kLongFilter = 4096;

// As larger batches have them (kept.cu), so that a sample's logits differ from those only by the order of their sums.
template <class A>
__device__ Pack<A> rounded(Pack<A> weights) {
    if constexpr (std::is_same_v<A, bf16>)
        for (float& v : weights.v) v = to_float(to_bf16(v));
    return weights;
}

// The numbers of output `k` that this thread adds: every kThreads_-th pack of its filter. `sums`: one per sample.
template <int kOfOutput, int kRows, class A>
__device__ void add_products(const A* x, const float* w, int rows, int packs, float (&sums)[kRows]) {
    constexpr int kSize = Pack<A>::kSize;
    for (int i = thread_index() % kOfOutput; i < packs; i += kOfOutput) {
        const Pack<A> weights = rounded<A>(load_channels<A>(w, i));
        UNROLL
        for (int n = 0; n < kRows; ++n) {
            if (n >= rows) break;
            const Pack<A> of_x = load_pack(x + (int64_t(n) * packs + i) * kSize);
            UNROLL
            for (int e = 0; e < kSize; ++e) sums[n] = fused_multiply_add(weights.v[e], of_x.v[e], sums[n]);
        }
    }
}

// kOfOutput threads have one output. Outputs behind the last filter are padding: zeros.
template <int kOfOutput, int kRows, class A>
__global__ void __launch_bounds__(kThreads) linear_rows_kernel(const A* __restrict__ x,
                                                               const float* __restrict__ w,
                                                               const float* __restrict__ bias,
                                                               A* __restrict__ y,
                                                               int rows,
                                                               int packs,
                                                               int filters,
                                                               int outputs) {
    constexpr int kOutputs = kThreads / kOfOutput, kWarps = kOfOutput / kWarp;
    SHARED(float, of_warp, [kThreads / kWarp][kRows]);
    const int k = int(blockIdx.x) * kOutputs + thread_index() / kOfOutput;
    float sums[kRows] = {};
    if (k < filters) add_products<kOfOutput>(x, w + int64_t(k) * packs * Pack<A>::kSize, rows, packs, sums);
    UNROLL
    for (int n = 0; n < kRows; ++n) sums[n] = warp_sum(sums[n]);
    if constexpr (kWarps > 1) {
        if (lane_index() == 0)
            for (int n = 0; n < kRows; ++n) of_warp[warp_index()][n] = sums[n];
        block_sync();
        UNROLL
        for (int n = 0; n < kRows; ++n) {
            sums[n] = of_warp[0][n];
            for (int warp = 1; warp < kWarps; ++warp) sums[n] += of_warp[warp][n];
        }
    }
    if (thread_index() % kOfOutput != 0 || k >= outputs) return;
    const float add = bias && k < filters ? ldg(bias + k) : 0;
    UNROLL
    for (int n = 0; n < kRows; ++n)
        if (n < rows) store_one(y + int64_t(n) * outputs + k, sums[n] + add);
}

template <int kOfOutput, class A>
void start(const LinearShape& s, const Linear::Forward& a, Stream stream) {
    (void)ConvSizes::of(as_conv(s));  // refuses other layouts
    const int packs = int(s.x.pixels() * s.x.stored_c() / Pack<A>::kSize), outputs = s.y().stored_c();
    const Grid grid{.blocks = ceil_div(outputs, kThreads / kOfOutput), .threads = kThreads};
    const auto run = [&](auto kernel) {
        launch(kernel, grid, stream, as<A>(a.x), as<float>(a.w), as<float>(a.bias), as<A>(a.y), s.x.n, packs, s.w.k,
               outputs);
    };
    if (s.x.n == 1) return run(linear_rows_kernel<kOfOutput, 1, A>);
    run(linear_rows_kernel<kOfOutput, kFewRows, A>);
}

}  // namespace

template <class A>
void linear_rows(const LinearShape& s, const Linear::Forward& a, Stream stream) {
    if (s.x.pixels() * s.x.stored_c() >= kLongFilter) return start<kThreads, A>(s, a, stream);
    start<kWarp, A>(s, a, stream);
}
template void linear_rows<float>(const LinearShape&, const Linear::Forward&, Stream);
template void linear_rows<bf16>(const LinearShape&, const Linear::Forward&, Stream);

}  // namespace fp::FP_MACHINE
