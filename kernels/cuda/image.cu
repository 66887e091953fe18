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

template <class A>
void normalize(
    const Map& m, const uint8_t* rgb, const float* mean, const float* std, act* x, Stream stream) {
    FP_CHECK(m.stored_c() == 4, "image: ", m.c, " channels stored as ", m.stored_c(), ", not 4");
    const int64_t pixels = int64_t(m.n) * m.pixels();
    launch(normalize_kernel<A>, flat_grid(pixels), stream, rgb, mean, std, static_cast<A*>(x), m.c,
           pixels);
}

}  // namespace

extern const Image image_f32{.normalize = normalize<float>};
extern const Image image_bf16{.normalize = normalize<bf16>};

}  // namespace fp::FP_MACHINE
