// The sum of two batch norms on moments, with ReLU, forward and backward: the end of a ResNet block whose shortcut has
// a norm.
//
//   forward   y = max(norm1(x1) + norm2(x2), 0), and the mask of ReLU as bits
//   backward  g = dy where the mask is set, else 0;  sums of g, g xhat1, g xhat2;  dx1 and dx2 as in
//             batchnorm_backward.cu
//
// Shapes    x1, x2, y and their gradients (N,H,W,C); float32 vectors of C, sums [chunk][3][C]
// Threads   a Swath (swath.cuh); add_chunks (columns.cu) adds the sums of the chunks
// Traffic   forward reads both x and writes y and bits: 3.06 maps, against 5 for one norm after the other; backward
//           reads x1, x2, dy and the bits twice and writes dx1 and dx2: 8.12 maps, against 11
// Bound     memory
// Needs     bf16, ReLU with bits, a map of at most Swath::kMostPacks packs; gradients that are replaced, not added to
// Measured  H200, batch 256, 256 channels at 56x56: backward 804 us (3.34 GB: 4.1 TB/s). A training step of ResNet-50
//           at 224 took 35.64 ms, and 36.55 ms with one norm after the other.
#include "kernels/cuda/norm/batchnorm.cuh"
#include "kernels/cuda/walks/columns.cuh"

namespace fp::FP_MACHINE {
namespace {

constexpr int kSize = Pack<bf16>::kSize,
              kResident = 2;  // blocks per multiprocessor that read three maps

struct Incoming {
    const bf16 *x[2], *dy;
    const uint8_t* bits;
    NormVectors norm[2];
};

__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident)
    normalize_pair_kernel(Incoming in, bf16* __restrict__ y, uint8_t* __restrict__ bits, Swath swath) {
    SHARED(RingSlots<2>, slots, );
    const SwathPlace at = place_on(swath, kNormalizeFromEnd);
    SwathRing<2> ring(slots, {{in.x[0], in.x[1]}}, at);
    if (at.count == 0) return;
    Normal<bf16> first(in.norm[0], at.pack);
    const Normal<bf16> second(in.norm[1], at.pack);
    UNROLL
    for (int e = 0; e < kSize; ++e) first.shift.v[e] += second.shift.v[e];
    ring.walk([&](int pack, const uint4(&raw)[2], unsigned) {
        const Pack<bf16> a = unpacked<bf16>(raw[0]), b = unpacked<bf16>(raw[1]);
        Pack<bf16> v;
        unsigned byte = 0;
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            v.v[e] = relu(fused_multiply_add(b.v[e] - second.centre.v[e], second.scale.v[e],
                                             first.y(a.v[e] - first.centre.v[e], e)));
            byte |= relu_passes(v.v[e]) ? 1u << e : 0u;
        }
        store_pack(y + int64_t(pack) * kSize, v);
        stg(bits + pack, uint8_t(byte));
    });
}

// Of each chunk: sum g, sum g xhat1, sum g xhat2.
__global__ void __launch_bounds__(Swath::kThreads, kResident)
    pair_gradient_sums_kernel(Incoming in, Swath swath, float* __restrict__ partial) {
    using Shared = SlotsThenSums<3, 3 * kSize>;
    SHARED(Shared, shared, );
    const SwathPlace at = place_on(swath, kSumsFromEnd);
    SwathRing<3, true> ring(shared.slots, {{in.dy, in.x[0], in.x[1]}}, at, in.bits);
    float sums[3 * kSize] = {};
    if (at.count > 0) {
        const Pack<bf16> centre[2] = {load_channels<bf16>(in.norm[0].mean, at.pack),
                                      load_channels<bf16>(in.norm[1].mean, at.pack)};
        ring.walk([&](int, const uint4(&raw)[3], unsigned byte) {
            const Pack<bf16> dy = unpacked<bf16>(raw[0]), a = unpacked<bf16>(raw[1]), b = unpacked<bf16>(raw[2]);
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                const float g = byte >> e & 1 ? dy.v[e] : 0;
                sums[e] += g;
                sums[kSize + e] += g * (a.v[e] - centre[0].v[e]);
                sums[2 * kSize + e] += g * (b.v[e] - centre[1].v[e]);
            }
        });
    }
    const int first = swath.group_of(int(blockIdx.x)) * swath.across, stored = swath.packs * kSize;
    sum_rows(sums, shared.room, swath.across, swath.down, [&](int across, int e, float sum) {
        if (first + across >= swath.packs) return;
        const int kind = e / kSize, channel = (first + across) * kSize + e % kSize;
        const float* rstd = kind == 1 ? in.norm[0].spread.vector : in.norm[1].spread.vector;
        if (kind > 0) sum *= ldg(rstd + channel);
        stg(partial + (int64_t(at.chunk) * 3 + kind) * stored + channel, sum);
    });
}

