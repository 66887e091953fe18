// ReLU.
//
//   forward   y = max(x, 0), NaN stays NaN
//   backward  dx = 0 where y <= 0, else dy
//
// Shapes    all of one map, any layout: a flat run
// Threads   one pack of 16 bytes per thread
// Traffic   forward reads and writes the map once; backward reads two and writes one (add: reads three)
// Bound     memory
// Model     (bench/gpu/run --model: H200, bf16, batch 256) forward of 64 channels at 56x56: 51 us; the floor is 48
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void relu_forward_kernel(const A* __restrict__ x, A* __restrict__ y, int64_t packs) {
    const int64_t i = flat_index();
    if (i >= packs) return;
    Pack<A> v = load_pack(x + i * Pack<A>::kSize);
    UNROLL
    for (float& e : v.v) e = relu(e);
    store_pack(y + i * Pack<A>::kSize, v);
}

template <class A>
__global__ void relu_backward_kernel(
    const A* __restrict__ y, const A* __restrict__ dy, A* dx, Write write, int64_t packs) {
    const int64_t i = flat_index();
    if (i >= packs) return;
    const Pack<A> out = load_pack(y + i * Pack<A>::kSize);
    Pack<A> g = load_pack(dy + i * Pack<A>::kSize);
    UNROLL
    for (int e = 0; e < Pack<A>::kSize; ++e) g.v[e] = relu_passes(out.v[e]) ? g.v[e] : 0;
    store_gradient(dx + i * Pack<A>::kSize, g, write);
}

template <class A>
void forward(const Map& m, const Relu::Forward& args, Stream stream) {
    const int64_t packs = m.stored() / Pack<A>::kSize;
    launch(relu_forward_kernel<A>, flat_grid(packs), stream, as<A>(args.x), as<A>(args.y), packs);
}

template <class A>
void backward(const Map& m, const Relu::Backward& args, Stream stream) {
    const int64_t packs = m.stored() / Pack<A>::kSize;
    launch(relu_backward_kernel<A>, flat_grid(packs), stream, as<A>(args.y), as<A>(args.dy), as<A>(args.dx), args.write,
           packs);
}

}  // namespace

extern const Relu relu_f32{.forward = forward<float>, .backward = backward<float>};
extern const Relu relu_bf16{.forward = forward<bf16>, .backward = backward<bf16>};

}  // namespace fp::FP_MACHINE
