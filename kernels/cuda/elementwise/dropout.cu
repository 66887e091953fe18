// Dropout.
//
//   forward   y = x keep / (1 - p),  keep = [uniform(key, i) >= p], i the element's index in NCHW order
//   backward  dx = dy keep / (1 - p), the same mask drawn again
//
// Shapes    all of one map, NHWC with padded channels
// Threads   one pack of 16 bytes per thread
// Traffic   reads one map (add: two), writes one
// Bound     integer instructions: ten Philox rounds per element, about 100 of them. Dropout is used between linear
//           layers, where maps are small.
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 4096 channels: 7.3 us, 6.8 of it for the random words; the
//           time to move the bytes is 1.0
#include "kernels/cuda/walks/pack.cuh"
#include "kernels/random.h"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void dropout_kernel(
    const A* __restrict__ from, A* to, Map m, float p, float scale, uint64_t key, Write write, int64_t packs) {
    const int64_t i = flat_index();
    if (i >= packs) return;
    const int packs_a_pixel = m.stored_c() / Pack<A>::kSize;
    const int64_t pixel = i / packs_a_pixel;
    const int channel = int(i % packs_a_pixel) * Pack<A>::kSize;
    const int64_t sample = pixel / m.pixels(), place = pixel % m.pixels();

    Pack<A> v = load_pack(from + i * Pack<A>::kSize);
    UNROLL
    for (int e = 0; e < Pack<A>::kSize; ++e) {
        const int64_t index = (sample * m.c + channel + e) * m.pixels() + place;
        v.v[e] = uniform(key, uint64_t(index)) >= p ? v.v[e] * scale : 0;
    }
    store_gradient(to + i * Pack<A>::kSize, v, write);
}

template <class A>
void backward(const Map& m, const Dropout::Backward& args, Stream stream) {
    const int64_t packs = m.stored() / Pack<A>::kSize;
    launch(dropout_kernel<A>, flat_grid(packs), stream, as<A>(args.dy), as<A>(args.dx), m, float(args.p),
           float(1 / (1 - args.p)), args.key, args.write, packs);
}
// The same calculation: the mask, applied to x.
template <class A>
void forward(const Map& m, const Dropout::Forward& args, Stream stream) {
    backward<A>(m, {.p = args.p, .key = args.key, .dy = args.x, .dx = args.y, .write = Write::replace}, stream);
}

}  // namespace

extern const Dropout dropout_f32{.forward = forward<float>, .backward = backward<float>};
extern const Dropout dropout_bf16{.forward = forward<bf16>, .backward = backward<bf16>};

}  // namespace fp::FP_MACHINE
