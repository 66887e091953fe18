// The gradient of batch norm, and of the residual addition and the ReLU that follow it.
//
//   g      = dy where ReLU passed (all of dy without one)     dresidual = g
//   dgamma = sum g xhat      dbeta = sum g                    xhat = (x - mean) rstd
//   dx     = gamma rstd (g - dbeta / m - xhat dgamma / m)     batch statistics
//   dx     = gamma rstd g                                     running statistics
//
// Shapes    x, y, dy, dx, dresidual (N,H,W,C); float32 vectors of C. Every map takes these kernels.
// Mask      The mask of ReLU comes from the cheapest source there is: the bits behind y where the shape has them (train
//           wrote them); else y computed again from x, by the same instructions as in forward, where beta is given and
//           there is no residual; else y itself, a third map to read.
// Threads   Swaths (swath.cuh): gradient_sums_kernel writes the sums of at most 4 x 396 chunks, which add_chunks
//           (columns.cu) adds; differentiate_kernel has a variant without x for running statistics
// Traffic   sums: reads x, dy and what the mask needs. differentiate: reads the same (running statistics: not x),
//           writes dx, and dresidual if there is one; a gradient that is added to is read in place.
// Bound     memory: that traffic divided by the bandwidth. With blocks of 64 steps, all resident at once, the case of
//           133.5 us below took 130.7. Blocks have 16 steps because whole networks were measured with them, and because
//           the last of many short blocks ends soon after the others.
// Needs     a map of at most Swath::kMostPacks packs
// Measured  H200, bf16, batch 256: 64 channels at 56x56, ReLU, 133.5 us (514 MB: 3.9 TB/s); 256 channels at 56x56 with
//           residual and bits 613 us; 256 channels at 14x14 41 us. In these measurements the sums went forward and
//           `differentiate` backward; the directions of batchnorm.cuh were measured only in a whole network. Variants
//           that add, or with running statistics, were not measured.
#include "kernels/cuda/norm/batchnorm.cuh"
#include "kernels/cuda/walks/columns.cuh"

namespace fp::FP_MACHINE {
namespace {

enum class Gate { open, output, again, bits };

template <class A>
struct Incoming {
    const A *dy, *x, *y;
    const uint8_t* bits;
    NormVectors norm;
};

// The maps that are read: dy, then x if kX, then y if the mask is read from it.
template <Gate kGate, bool kX>
constexpr int kIncoming = 1 + int(kX) + int(kGate == Gate::output);
template <class A, Gate kGate, bool kX>
__device__ __forceinline__ RingMaps<kIncoming<kGate, kX>> maps_of(const Incoming<A>& in) {
    RingMaps<kIncoming<kGate, kX>> maps{{in.dy}};
    if constexpr (kX) maps.of[1] = in.x;
    if constexpr (kGate == Gate::output) maps.of[kIncoming<kGate, kX> - 1] = in.y;
    return maps;
}

// dy where the mask is set, else 0; from_centre is x - mean.
template <class A, Gate kGate, int kMaps>
__device__ __forceinline__ Pack<A> gated(const uint4 (&raw)[kMaps],
                                         unsigned byte,
                                         const Pack<A>& from_centre,
                                         const Normal<A>& normal) {
    Pack<A> g = unpacked<A>(raw[0]);
    const Pack<A> y = kGate == Gate::output ? unpacked<A>(raw[kMaps - 1]) : Pack<A>{};
    UNROLL
    for (int e = 0; e < Pack<A>::kSize; ++e) {
        bool passes = true;
        if constexpr (kGate == Gate::output) passes = relu_passes(y.v[e]);
        if constexpr (kGate == Gate::again) passes = relu_passes(normal.y(from_centre.v[e], e));
        if constexpr (kGate == Gate::bits) passes = byte >> e & 1;
        g.v[e] = passes ? g.v[e] : 0;
    }
    return g;
}

// Of each chunk: sum g and sum g xhat, [chunk][2][C].
template <class A, Gate kGate>
__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident)
    gradient_sums_kernel(Incoming<A> in, Swath swath, float* __restrict__ partial) {
    constexpr int kSize = Pack<A>::kSize, kMaps = kIncoming<kGate, true>;
    using Shared = SlotsThenSums<kMaps, 2 * kSize>;
    SHARED(Shared, shared, );
    const SwathPlace at = place_on(swath, kSumsFromEnd);
    SwathRing<kMaps, kGate == Gate::bits> ring(shared.slots, maps_of<A, kGate, true>(in), at, in.bits);
    float sums[2 * kSize] = {};
    if (at.count > 0) {
        const Normal<A> normal(in.norm, at.pack);
        ring.walk([&](int, const uint4(&raw)[kMaps], unsigned byte) {
            Pack<A> v = unpacked<A>(raw[1]);
            UNROLL
            for (int e = 0; e < kSize; ++e) v.v[e] -= normal.centre.v[e];
            const Pack<A> g = gated<A, kGate>(raw, byte, v, normal);
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                sums[e] += g.v[e];
                sums[kSize + e] += g.v[e] * v.v[e];
            }
        });
    }
    const int first = swath.group_of(int(blockIdx.x)) * swath.across;
    const int64_t stored = int64_t(swath.packs) * kSize;
    sum_rows(sums, shared.room, swath.across, swath.down, [&](int across, int e, float sum) {
        if (first + across >= swath.packs) return;
        const int channel = (first + across) * kSize + e % kSize;
        if (e >= kSize) sum *= in.norm.spread.rstd(channel);
        stg(partial + (int64_t(at.chunk) * 2 + e / kSize) * stored + channel, sum);
    });
}