// `means`: of g, g xhat1 and g xhat2.
__global__ void __launch_bounds__(Swath::kThreads, kResident) pair_differentiate_kernel(
    Incoming in, const float* __restrict__ means, bf16* __restrict__ dx1, bf16* __restrict__ dx2, Swath swath) {
    SHARED(RingSlots<3>, slots, );
    const SwathPlace at = place_on(swath, kDifferentiateFromEnd);
    SwathRing<3, true> ring(slots, {{in.dy, in.x[0], in.x[1]}}, at, in.bits);
    if (at.count == 0) return;
    // dx = scale g + slope x + level, as in batchnorm_pool.cu
    const Pack<bf16> mean_g = load_channels<bf16>(means, at.pack);
    Pack<bf16> scale[2], slope[2], level[2];
    UNROLL
    for (int i = 0; i < 2; ++i) {
        const Normal<bf16> normal(in.norm[i], at.pack);
        const Pack<bf16> mean_g_xhat = load_channels<bf16>(means + int64_t(i + 1) * swath.packs * kSize, at.pack);
        scale[i] = normal.scale;
        slope[i] = load_rstd<bf16>(in.norm[i].spread, at.pack);
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            slope[i].v[e] *= -scale[i].v[e] * mean_g_xhat.v[e];
            level[i].v[e] = -scale[i].v[e] * mean_g.v[e] - slope[i].v[e] * normal.centre.v[e];
        }
    }
    ring.walk([&](int pack, const uint4(&raw)[3], unsigned byte) {
        Pack<bf16> g = unpacked<bf16>(raw[0]);
        UNROLL
        for (int e = 0; e < kSize; ++e) g.v[e] = byte >> e & 1 ? g.v[e] : 0;
        UNROLL
        for (int i = 0; i < 2; ++i) {
            Pack<bf16> dx = unpacked<bf16>(raw[1 + i]);
            UNROLL
            for (int e = 0; e < kSize; ++e)
                dx.v[e] = fused_multiply_add(dx.v[e], slope[i].v[e],
                                             fused_multiply_add(g.v[e], scale[i].v[e], level[i].v[e]));
            store_pack((i == 0 ? dx1 : dx2) + int64_t(pack) * kSize, dx);
        }
    });
}

}  // namespace

size_t pair_scratch_bytes(const BatchNormShape& s) {  // [chunk][3][C] and the means [3][C]
    return size_t(swath_of_sums(s.x, kSize, kResident).chunks() + 1) * 3 * size_t(s.x.stored_c()) * sizeof(float);
}

void pair_on_moments(const BatchNormShape& s, const BatchNorm::TrainPair& args, Stream stream) {
    FP_CHECK(s.relu && s.bits, "batchnorm: a pair without ReLU or its bits");
    const auto norm = [&](const BatchNorm::TrainPair::Half& half) {
        finish_statistics(
            s, half.moments,
            {.running_mean = half.running_mean, .running_var = half.running_var, .mean = half.mean, .rstd = half.rstd},
            stream);
        return NormVectors::of_batch(half.gamma, half.beta, half.mean, half.rstd);
    };
    const NormVectors a = norm(args.a), b = norm(args.b);
    const Incoming in{.x = {as<bf16>(args.a.x), as<bf16>(args.b.x)}, .dy = nullptr, .bits = nullptr, .norm = {a, b}};
    const Swath swath = swath_of_map(s.x, kSize);
    launch(normalize_pair_kernel, swath_grid(swath), stream, in, as<bf16>(args.y), bits_behind<bf16>(s, args.y), swath);
}

void pair_backward(const BatchNormShape& s, const BatchNorm::BackwardPair& args, void* scratch, Stream stream) {
    FP_CHECK(s.relu && s.bits, "batchnorm: a pair without ReLU or its bits");
    const auto norm = [](const BatchNorm::BackwardPair::Half& half) {
        return NormVectors::of_batch(half.gamma, nullptr, half.mean, half.rstd);
    };
    const Incoming in{.x = {as<bf16>(args.a.x), as<bf16>(args.b.x)},
                      .dy = as<bf16>(args.dy),
                      .bits = bits_behind<bf16>(s, args.y),
                      .norm = {norm(args.a), norm(args.b)}};
    const Swath sums = swath_of_sums(s.x, kSize, kResident), swath = swath_of_map(s.x, kSize);
    auto* partial = static_cast<float*>(scratch);
    float* means = partial + int64_t(sums.chunks()) * 3 * s.x.stored_c();
    launch(pair_gradient_sums_kernel, swath_grid(sums), stream, in, sums, partial);
    add_chunks(s.x, {.sums = partial, .chunks = sums.chunks(), .kinds = 3},
               {.means = means,
                .sums = {{as<float>(args.a.dbeta), as<float>(args.b.dbeta)},
                         {as<float>(args.a.dgamma)},
                         {as<float>(args.b.dgamma)}},
                .write = args.par_write},
               stream);
    launch(pair_differentiate_kernel, swath_grid(swath), stream, in, means, as<bf16>(args.a.dx), as<bf16>(args.b.dx),
           swath);
}

}  // namespace fp::FP_MACHINE
