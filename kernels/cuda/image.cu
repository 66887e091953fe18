// Bytes to the network's input.
//
//   x[n,c,h,w] = (rgb[n,h,w,c] / 255 - mean[c]) / std[c]
//
// Shapes    rgb (N,H,W,C) dense, C at most 4; x NHWC with 4 channels stored, the rest zero
// Threads   one pixel each
// Traffic   reads C bytes, writes 4 activations a pixel
// Bound     memory
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 224x224: 35 us; the floor is 33
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/swath.cuh"

namespace fp::FP_MACHINE {
namespace {

__device__ inline void store_pixel(float* p, const float (&v)[4]) {
    store_pack(p, Pack<float>{{v[0], v[1], v[2], v[3]}});
}
__device__ inline void store_pixel(bf16* p, const float (&v)[4]) {
    stg(reinterpret_cast<uint2*>(p), uint2{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3])});
}

template <class A>
__global__ void normalize_kernel(const uint8_t* __restrict__ rgb,
                                 const float* __restrict__ mean,
                                 const float* __restrict__ std,
                                 A* __restrict__ x,
                                 int channels,
                                 int64_t pixels) {
    const int64_t i = flat_index();
    if (i >= pixels) return;
    float v[4] = {};
    UNROLL
    for (int c = 0; c < 4; ++c)
        if (c < channels)
            v[c] = (float(ldg(rgb + i * channels + c)) / 255 - ldg(mean + c)) / ldg(std + c);
    store_pixel(x + i * 4, v);
}

// Two pixels of three channels at a time, some of them per thread: what divides is done once.
constexpr int kImageLoads = 4;  // pairs of pixels on their way at a time
__device__ inline void store_pixels(bf16* p, const float (&a)[4], const float (&b)[4]) {
    stg(reinterpret_cast<uint4*>(p), uint4{pack_bf16(a[0], a[1]), pack_bf16(a[2], a[3]),
                                           pack_bf16(b[0], b[1]), pack_bf16(b[2], b[3])});
}
__device__ inline void store_pixels(float* p, const float (&a)[4], const float (&b)[4]) {
    store_pack(p, Pack<float>{{a[0], a[1], a[2], a[3]}});
    store_pack(p + 4, Pack<float>{{b[0], b[1], b[2], b[3]}});
}

template <class A>
__global__ void normalize_pairs_kernel(const uint8_t* __restrict__ rgb,
                                       const float* __restrict__ mean,
                                       const float* __restrict__ std,
                                       A* __restrict__ x,
                                       int64_t pairs,
                                       int64_t threads) {
    float scale[3], shift[3];
    UNROLL
    for (int c = 0; c < 3; ++c) {
        const float s = 1 / ldg(std + c);
        scale[c] = s / 255;
        shift[c] = -ldg(mean + c) * s;
    }
    const auto* words = reinterpret_cast<const uint16_t*>(rgb);  // three a pair
    for (int64_t first = flat_index(); first < pairs; first += threads * kImageLoads) {
        unsigned raw[kImageLoads][3] = {};
        UNROLL
        for (int k = 0; k < kImageLoads; ++k)
            if (first + k * threads < pairs) {
                UNROLL
                for (int i = 0; i < 3; ++i) raw[k][i] = ldg(words + (first + k * threads) * 3 + i);
            }
        UNROLL
        for (int k = 0; k < kImageLoads; ++k) {
            float v[6];
            UNROLL
            for (int i = 0; i < 6; ++i)
                v[i] = fused_multiply_add(float(raw[k][i / 2] >> (8 * (i % 2)) & 255), scale[i % 3],
                                          shift[i % 3]);
            if (first + k * threads < pairs)
                store_pixels(x + (first + k * threads) * 8, {v[0], v[1], v[2], 0},
                             {v[3], v[4], v[5], 0});
        }
    }
}

template <class A>
void normalize(
    const Map& m, const uint8_t* rgb, const float* mean, const float* std, act* x, Stream stream) {
    FP_CHECK(m.stored_c() == 4, "image: ", m.c, " channels stored as ", m.stored_c(), ", not 4");
    const int64_t pixels = int64_t(m.n) * m.pixels();
    if (choice("FP_IMAGE", 1) == 1 && m.c == 3 && pixels % 2 == 0 &&
        reinterpret_cast<uintptr_t>(rgb) % 2 == 0) {
        const int64_t blocks =
            std::min<int64_t>(ceil_div(pixels / 2, kFlatThreads * kImageLoads), kProcessors * 24);
        return launch(normalize_pairs_kernel<A>, Grid{.blocks = blocks, .threads = kFlatThreads},
                      stream, rgb, mean, std, static_cast<A*>(x), pixels / 2,
                      blocks * kFlatThreads);
    }
    launch(normalize_kernel<A>, flat_grid(pixels), stream, rgb, mean, std, static_cast<A*>(x), m.c,
           pixels);
}

}  // namespace

extern const Image image_f32{.normalize = normalize<float>};
extern const Image image_bf16{.normalize = normalize<bf16>};

}  // namespace fp::FP_MACHINE
