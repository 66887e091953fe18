// The statistics of batch norm: the moments of a map, and mean, rstd and running statistics from moments.
//
//   of a part           mean_i, square_i = sum (x - mean_i)^2 over its n_i pixels
//   of the channel      mean = sum n_i mean_i / m     var = (sum square_i + n_i (mean_i - mean)^2) / m
//   rstd = 1 / sqrt(var + eps)     running = (1 - momentum) running + momentum mean, or var m / (m - 1)
//   follow              the same of the rounded means and variances of other batches
//
// Shapes    x (N,H,W,C)   moments (kernels/ops/moments.h); mean, rstd, running (C), all float32
// Threads   statistics_kernel: a Swath whose chunks are consecutive rows, each one part. It runs only where no
//           convolution wrote the moments. finish_statistics_kernel: PartColumns, 8 channels by 64 rows of parts per
//           block; a thread has the moments of eight parts in flight, so 512 parts take one latency of L2
// Traffic   x once; 8 C + 4 bytes per part are written and read
// Bound     memory; the second kernel latency: conv_stream.cuh leaves at most 132 parts and conv_halo.cuh at most 528, other
//           convolutions one per tile: the stem of VGG at 224, batch 256, 100352, which take 196 latencies
// Accuracy  The squares of a chunk are summed about the value of its first row, and parts are combined in double about
//           the mean of the first part, so a mean far from 0 costs no precision.
// Expected  finish_statistics_kernel 2 us by the model (cost.h, finishing()): not measured
#include "kernels/cuda/norm/batchnorm.cuh"
#include "kernels/cuda/walks/columns.cuh"
#include "kernels/cuda/walks/moments.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident)
    statistics_kernel(const A* __restrict__ x, Swath swath, MomentsOut to) {
    constexpr int kSize = Pack<A>::kSize;
    using Shared = SlotsThenSums<1, 2 * kSize>;
    SHARED(Shared, shared, );
    const SwathPlace at = place_on(swath);
    const int stored = swath.packs * kSize, first_row = at.chunk * swath.run * swath.down;
    const A* const row = x + int64_t(first_row) * stored;
    SwathRing<1> ring(shared.slots, {{x}}, at);
    float sums[2 * kSize] = {};  // of x - base and of its square
    if (at.count > 0) {
        const Pack<A> base = load_pack(row + at.pack * kSize);
        ring.walk([&](int, const uint4(&raw)[1], unsigned) {
            const Pack<A> v = unpacked<A>(raw[0]);
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                const float d = v.v[e] - base.v[e];
                sums[e] += d;
                sums[kSize + e] += d * d;
            }
        });
    }
    share_values(sums, shared.room);
    const float count = float(min(swath.run * swath.down, swath.rows - first_row));
    const int first = swath.group_of(int(blockIdx.x)) * swath.across;
    for (int i = thread_index(); i < swath.across * kSize; i += Swath::kThreads) {
        const int e = i % kSize, across = i / kSize;  // neighbouring threads store neighbouring channels
        if (first + across >= swath.packs) continue;
        const int channel = (first + across) * kSize + e;
        const float sum = sum_of_rows(shared.room, e, across, swath.across, swath.down),
                    square = sum_of_rows(shared.room, kSize + e, across, swath.across, swath.down);
        const float mean = sum / count;
        to.store(at.chunk, channel, {count, load_one(row + channel) + mean, square - sum * mean});
    }
}

// A fused multiply-add, since a compiler may or may not make one of a product and a sum.
__device__ inline float moved(float running, double momentum, float batch) {
    return float(fma(momentum, double(batch), (1 - momentum) * double(running)));
}

struct Running {
    double eps, momentum;
    float *mean, *var;
};

