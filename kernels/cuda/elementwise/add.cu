// The residual addition.
//
//   forward     y = a + b
//   accumulate  dx = dy, or dx += dy
//
// Shapes    all of one map, any layout: a flat run
// Threads   one pack of 16 bytes per thread
// Traffic   forward reads two maps and writes one; accumulate reads one (add: two) and writes one
// Bound     memory
// Model     (bench/gpu/run --model: H200, bf16, batch 256) forward of 64 channels at 56x56: 75 us; the floor is 72
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void add_forward_kernel(const A* __restrict__ a, const A* __restrict__ b, A* __restrict__ y, int64_t packs) {
    const int64_t i = flat_index();
    if (i >= packs) return;
    Pack<A> sum = load_pack(a + i * Pack<A>::kSize);
    const Pack<A> other = load_pack(b + i * Pack<A>::kSize);
    UNROLL
    for (int e = 0; e < Pack<A>::kSize; ++e) sum.v[e] += other.v[e];
    store_pack(y + i * Pack<A>::kSize, sum);
}

template <class A>
__global__ void add_accumulate_kernel(const A* __restrict__ dy, A* dx, Write write, int64_t packs) {
    const int64_t i = flat_index();
    if (i >= packs) return;
    store_gradient(dx + i * Pack<A>::kSize, load_pack(dy + i * Pack<A>::kSize), write);
}

template <class A>
void forward(const Map& m, const Add::Forward& args, Stream stream) {
    const int64_t packs = m.stored() / Pack<A>::kSize;
    launch(add_forward_kernel<A>, flat_grid(packs), stream, as<A>(args.a), as<A>(args.b), as<A>(args.y), packs);
}

template <class A>
void accumulate(const Map& m, const Add::Accumulate& args, Stream stream) {
    const int64_t packs = m.stored() / Pack<A>::kSize;
    launch(add_accumulate_kernel<A>, flat_grid(packs), stream, as<A>(args.dy), as<A>(args.dx), args.write, packs);
}

}  // namespace

extern const Add add_f32{.forward = forward<float>, .accumulate = accumulate<float>};
extern const Add add_bf16{.forward = forward<bf16>, .accumulate = accumulate<bf16>};

}  // namespace fp::FP_MACHINE
