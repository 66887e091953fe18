// The statistics of batch norm: the moments of a map, and mean, rstd and running statistics from moments.
//
//   of a chunk          mean_i, square_i = sum (x - mean_i)^2 over its n_i pixels
//   of the channel      mean = sum n_i mean_i / m     var = (sum square_i + n_i (mean_i - mean)^2) / m
//   rstd = 1 / sqrt(var + eps)     running = (1 - momentum) running + momentum mean, or var m / (m - 1)
//   follow              the same of the rounded means and variances of other batches
//
// Shapes    x (N,H,W,C)   moments [C][2][chunk] (kernels/ops/moments.h); mean, rstd, running (C), all float32
// Threads   statistics_kernel: a Swath whose chunks are consecutive rows. It runs only where no convolution wrote the
//           moments. finish_statistics_kernel: one block per channel combines the chunks; a thread takes every 512th
//           and loads the moments of eight chunks before it uses the first.
// Traffic   x once; 8 C bytes per chunk are written and read
// Bound     memory; the second kernel latency, since a channel has few chunks
// Accuracy  The squares of a chunk are summed about the value of its first row, and chunks are combined in double about
//           the mean of the first chunk, so a mean far from 0 costs no precision.
// Measured  these kernels were not measured alone
#include "kernels/cuda/norm/batchnorm.cuh"
#include "kernels/cuda/walks/moments.cuh"
#include "kernels/cuda/walks/reduce.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void __launch_bounds__(Swath::kThreads, Swath::kResident)
    statistics_kernel(const A* __restrict__ x, Swath swath, float* __restrict__ moments) {
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
    const MomentsOut to{.data = moments, .chunks = swath.chunks()};
    const int first = swath.group_of(int(blockIdx.x)) * swath.across;
    for (int i = thread_index(); i < swath.across * kSize; i += Swath::kThreads) {
        const int across = i % swath.across, e = i / swath.across;
        if (first + across >= swath.packs) continue;
        const int channel = (first + across) * kSize + e;
        const float sum = sum_of_rows(shared.room, e, across, swath.across, swath.down),
                    square = sum_of_rows(shared.room, kSize + e, across, swath.across, swath.down);
        const float mean = sum / count;
        to.store(channel, at.chunk, {count, load_one(row + channel) + mean, square - sum * mean});
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

// The number of pixels of each chunk, as Moments defines them.
struct Chunks {
    int64_t length, part;
    int count;
    const float* counts;  // null: every chunk has `part` pixels, but the last may have fewer

    static Chunks of(const Moments& m, const Map& x) {
        return {.length = int64_t(x.n) * x.pixels(),
                .part = m.rows.count,
                .count = int(Moments::chunks(x, m.rows)),
                .counts = m.counts(x)};
    }
    __device__ float of_chunk(int i) const { return counts ? ldg(counts + i) : float(min(part, length - i * part)); }
};

constexpr int kFinishThreads = 512, kFinishLoads = 8;
__global__ void __launch_bounds__(kFinishThreads) finish_statistics_kernel(const float* __restrict__ moments,
                                                                           Chunks chunks,
                                                                           int channels,
                                                                           Running running,
                                                                           float* __restrict__ mean,
                                                                           float* __restrict__ rstd) {
    const int c = int(blockIdx.x);
    if (c >= channels) {
        if (thread_index() == 0) {
            stg(mean + c, 0.0f);
            stg(rstd + c, 0.0f);
        }
        return;
    }
    const int parts = chunks.count;
    const float *means = moments + int64_t(c) * 2 * parts, *squares = means + parts;
    // Threads without a chunk do not need the mean of the first: their sums are 0 about any number.
    const float base = thread_index() < parts ? ldg(means) : 0;
    double sum = 0, square = 0;  // of x - base and of its square
    for (int first = thread_index(); first < parts; first += kFinishThreads * kFinishLoads) {
        float m[kFinishLoads], q[kFinishLoads], n[kFinishLoads];
        UNROLL
        for (int k = 0; k < kFinishLoads; ++k) {
            const int i = first + k * kFinishThreads;
            m[k] = i < parts ? ldg(means + i) : base;
            q[k] = i < parts ? ldg(squares + i) : 0;
            n[k] = i < parts ? chunks.of_chunk(i) : 0;
        }
        UNROLL
        for (int k = 0; k < kFinishLoads; ++k) {
            const double d = double(m[k]) - double(base), scaled = double(n[k]) * d;
            sum += scaled;
            square += scaled * d + double(q[k]);
        }
    }
    sum = block_sum<kFinishThreads>(sum);
    square = block_sum<kFinishThreads>(square);
    if (thread_index() != 0) return;
    const double count = double(chunks.length), shift = sum / count;
    const double about_mean = square - sum * shift, average = double(base) + shift;
    const double var = about_mean / count;
    stg(mean + c, float(average));
    stg(rstd + c, float(1 / sqrt(var + running.eps)));
    const double unbiased = count > 1 ? about_mean / (count - 1) : var;
    stg(running.mean + c, moved(ldg(running.mean + c), running.momentum, float(average)));
    stg(running.var + c, moved(ldg(running.var + c), running.momentum, float(unbiased)));
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
    return Moments::bytes(s.x, int(swath_of_moments(s.x, pack).rows_of_chunk()));
}

template <class A>
Moments take_statistics(const BatchNormShape& s, const act* x, void* scratch, Stream stream) {
    const Swath swath = swath_of_moments(s.x, Pack<A>::kSize);
    launch(statistics_kernel<A>, swath_grid(swath), stream, as<A>(x), swath, static_cast<float*>(scratch));
    return {.data = scratch, .rows = int(swath.rows_of_chunk())};
}
template Moments take_statistics<float>(const BatchNormShape&, const act*, void*, Stream);
template Moments take_statistics<bf16>(const BatchNormShape&, const act*, void*, Stream);

void finish_statistics(const BatchNormShape& s, const Moments& moments, const Statistics& to, Stream stream) {
    const Running running{
        .eps = s.eps, .momentum = s.momentum, .mean = as<float>(to.running_mean), .var = as<float>(to.running_var)};
    launch(finish_statistics_kernel, {.blocks = s.x.stored_c(), .threads = kFinishThreads}, stream,
           static_cast<const float*>(moments.data), Chunks::of(moments, s.x), s.x.c, running, as<float>(to.mean),
           as<float>(to.rstd));
}

void follow(int64_t count, int batches, double momentum, const BatchNorm::Follow& args, Stream stream) {
    if (count == 0) return;
    launch(follow_kernel, flat_grid(count), stream, count, batches, momentum, as<float>(args.running),
           as<float>(args.of));
}

}  // namespace fp::FP_MACHINE