// Threads as in add_chunks (columns.cu): 8 channels by 64 rows of parts.
__global__ void __launch_bounds__(PartColumns::kThreads) finish_statistics_kernel(const float* __restrict__ moments,
                                                                                  const float* __restrict__ counts,
                                                                                  int parts,
                                                                                  double pixels,
                                                                                  int channels,
                                                                                  int stored,
                                                                                  Running running,
                                                                                  float* __restrict__ mean,
                                                                                  float* __restrict__ rstd) {
    const PartColumns at;
    const int c = at.column;
    // Loaded before the sums, so that it does not wait for them.
    const bool exists = c < channels, moves = exists && at.row == 0;
    const float base = exists ? ldg(moments + c) : 0;
    const float mean_before = moves ? ldg(running.mean + c) : 0, var_before = moves ? ldg(running.var + c) : 0;
    double sums[2] = {};  // of x - base and of its square
    if (exists)
        at.for_parts(parts, [&](int first) {
            float m[PartColumns::kLoads], q[PartColumns::kLoads], n[PartColumns::kLoads];
            UNROLL
            for (int k = 0; k < PartColumns::kLoads; ++k) {
                const int i = first + k * PartColumns::kRows;
                const float* of = moments + int64_t(i) * 2 * stored + c;
                m[k] = i < parts ? ldg(of) : base;
                q[k] = i < parts ? ldg(of + stored) : 0;
                n[k] = i < parts ? ldg(counts + i) : 0;
            }
            UNROLL
            for (int k = 0; k < PartColumns::kLoads; ++k) {
                const double d = double(m[k]) - double(base), scaled = double(n[k]) * d;
                sums[0] += scaled;
                sums[1] += scaled * d + double(q[k]);
            }
        });
    if (!at.sum_rows(sums) || c >= stored) return;
    if (!exists) {
        stg(mean + c, 0.0f);
        stg(rstd + c, 0.0f);
        return;
    }
    const double shift = sums[0] / pixels;
    const double about_mean = sums[1] - sums[0] * shift, average = double(base) + shift;
    const double var = about_mean / pixels;
    stg(mean + c, float(average));
    stg(rstd + c, float(1 / sqrt(var + running.eps)));
    const double unbiased = pixels > 1 ? about_mean / (pixels - 1) : var;
    stg(running.mean + c, moved(mean_before, running.momentum, float(average)));
    stg(running.var + c, moved(var_before, running.momentum, float(unbiased)));
}

__global__ void follow_kernel(
    int64_t count, int batches, double momentum, float* running, const float* __restrict__ of) {
    const int64_t i = flat_index();
    if (i >= count) return;
    float now = ldg(running + i);
    for (int batch = 0; batch < batches; ++batch) now = moved(now, momentum, ldg(of + batch * count + i));
    stg(running + i, now);
}

}  // namespace

size_t statistics_bytes(const BatchNormShape& s, int pack) {
    return Moments::bytes(s.x, swath_of_moments(s.x, pack).chunks());
}

template <class A>
Moments take_statistics(const BatchNormShape& s, const act* x, void* scratch, Stream stream) {
    const Swath swath = swath_of_moments(s.x, Pack<A>::kSize);
    const Moments moments{.data = scratch, .parts = swath.chunks()};
    launch(statistics_kernel<A>, swath_grid(swath), stream, as<A>(x), swath, MomentsOut::of(moments, s.x));
    return moments;
}
template Moments take_statistics<float>(const BatchNormShape&, const act*, void*, Stream);
template Moments take_statistics<bf16>(const BatchNormShape&, const act*, void*, Stream);

void finish_statistics(const BatchNormShape& s, const Moments& moments, const Statistics& to, Stream stream) {
    const Running running{
        .eps = s.eps, .momentum = s.momentum, .mean = as<float>(to.running_mean), .var = as<float>(to.running_var)};
    launch(finish_statistics_kernel, PartColumns::grid(s.x.stored_c()), stream, static_cast<const float*>(moments.data),
           static_cast<const float*>(moments.counts(s.x)), moments.parts, double(s.x.n) * double(s.x.pixels()), s.x.c,
           s.x.stored_c(), running, as<float>(to.mean), as<float>(to.rstd));
}

void follow(int64_t count, int batches, double momentum, const BatchNorm::Follow& args, Stream stream) {
    if (count == 0) return;
    launch(follow_kernel, flat_grid(count), stream, count, batches, momentum, as<float>(args.running),
           as<float>(args.of));
}

}  // namespace fp::FP_MACHINE