template <class A>
struct Outgoing {
    A* dx;
    Write dx_write;
    A* dresidual;
    Write dresidual_write;
};

// `means`: of g and g xhat; not read where the statistics do not depend on x.
template <class A, Gate kGate, bool kOfBatch>
__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident)
    differentiate_kernel(Incoming<A> in, const float* __restrict__ means, Outgoing<A> out, Swath swath) {
    constexpr int kSize = Pack<A>::kSize, kMaps = kIncoming<kGate, kOfBatch>;
    static_assert(kOfBatch || kGate != Gate::again, "y comes from x");
    SHARED(RingSlots<kMaps>, slots, );
    const SwathPlace at = place_on(swath, kDifferentiateFromEnd);
    SwathRing<kMaps, kGate == Gate::bits> ring(slots, maps_of<A, kGate, kOfBatch>(in), at, in.bits);
    if (at.count == 0) return;
    const Normal<A> normal(in.norm, at.pack);
    // dx = scale (g - mean g) - slope (x - mean),   slope = scale rstd mean(g xhat)
    Pack<A> slope{}, level{};
    if constexpr (kOfBatch) {
        slope = load_rstd<A>(in.norm.spread, at.pack);
        level = load_channels<A>(means, at.pack);
        const Pack<A> mean_g_xhat = load_channels<A>(means + int64_t(swath.packs) * kSize, at.pack);
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            slope.v[e] *= -normal.scale.v[e] * mean_g_xhat.v[e];
            level.v[e] *= -normal.scale.v[e];
        }
    }
    ring.walk([&](int pack, const uint4(&raw)[kMaps], unsigned byte) {
        Pack<A> v{};
        if constexpr (kOfBatch) {
            v = unpacked<A>(raw[1]);
            UNROLL
            for (int e = 0; e < kSize; ++e) v.v[e] -= normal.centre.v[e];
        }
        const Pack<A> g = gated<A, kGate>(raw, byte, v, normal);
        Pack<A> dx;
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            if constexpr (kOfBatch)
                dx.v[e] =
                    fused_multiply_add(v.v[e], slope.v[e], fused_multiply_add(g.v[e], normal.scale.v[e], level.v[e]));
            else
                dx.v[e] = g.v[e] * normal.scale.v[e];
        }
        const int64_t offset = int64_t(pack) * kSize;
        store_gradient(out.dx + offset, dx, out.dx_write);
        if (out.dresidual) store_gradient(out.dresidual + offset, g, out.dresidual_write);
    });
}

// call(std::integral_constant) with the gate.
template <class Call>
void with_gate(Gate gate, Call call) {
    if (gate == Gate::open) return call(std::integral_constant<Gate, Gate::open>());
    if (gate == Gate::output) return call(std::integral_constant<Gate, Gate::output>());
    if (gate == Gate::again) return call(std::integral_constant<Gate, Gate::again>());
    call(std::integral_constant<Gate, Gate::bits>());
}

template <class A>
void start(const BatchNormShape& s, const Differentiated& of, void* scratch, Stream stream) {
    const BatchNorm::Gradients& out = of.to;
    const Incoming<A> in{
        .dy = as<A>(of.dy), .x = as<A>(of.x), .y = as<A>(of.y), .bits = bits_behind<A>(s, of.y), .norm = of.norm};
    const Gate read = !s.relu ? Gate::open : s.bits ? Gate::bits : Gate::output;
    const Gate with_x = read == Gate::output && of.norm.beta && !s.residual ? Gate::again : read;
    const Swath sums = swath_of_sums(s.x, Pack<A>::kSize), swath = swath_of_map(s.x, Pack<A>::kSize);
    auto* partial = static_cast<float*>(scratch);
    float* means = partial + int64_t(sums.chunks()) * 2 * s.x.stored_c();
    if (of.of_batch || out.dgamma || out.dbeta) {
        with_gate(with_x, [&](auto gate) {
            launch(gradient_sums_kernel<A, gate.value>, swath_grid(sums), stream, in, sums, partial);
        });
        add_chunks(s.x, {.sums = partial, .chunks = sums.chunks(), .kinds = 2},
                   {.means = means, .sums = {{as<float>(out.dbeta)}, {as<float>(out.dgamma)}}, .write = out.par_write},
                   stream);
    }
    const Outgoing<A> to{.dx = as<A>(out.dx),
                         .dx_write = out.dx_write,
                         .dresidual = as<A>(out.dresidual),
                         .dresidual_write = out.dresidual_write};
    with_gate(of.of_batch ? with_x : read, [&](auto gate) {
        if (of.of_batch)
            return launch(differentiate_kernel<A, gate.value, true>, swath_grid(swath), stream, in, means, to, swath);
        if constexpr (gate.value != Gate::again)
            launch(differentiate_kernel<A, gate.value, false>, swath_grid(swath), stream, in, means, to, swath);
    });
}

}  // namespace

size_t gradient_bytes(const BatchNormShape& s, int pack) {  // [chunk][2][C] and the means [2][C]
    return size_t(swath_of_sums(s.x, pack).chunks() + 1) * 2 * size_t(s.x.stored_c()) * sizeof(float);
}

template <>
void differentiate<float>(const BatchNormShape& s, const Differentiated& of, void* scratch, Stream stream) {
    start<float>(s, of, scratch, stream);
}
template <>
void differentiate<bf16>(const BatchNormShape& s, const Differentiated& of, void* scratch, Stream stream) {
    start<bf16>(s, of, scratch, stream);
}

}  // namespace fp::FP_MACHINE
