// Batch norm's output, with the residual addition and the ReLU that may follow it.
//
//   y = act(gamma rstd (x - mean) + beta + residual)
//   bits, if the shape has them: one byte per pack of 8 channels in bf16, of 4 in float32. Bit e: ReLU passes the
//   gradient of y[e].
//
// Shapes    x, y, residual (N,H,W,C); bits (N,H,W,C / pack); float32 vectors of C. Every map takes this kernel.
// Threads   a Swath (swath.cuh), from the end of the map to its beginning
// Traffic   x and y once, the residual once if there is one; bits are a sixteenth of a bf16 map
// Bound     memory: that traffic divided by the bandwidth
// Needs     a map of at most Swath::kMostPacks packs
// Measured  H200, bf16, batch 256, 256 channels at 56x56, on moments: residual and bits 305 us (1.26 GB: 4.1 TB/s)
#include "kernels/cuda/norm/batchnorm.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A, bool kResidual>
__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident) normalize_kernel(const A* __restrict__ x,
                                                                                      const A* __restrict__ residual,
                                                                                      NormVectors norm,
                                                                                      A* __restrict__ y,
                                                                                      uint8_t* __restrict__ bits,
                                                                                      bool with_relu,
                                                                                      Swath swath) {
    constexpr int kSize = Pack<A>::kSize, kMaps = kResidual ? 2 : 1;
    SHARED(RingSlots<kMaps>, slots, );
    const SwathPlace at = place_on(swath, kNormalizeFromEnd);
    RingMaps<kMaps> maps{{x}};
    if constexpr (kResidual) maps.of[1] = residual;
    SwathRing<kMaps> ring(slots, maps, at);
    if (at.count == 0) return;
    const Normal<A> normal(norm, at.pack);
    ring.walk([&](int pack, const uint4(&raw)[kMaps], unsigned) {
        Pack<A> v = unpacked<A>(raw[0]);
        UNROLL
        for (int e = 0; e < kSize; ++e) v.v[e] = normal.y(v.v[e] - normal.centre.v[e], e);
        if constexpr (kResidual) {
            const Pack<A> z = unpacked<A>(raw[1]);
            UNROLL
            for (int e = 0; e < kSize; ++e) v.v[e] += z.v[e];
        }
        if (with_relu) {
            UNROLL
            for (float& e : v.v) e = relu(e);
        }
        store_pack(y + int64_t(pack) * kSize, v);
        if (bits) {
            unsigned byte = 0;
            UNROLL
            for (int e = 0; e < kSize; ++e) byte |= relu_passes(v.v[e]) ? 1u << e : 0u;
            stg(bits + pack, uint8_t(byte));
        }
    });
}

}  // namespace

template <class A>
void normalize(const BatchNormShape& s, const Normalized& of, Stream stream) {
    const Swath swath = swath_of_map(s.x, Pack<A>::kSize);
    launch(s.residual ? normalize_kernel<A, true> : normalize_kernel<A, false>, swath_grid(swath), stream, as<A>(of.x),
           as<A>(of.residual), of.norm, as<A>(of.y), bits_behind<A>(s, of.y), s.relu, swath);
}
template void normalize<float>(const BatchNormShape&, const Normalized&, Stream);
template void normalize<bf16>(const BatchNormShape&, const Normalized&, Stream);

}  // namespace fp::FP_MACHINE
