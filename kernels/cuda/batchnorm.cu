// Batch normalisation, with the residual addition and the ReLU that may follow it.
//
//   xhat = (x - mean) rstd,  rstd = 1 / sqrt(var + eps)     per channel over m = n h w pixels
//   y    = act(gamma xhat + beta + residual)
//   g    = dy where y > 0 (with ReLU), else dy              dresidual = g
//   dgamma = sum g xhat      dbeta = sum g
//   dx   = gamma rstd (g - dbeta / m - xhat dgamma / m)     batch statistics
//   dx   = gamma rstd g                                     given statistics
//
// Shapes    x, y, residual and their gradients (N,H,W,C); float32 vectors of C
// Threads   Swath (kernels/tiles.h, swath.cuh): a block walks whole rows of packs, three steps of every map it reads on
//           their way. Sums go down the block in a fixed order; chunks are joined in double and in order, by one
//           block a channel (statistics) or 64 threads a column (gradients). `statistics_kernel` and what has to add
//           to gradients or has given statistics walk a Sheet.
// Mask      ReLU's, in backward: y is read only where nobody gave better. With beta given and no residual y is
//           computed again from x, by the same instructions, so with the same sign; with a residual `train` leaves
//           a bit an element behind y (BatchNormShape::bits), a sixteenth of a bf16 map.
// Traffic   train: x twice, y once (+ residual), on moments x once; backward: x and dy twice, dx once (+ dresidual),
//           y twice where it is read; infer: x once, y once
// Bound     memory: the floor is those passes over the bandwidth. normalize and differentiate begin at the map's end,
//           where the convolution and the gradient sums before them ended, which is still in L2.
// Model     H200, bf16, batch 256, 64 channels at 56x56 (103 MB a map) at 4.1 TB/s, 3 us to finish: on moments 53 us;
//           backward 128 (y computed again), with a residual and bits 156; with y read 180 and 205
// Accuracy  a chunk's squares are summed about its first row's value, so a mean far from 0 costs nothing
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/pool_patch.cuh"
#include "kernels/cuda/sheet.cuh"
#include "kernels/cuda/swath.cuh"

namespace fp::FP_MACHINE {
namespace {

// ---- statistics

// Of each chunk: mean and sum of squares about it, as Moments (kernels.h) has them.
template <class A>
__global__ void statistics_kernel(const A* __restrict__ x,
                                  Sheet sheet,
                                  float* __restrict__ moments) {
    constexpr int kSize = Pack<A>::kSize;
    const SheetPlace at(sheet);
    const int64_t stride = int64_t(sheet.packs) * kSize;
    const int64_t begin = SheetPlace::chunk_begin(sheet);

    Pack<A> base{};
    float sums[2 * kSize] = {};  // of x - base and of its square
    if (at.inside) {
        base = load_pack(x + begin * stride + at.pack * kSize);
        for (int64_t row = at.first; row < at.end; row += Sheet::kDown) {
            const Pack<A> v = load_pack(x + row * stride + at.pack * kSize);
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                const float d = v.v[e] - base.v[e];
                sums[e] += d;
                sums[kSize + e] += d * d;
            }
        }
    }
    sum_down(sums);
    if (!at.inside || thread_index() >= Sheet::kAcross) return;
    const float count = float(at.end - begin);
    const MomentsOut to{.data = moments, .chunks = sheet.chunks()};
    for (int e = 0; e < kSize; ++e) {
        const float mean = sums[e] / count;
        to.store(at.pack * kSize + e, blockIdx.x,
                 {count, base.v[e] + mean, sums[kSize + e] - sums[e] * mean});
    }
}

struct Running {
    double eps, momentum;
    float *mean, *var;
};

// Of how many pixels each is, as Moments (kernels.h) says.
struct Chunks {
    int64_t length, part;
    int count;
    const float* counts;  // null where all but the last have `part`

    static Chunks of(const Moments& m, const Map& x) {
        return {.length = int64_t(x.n) * x.pixels(),
                .part = m.rows.count,
                .count = int(Moments::chunks(x, m.rows)),
                .counts = m.counts(x)};
    }
    __device__ double of_chunk(int i) const {
        return counts ? double(ldg(counts + i)) : double(min(part, length - i * part));
    }
};

// One block a channel joins the chunks, in double: about the first one's mean, a thread every 256th.
__global__ void finish_statistics_kernel(const float* __restrict__ moments,
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
    const double base = thread_index() < parts ? ldg(means) : 0;
    double sum = 0, square = 0;  // of x - base and of its square
    constexpr int kAtOnce = 4;  // on their way at once: the kernel waits for memory and has few threads
    for (int i = thread_index(); i < parts; i += kAtOnce * kFlatThreads) {
        float of_mean[kAtOnce] = {}, of_square[kAtOnce] = {};
        double count[kAtOnce] = {};
        UNROLL
        for (int j = 0; j < kAtOnce; ++j) {
            const int at = i + j * kFlatThreads;
            if (at >= parts) continue;
            of_mean[j] = ldg(means + at);
            of_square[j] = ldg(squares + at);
            count[j] = chunks.of_chunk(at);
        }
        UNROLL
        for (int j = 0; j < kAtOnce; ++j) {
            if (i + j * kFlatThreads >= parts) continue;
            const double d = of_mean[j] - base;
            sum += count[j] * d;
            square += count[j] * d * d + of_square[j];
        }
    }
    sum = block_sum<kFlatThreads>(sum);
    square = block_sum<kFlatThreads>(square);
    if (thread_index() != 0) return;
    const double count = double(chunks.length), shift = sum / count;
    const double about_mean = square - sum * shift, average = base + shift;
    const double var = about_mean / count;
    stg(mean + c, float(average));
    stg(rstd + c, float(1 / sqrt(var + running.eps)));
    const double unbiased = count > 1 ? about_mean / (count - 1) : var;
    stg(running.mean + c,
        float((1 - running.momentum) * ldg(running.mean + c) + running.momentum * average));
    stg(running.var + c,
        float((1 - running.momentum) * ldg(running.var + c) + running.momentum * unbiased));
}

// ---- the map itself

// Where rstd comes from: given, or made of a variance.
struct Spread {
    const float* vector;
    float eps;
    bool is_variance;
};

__device__ inline Spread batch_spread(const float* rstd) { return {rstd, 0, false}; }

template <class A>
__device__ Pack<A> load_rstd(const Spread& spread, int pack) {
    Pack<A> rstd = load_channels<A>(spread.vector, pack);
    if (spread.is_variance) {
        UNROLL
        for (float& e : rstd.v) e = 1 / sqrtf(e + spread.eps);
    }
    return rstd;
}

template <class A>
__global__ void normalize_kernel(const A* __restrict__ x,
                                 const A* __restrict__ residual,
                                 const float* __restrict__ gamma,
                                 const float* __restrict__ beta,
                                 const float* __restrict__ mean,
                                 Spread spread,
                                 A* __restrict__ y,
                                 bool relu,
                                 Sheet sheet) {
    constexpr int kSize = Pack<A>::kSize;
    const SheetPlace at(sheet);
    if (!at.inside) return;
    const Pack<A> centre = load_channels<A>(mean, at.pack), shift = load_channels<A>(beta, at.pack);
    Pack<A> scale = load_rstd<A>(spread, at.pack);
    const Pack<A> g = load_channels<A>(gamma, at.pack);
    UNROLL
    for (int e = 0; e < kSize; ++e) scale.v[e] *= g.v[e];

    for (int64_t row = at.first; row < at.end; row += Sheet::kDown) {
        const int64_t offset = (row * sheet.packs + at.pack) * kSize;
        Pack<A> v = load_pack(x + offset);
        UNROLL
        for (int e = 0; e < kSize; ++e) v.v[e] = (v.v[e] - centre.v[e]) * scale.v[e] + shift.v[e];
        if (residual) {
            const Pack<A> z = load_pack(residual + offset);
            UNROLL
            for (int e = 0; e < kSize; ++e) v.v[e] += z.v[e];
        }
        if (relu) {
            UNROLL
            for (float& e : v.v) e = e <= 0 ? 0 : e;
        }
        store_pack(y + offset, v);
    }
}

// ---- the same on a Swath (swath.cuh): what runs unless FP_BN says otherwise

// Ways of the prototype, FP_BN: 0 the kernels above, 1 Batch, 2 Ring. FP_BN_FINISH: 0 the finishing kernels above.
// FP_BN_RUN and FP_BN_STRETCHES: Swath's most_run, and most_stretches of the gradient sums.
// FP_BN_TURN: bits say who walks from the map's end: 1 normalize, 2 gradient sums, 4 differentiate. So that what one
// kernel touched last the next one touches first, while it is in L2.
constexpr int kRing = 2;
template <class A>
int bn_way(const BatchNormShape& s) {
    return swath_holds(s.x, Pack<A>::kSize) ? choice("FP_BN", kRing) : 0;
}
inline int bn_finish() { return choice("FP_BN_FINISH", 1); }
inline bool bn_turn(int bit) { return choice("FP_BN_TURN", 1 | 4) & bit; }

constexpr int kResident = 3;  // blocks on a multiprocessor: what __launch_bounds__ below asks for
template <class A>
Swath map_swath(const BatchNormShape& s) {
    return swath_of(s.x, Pack<A>::kSize, kResident, choice("FP_BN_RUN", 16), int64_t(1) << 30);
}
template <class A>
Swath sums_swath(const BatchNormShape& s) {  // few chunks, since somebody has to add them
    return swath_of(s.x, Pack<A>::kSize, kResident, choice("FP_BN_RUN", 16),
                    choice("FP_BN_STRETCHES", 4));
}

// One block a channel joins the chunks, in double, about the first one's mean: all of a thread's loads of a round
// are on their way before one is used.
constexpr int kFinishThreads = 512, kFinishLoads = 8;
__global__ void __launch_bounds__(kFinishThreads)
    finish_statistics_wide_kernel(const float* __restrict__ moments,
                                  Split chunks,
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
    const int parts = chunks.parts();
    const float *means = moments + int64_t(c) * 2 * parts, *squares = means + parts;
    // All threads know the first chunk's mean, but those without a chunk, whose sums are 0 about any.
    const float base = thread_index() < parts ? ldg(means) : 0;
    const double full = double(chunks.part),
                 last = double(chunks.length - (parts - 1) * chunks.part);
    double sum = 0, square = 0;  // of x - base and of its square
    for (int first = thread_index(); first < parts; first += kFinishThreads * kFinishLoads) {
        float m[kFinishLoads], q[kFinishLoads];
        UNROLL
        for (int k = 0; k < kFinishLoads; ++k) {
            const int i = first + k * kFinishThreads;
            m[k] = i < parts ? ldg(means + i) : base;
            q[k] = i < parts ? ldg(squares + i) : 0;
        }
        UNROLL
        for (int k = 0; k < kFinishLoads; ++k) {
            const double count = first + k * kFinishThreads == parts - 1 ? last : full;
            const double d = double(m[k]) - double(base), scaled = count * d;
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
    stg(running.mean + c,
        float((1 - running.momentum) * ldg(running.mean + c) + running.momentum * average));
    stg(running.var + c,
        float((1 - running.momentum) * ldg(running.var + c) + running.momentum * unbiased));
}

// xhat's factors of a pack's channels. y = scale (x - centre) + shift is written so in one place: whether y is above
// 0 must come out the same when backward asks again.
template <class A>
struct Normal {
    Pack<A> centre, scale, shift;

    __device__ __forceinline__
    Normal(const float* mean, const Spread& spread, const float* gamma, const float* beta, int pack)
        : centre(load_channels<A>(mean, pack)), scale(load_rstd<A>(spread, pack)), shift{} {
        const Pack<A> g = load_channels<A>(gamma, pack);
        if (beta) shift = load_channels<A>(beta, pack);
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; ++e) scale.v[e] *= g.v[e];
    }
    __device__ float y(float from_centre, int e) const {
        return fused_multiply_add(from_centre, scale.v[e], shift.v[e]);
    }
};

// bits, where not null: of every pack a byte, bit e says whether y[e] > 0.
template <class A, bool kResidual, int kWay>
__global__ void __launch_bounds__(Swath::kThreads, kResident)
    normalize_swath_kernel(const A* __restrict__ x,
                           const A* __restrict__ residual,
                           const float* __restrict__ gamma,
                           const float* __restrict__ beta,
                           const float* __restrict__ mean,
                           Spread spread,
                           A* __restrict__ y,
                           uint8_t* __restrict__ bits,
                           bool relu,
                           Swath swath,
                           bool backward) {
    constexpr int kSize = Pack<A>::kSize, kMaps = kResidual ? 2 : 1;
    const SwathPlace at(swath, backward);
    const void* maps[2] = {x, residual};
    const void* const(&read)[kMaps] = reinterpret_cast<const void* const(&)[kMaps]>(maps);
    const auto work = [&](auto& feed) {
        if (at.count == 0) return;
        const Normal<A> normal(mean, spread, gamma, beta, at.pack);
        feed.walk([&](int pack, const uint4(&raw)[kMaps], unsigned) {
            Pack<A> v = unpacked<A>(raw[0]);
            UNROLL
            for (int e = 0; e < kSize; ++e) v.v[e] = normal.y(v.v[e] - normal.centre.v[e], e);
            if constexpr (kResidual) {
                const Pack<A> z = unpacked<A>(raw[kMaps - 1]);
                UNROLL
                for (int e = 0; e < kSize; ++e) v.v[e] += z.v[e];
            }
            if (relu) {
                UNROLL
                for (float& e : v.v) e = e <= 0 ? 0 : e;
            }
            store_pack(y + int64_t(pack) * kSize, v);
            if (bits) {
                unsigned byte = 0;
                UNROLL
                for (int e = 0; e < kSize; ++e) byte |= v.v[e] > 0 ? 1u << e : 0u;
                stg(bits + pack, uint8_t(byte));
            }
        });
    };
    if constexpr (kWay == kRing) {
        SHARED(RingSlots<kMaps>, slots, );
        Ring<kMaps, false> feed(slots, read, nullptr, at);
        work(feed);
    } else {
        Batch<kMaps, false, kResidual ? 2 : 4> feed(read, nullptr, at);
        work(feed);
    }
}

// ---- gradients

template <class A>
struct Incoming {         // what both backward kernels read
    const A *x, *y, *dy;  // y null without ReLU
    const float* mean;
    Spread spread;

    __device__ Pack<A> gradient(int64_t offset) const {
        Pack<A> g = load_pack(dy + offset);
        if (y) {
            const Pack<A> out = load_pack(y + offset);
            UNROLL
            for (int e = 0; e < Pack<A>::kSize; ++e) g.v[e] = out.v[e] > 0 ? g.v[e] : 0;
        }
        return g;
    }
};

// Of each chunk: sum g and sum g xhat, [chunk][2][C].
template <class A>
__global__ void gradient_sums_kernel(Incoming<A> in, Sheet sheet, float* __restrict__ partial) {
    constexpr int kSize = Pack<A>::kSize;
    const SheetPlace at(sheet);
    float sums[2 * kSize] = {};
    if (at.inside) {
        const Pack<A> centre = load_channels<A>(in.mean, at.pack);
        const Pack<A> rstd = load_rstd<A>(in.spread, at.pack);
        for (int64_t row = at.first; row < at.end; row += Sheet::kDown) {
            const int64_t offset = (row * sheet.packs + at.pack) * kSize;
            const Pack<A> g = in.gradient(offset), v = load_pack(in.x + offset);
            UNROLL
            for (int e = 0; e < kSize; ++e) {
                sums[e] += g.v[e];
                sums[kSize + e] += g.v[e] * ((v.v[e] - centre.v[e]) * rstd.v[e]);
            }
        }
    }
    sum_down(sums);
    if (!at.inside || thread_index() >= Sheet::kAcross) return;
    const int64_t stride = int64_t(sheet.packs) * kSize;
    float* out = partial + int64_t(blockIdx.x) * 2 * stride + at.pack * kSize;
    for (int e = 0; e < kSize; ++e) {
        stg(out + e, sums[e]);
        stg(out + stride + e, sums[kSize + e]);
    }
}

// totals = { sum g, sum g xhat }, each over m, for the map's gradient; dbeta and dgamma if they are wanted.
__global__ void finish_gradient_sums_kernel(const float* __restrict__ partial,
                                            Sheet sheet,
                                            int channels,
                                            int stored,
                                            float* __restrict__ totals,
                                            float* dgamma,
                                            float* dbeta,
                                            Write write) {
    const int c = channel_index();
    if (c >= stored) return;
    const double sum = sum_chunks(partial + c, 2 * int64_t(stored), sheet.chunks());
    const double sum_xhat = sum_chunks(partial + stored + c, 2 * int64_t(stored), sheet.chunks());
    if (lane_index() != 0) return;
    stg(totals + c, float(sum / double(sheet.rows)));
    stg(totals + stored + c, float(sum_xhat / double(sheet.rows)));
    const bool pad = c >= channels;
    const auto put = [&](float* slot, double v) {
        if (slot) stg(slot + c, pad ? 0.0f : float(write == Write::add ? ldg(slot + c) + v : v));
    };
    put(dbeta, sum);
    put(dgamma, sum_xhat);
}

struct Outgoing {
    void* dx;
    Write dx_write;
    void* dresidual;
    Write dresidual_write;
};

// totals is null where the statistics do not move with x.
template <class A>
__global__ void differentiate_kernel(Incoming<A> in,
                                     const float* __restrict__ gamma,
                                     const float* __restrict__ totals,
                                     Outgoing out,
                                     Sheet sheet) {
    constexpr int kSize = Pack<A>::kSize;
    const SheetPlace at(sheet);
    if (!at.inside) return;
    const Pack<A> centre = load_channels<A>(in.mean, at.pack),
                  rstd = load_rstd<A>(in.spread, at.pack);
    const Pack<A> weight = load_channels<A>(gamma, at.pack);
    Pack<A> mean_g{}, mean_g_xhat{};
    if (totals) {
        mean_g = load_channels<A>(totals, at.pack);
        mean_g_xhat = load_channels<A>(totals + int64_t(sheet.packs) * kSize, at.pack);
    }
    for (int64_t row = at.first; row < at.end; row += Sheet::kDown) {
        const int64_t offset = (row * sheet.packs + at.pack) * kSize;
        const Pack<A> g = in.gradient(offset);
        Pack<A> v{};
        if (totals) v = load_pack(in.x + offset);
        Pack<A> dx;
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            const float xhat = (v.v[e] - centre.v[e]) * rstd.v[e];
            const float drift = totals ? mean_g.v[e] + xhat * mean_g_xhat.v[e] : 0;
            dx.v[e] = weight.v[e] * rstd.v[e] * (g.v[e] - drift);
        }
        store_gradient(static_cast<A*>(out.dx) + offset, dx, out.dx_write);
        if (out.dresidual)
            store_gradient(static_cast<A*>(out.dresidual) + offset, g, out.dresidual_write);
    }
}

// ---- gradients on a Swath

// Where ReLU's mask comes from: there is none; the sign of y; y computed again from x; the bits that forward left.
enum class Gate { open, output, again, bits };
template <Gate kGate>
constexpr int kGateMaps = kGate == Gate::output ? 3 : 2;

template <class A>
struct GateMaps {
    const A *dy, *x, *y;
    const uint8_t* bits;
    const float *mean, *gamma, *beta;
    Spread spread;
};

// The gradient behind the mask; from_centre is x - mean.
template <class A, Gate kGate, int kMaps>
__device__ __forceinline__ Pack<A> gated(const uint4 (&raw)[kMaps],
                                         unsigned byte,
                                         const Pack<A>& from_centre,
                                         const Normal<A>& normal) {
    Pack<A> g = unpacked<A>(raw[0]);
    if constexpr (kGate == Gate::output) {
        const Pack<A> out = unpacked<A>(raw[kMaps - 1]);
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; ++e) g.v[e] = out.v[e] > 0 ? g.v[e] : 0;
    }
    if constexpr (kGate == Gate::again) {
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; ++e)
            g.v[e] = normal.y(from_centre.v[e], e) > 0 ? g.v[e] : 0;
    }
    if constexpr (kGate == Gate::bits) {
        UNROLL
        for (int e = 0; e < Pack<A>::kSize; ++e) g.v[e] = byte >> e & 1 ? g.v[e] : 0;
    }
    return g;
}

// Calls work(feed) with what brings dy, x and what the mask needs.
template <class A, Gate kGate, int kWay, int kBatch, class Work>
__device__ __forceinline__ void with_feed(const GateMaps<A>& in,
                                          const SwathPlace& at,
                                          RingSlots<kGateMaps<kGate>>* slots,
                                          Work work) {
    constexpr int kMaps = kGateMaps<kGate>;
    constexpr bool kBits = kGate == Gate::bits;
    const void* maps[3] = {in.dy, in.x, in.y};
    const void* const(&read)[kMaps] = reinterpret_cast<const void* const(&)[kMaps]>(maps);
    if constexpr (kWay == kRing) {
        Ring<kMaps, kBits> feed(*slots, read, in.bits, at);
        work(feed);
    } else {
        Batch<kMaps, kBits, kBatch> feed(read, in.bits, at);
        work(feed);
    }
}

// Of each chunk: sum g and sum g xhat, [chunk][2][C].
template <class A, Gate kGate, int kWay>
__global__ void __launch_bounds__(Swath::kThreads, kResident) gradient_sums_swath_kernel(
    GateMaps<A> in, Swath swath, bool backward, float* __restrict__ partial) {
    constexpr int kSize = Pack<A>::kSize, kMaps = kGateMaps<kGate>;
    constexpr int kRoom = 2 * kSize * kSumStride * int(sizeof(float)) / 16;
    union Shared {
        RingSlots<kMaps> slots;
        uint4 room[kRoom];
    };
    SHARED(Shared, shared, );
    const SwathPlace at(swath, backward);
    float sums[2 * kSize] = {};
    with_feed<A, kGate, kWay, 2>(in, at, &shared.slots, [&](auto& feed) {
        if (at.count == 0) return;
        const Normal<A> normal(in.mean, in.spread, in.gamma, in.beta, at.pack);
        feed.walk([&](int, const uint4(&raw)[kMaps], unsigned byte) {
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
    });
    const int group = int(blockIdx.x) % swath.groups, chunk = int(blockIdx.x) / swath.groups;
    const int64_t stored = int64_t(swath.packs) * kSize;
    sum_rows(sums, reinterpret_cast<float*>(&shared), swath, [&](int across, int e, float sum) {
        const int pack = group * swath.across + across;
        if (pack >= swath.packs) return;
        const int channel = pack * kSize + e % kSize;
        if (e >= kSize) {
            const float spread = ldg(in.spread.vector + channel);
            sum *= in.spread.is_variance ? 1 / sqrtf(spread + in.spread.eps) : spread;
        }
        stg(partial + (chunk * 2 + e / kSize) * stored + channel, sum);
    });
}

// Where a kind of sum goes, besides totals; null where it is not wanted.
struct SumSlots {
    float* of[3][2];
};

// totals = { sum g, sum g xhat .. }, each over m, and dbeta and dgamma if they are wanted: 8 of the kinds x C columns
// a block, 64 rows at a time.
constexpr int kFinishColumns = 8, kFinishRows = kFinishThreads / kFinishColumns;
__global__ void __launch_bounds__(kFinishThreads)
    finish_gradient_sums_wide_kernel(const float* __restrict__ partial,
                                     int chunks,
                                     double rows,
                                     int channels,
                                     int stored,
                                     int kinds,
                                     float* __restrict__ totals,
                                     SumSlots slots,
                                     Write write) {
    SHARED(double, of_row, [kFinishRows][kFinishColumns]);
    const int in_block = thread_index() % kFinishColumns, row = thread_index() / kFinishColumns;
    const int column = int(blockIdx.x) * kFinishColumns + in_block, columns = kinds * stored;
    double sum = 0;
    if (column < columns)
        for (int first = row; first < chunks; first += kFinishRows * kFinishLoads) {
            float v[kFinishLoads];
            UNROLL
            for (int k = 0; k < kFinishLoads; ++k) {
                const int i = first + k * kFinishRows;
                v[k] = i < chunks ? ldg(partial + int64_t(i) * columns + column) : 0;
            }
            UNROLL
            for (int k = 0; k < kFinishLoads; ++k) sum += double(v[k]);
        }
    of_row[row][in_block] = sum;
    block_sync();
    if (row >= 4) return;  // one warp: 4 threads a column, 16 rows each
    sum = 0;
    for (int i = row; i < kFinishRows; i += 4) sum += of_row[i][in_block];
    sum += shuffle_xor(sum, 8);
    sum += shuffle_xor(sum, 16);
    if (row != 0 || column >= columns) return;
    stg(totals + column, float(sum / rows));
    const int kind = column / stored, c = column % stored;
    UNROLL
    for (int i = 0; i < 2; ++i) {
        float* slot = kind == 0 ? slots.of[0][i] : kind == 1 ? slots.of[1][i] : slots.of[2][i];
        if (!slot) continue;
        stg(slot + c,
            c >= channels ? 0.0f : float(write == Write::add ? ldg(slot + c) + sum : sum));
    }
}

template <class A, Gate kGate, bool kResidual, int kWay>
__global__ void __launch_bounds__(Swath::kThreads, kResident)
    differentiate_swath_kernel(GateMaps<A> in,
                               const float* __restrict__ totals,
                               A* __restrict__ dx_to,
                               A* __restrict__ dresidual_to,
                               Swath swath,
                               bool backward) {
    constexpr int kSize = Pack<A>::kSize, kMaps = kGateMaps<kGate>;
    const SwathPlace at(swath, backward);
    const auto work = [&](auto& feed) {
        if (at.count == 0) return;
        const Spread spread = batch_spread(in.spread.vector);
        const Normal<A> normal(in.mean, spread, in.gamma, in.beta, at.pack);
        // dx = scale (g - mean g) - slope (x - mean),   slope = scale rstd mean(g xhat)
        Pack<A> slope = load_rstd<A>(spread, at.pack), level = load_channels<A>(totals, at.pack);
        const Pack<A> mean_g_xhat =
            load_channels<A>(totals + int64_t(swath.packs) * kSize, at.pack);
        UNROLL
        for (int e = 0; e < kSize; ++e) {
            slope.v[e] *= -normal.scale.v[e] * mean_g_xhat.v[e];
            level.v[e] *= -normal.scale.v[e];
        }
        feed.walk([&](int pack, const uint4(&raw)[kMaps], unsigned byte) {
            Pack<A> v = unpacked<A>(raw[1]);
            UNROLL
            for (int e = 0; e < kSize; ++e) v.v[e] -= normal.centre.v[e];
            const Pack<A> g = gated<A, kGate>(raw, byte, v, normal);
            Pack<A> dx;
            UNROLL
            for (int e = 0; e < kSize; ++e)
                dx.v[e] = fused_multiply_add(
                    v.v[e], slope.v[e], fused_multiply_add(g.v[e], normal.scale.v[e], level.v[e]));
            store_pack(dx_to + int64_t(pack) * kSize, dx);
            if constexpr (kResidual) store_pack(dresidual_to + int64_t(pack) * kSize, g);
        });
    };
    if constexpr (kWay == kRing) {
        SHARED(RingSlots<kMaps>, slots, );
        with_feed<A, kGate, kWay, 2>(in, at, &slots, work);
    } else {
        with_feed<A, kGate, kWay, 2>(in, at, nullptr, work);
    }
}

// ---- launchers

template <class A>
Sheet sheet(const BatchNormShape& s) {
    return sheet_of(s.x, Pack<A>::kSize);
}

template <class A>
size_t scratch_bytes(const BatchNormShape& s) {  // [chunks][2][C] and the totals [2][C]
    const int64_t chunks = std::max<int64_t>(sheet<A>(s).chunks(), sums_swath<A>(s).chunks());
    return size_t(chunks + 1) * 2 * size_t(s.x.stored_c()) * sizeof(float);
}

inline Grid swath_grid(const Swath& s, const Place& at = Place::current()) {
    return {.blocks = s.blocks(), .threads = Swath::kThreads, .at = at};
}

// call(integral_constant) with the way or the gate that the prototype is told to take.
template <class Call>
void with_way(int way, Call call) {
    if (way == kRing) return call(std::integral_constant<int, kRing>());
    call(std::integral_constant<int, 1>());
}
template <class Call>
void with_gate(Gate gate, Call call) {
    if (gate == Gate::open) return call(std::integral_constant<Gate, Gate::open>());
    if (gate == Gate::output) return call(std::integral_constant<Gate, Gate::output>());
    if (gate == Gate::again) return call(std::integral_constant<Gate, Gate::again>());
    call(std::integral_constant<Gate, Gate::bits>());
}

// The bits lie behind y.
template <class A>
uint8_t* bits_behind(const BatchNormShape& s, const act* y) {
    if (!s.bits) return nullptr;
    return const_cast<uint8_t*>(static_cast<const uint8_t*>(y)) + size_t(s.x.stored()) * sizeof(A);
}

template <class A>
void start_normalize(const BatchNormShape& s,
                     const act* x,
                     const act* residual,
                     const par* gamma,
                     const par* beta,
                     const par* mean,
                     const Spread& spread,
                     act* y,
                     Stream stream) {
    const auto *in = static_cast<const A*>(x), *z = static_cast<const A*>(residual);
    const auto *g = static_cast<const float*>(gamma), *b = static_cast<const float*>(beta),
               *m = static_cast<const float*>(mean);
    const int way_taken = bn_way<A>(s);
    if (way_taken == 0) {
        const Sheet on = sheet<A>(s);
        return launch(normalize_kernel<A>, sheet_grid(on), stream, in, s.residual ? z : nullptr, g,
                      b, m, spread, static_cast<A*>(y), s.relu, on);
    }
    const Swath on = map_swath<A>(s);
    with_way(way_taken, [&](auto way) {
        launch(s.residual ? normalize_swath_kernel<A, true, way.value>
                          : normalize_swath_kernel<A, false, way.value>,
               swath_grid(on), stream, in, z, g, b, m, spread, static_cast<A*>(y),
               bits_behind<A>(s, y), s.relu, on, bn_turn(1));
    });
}

void start_finish_statistics(const BatchNormShape& s,
                             const Moments& moments,
                             par* running_mean,
                             par* running_var,
                             par* mean,
                             par* rstd,
                             Stream stream) {
    const Running running{.eps = s.eps,
                          .momentum = s.momentum,
                          .mean = static_cast<float*>(running_mean),
                          .var = static_cast<float*>(running_var)};
    const auto* from = static_cast<const float*>(moments.data);
    auto *to_mean = static_cast<float*>(mean), *to_rstd = static_cast<float*>(rstd);
    if (!moments.rows.padded() && bn_finish() == 1) {
        const Split chunks{.length = int64_t(s.x.n) * s.x.pixels(), .part = moments.rows.count};
        launch(finish_statistics_wide_kernel, Grid{.blocks = s.x.stored_c(), .threads = kFinishThreads}, stream,
               from, chunks, s.x.c, running, to_mean, to_rstd);
    } else {
        launch(finish_statistics_kernel, Grid{.blocks = s.x.stored_c(), .threads = kFlatThreads}, stream,
               from, Chunks::of(moments, s.x), s.x.c, running, to_mean, to_rstd);
    }
}

template <class A>
void train_on_moments(const BatchNormShape& s,
                      const act* x,
                      const Moments& moments,
                      const act* residual,
                      const par* gamma,
                      const par* beta,
                      par* running_mean,
                      par* running_var,
                      act* y,
                      par* mean,
                      par* rstd,
                      Stream stream) {
    start_finish_statistics(s, moments, running_mean, running_var, mean, rstd, stream);
    const Spread spread{.vector = static_cast<const float*>(rstd), .eps = 0, .is_variance = false};
    start_normalize<A>(s, x, residual, gamma, beta, mean, spread, y, stream);
}

template <class A>
void train(const BatchNormShape& s,
           const act* x,
           const act* residual,
           const par* gamma,
           const par* beta,
           par* running_mean,
           par* running_var,
           act* y,
           par* mean,
           par* rstd,
           void* scratch,
           Stream stream) {
    const Sheet on = sheet<A>(s);
    launch(statistics_kernel<A>, sheet_grid(on), stream, static_cast<const A*>(x), on,
           static_cast<float*>(scratch));
    const Moments moments{.data = scratch, .rows = int(on.rows_per_chunk())};
    train_on_moments<A>(s, x, moments, residual, gamma, beta, running_mean, running_var, y, mean,
                        rstd, stream);
}

template <class A>
void infer(const BatchNormShape& s,
           const act* x,
           const act* residual,
           const par* gamma,
           const par* beta,
           const par* running_mean,
           const par* running_var,
           act* y,
           Stream stream) {
    const Spread spread{
        .vector = static_cast<const float*>(running_var), .eps = float(s.eps), .is_variance = true};
    start_normalize<A>(s, x, residual, gamma, beta, running_mean, spread, y, stream);
}

void start_sums_finish(const BatchNormShape& s,
                       const float* partial,
                       int64_t chunks,
                       float* totals,
                       int kinds,
                       const SumSlots& slots,
                       Write write,
                       Stream stream) {
    const int stored = s.x.stored_c();
    launch(finish_gradient_sums_wide_kernel,
           Grid{.blocks = ceil_div(kinds * stored, kFinishColumns), .threads = kFinishThreads},
           stream, partial, int(chunks), double(s.x.n) * double(s.x.pixels()), s.x.c, stored, kinds,
           totals, slots, write);
}
void start_sums_finish(const BatchNormShape& s,
                       const float* partial,
                       int64_t chunks,
                       float* totals,
                       const BatchNorm::Backward& out,
                       Stream stream) {
    const SumSlots slots{.of = {{static_cast<float*>(out.dbeta), nullptr},
                                {static_cast<float*>(out.dgamma), nullptr},
                                {nullptr, nullptr}}};
    start_sums_finish(s, partial, chunks, totals, 2, slots, out.par_write, stream);
}

template <class A>
void differentiate(const BatchNormShape& s,
                   const Incoming<A>& in,
                   const par* gamma,
                   const BatchNorm::Backward& out,
                   bool of_batch,
                   void* scratch,
                   Stream stream) {
    const Sheet on = sheet<A>(s);
    const int stored = s.x.stored_c();
    auto* partial = static_cast<float*>(scratch);
    float* totals =
        partial + std::max<int64_t>(on.chunks(), sums_swath<A>(s).chunks()) * 2 * stored;
    const GateMaps<A> maps{.dy = in.dy,
                           .x = in.x,
                           .y = in.y,
                           .bits = bits_behind<A>(s, in.y),
                           .mean = in.mean,
                           .gamma = static_cast<const float*>(gamma),
                           .beta = static_cast<const float*>(out.beta),
                           .spread = in.spread};
    const int way_taken = bn_way<A>(s);
    const Gate gate = !in.y                     ? Gate::open
                      : s.bits                  ? Gate::bits
                      : out.beta && !s.residual ? Gate::again
                                                : Gate::output;
    if (of_batch || out.dgamma || out.dbeta) {
        const bool wide = bn_finish() == 1;
        int64_t chunks = on.chunks();
        if (way_taken == 0) {
            launch(gradient_sums_kernel<A>, sheet_grid(on), stream, in, on, partial);
        } else {
            const Swath walk = sums_swath<A>(s);
            chunks = walk.chunks();
            with_way(way_taken, [&](auto way) {
                with_gate(gate, [&](auto g) {
                    launch(gradient_sums_swath_kernel<A, g.value, way.value>, swath_grid(walk),
                           stream, maps, walk, bn_turn(2), partial);
                });
            });
        }
        if (wide || way_taken != 0)
            start_sums_finish(s, partial, chunks, totals, out, stream);
        else
            launch(finish_gradient_sums_kernel, channel_grid(stored), stream, partial, on, s.x.c,
                   stored, totals, static_cast<float*>(out.dgamma), static_cast<float*>(out.dbeta),
                   out.par_write);
    }
    const Outgoing to{.dx = out.dx,
                      .dx_write = out.dx_write,
                      .dresidual = out.dresidual,
                      .dresidual_write = out.dresidual_write};
    if (way_taken == 0 || !of_batch || out.dx_write == Write::add ||
        (out.dresidual && out.dresidual_write == Write::add))
        return launch(differentiate_kernel<A>, sheet_grid(on), stream, in,
                      static_cast<const float*>(gamma), of_batch ? totals : nullptr, to, on);
    const Swath walk = map_swath<A>(s);
    with_way(way_taken, [&](auto way) {
        with_gate(gate, [&](auto g) {
            launch(out.dresidual ? differentiate_swath_kernel<A, g.value, true, way.value>
                                 : differentiate_swath_kernel<A, g.value, false, way.value>,
                   swath_grid(walk), stream, maps, totals, static_cast<A*>(out.dx),
                   static_cast<A*>(out.dresidual), walk, bn_turn(4));
        });
    });
}

template <class A>
Incoming<A> incoming(const BatchNormShape& s,
                     const act* x,
                     const act* y,
                     const act* dy,
                     const par* mean,
                     const Spread& spread) {
    return {.x = static_cast<const A*>(x),
            .y = s.relu ? static_cast<const A*>(y) : nullptr,
            .dy = static_cast<const A*>(dy),
            .mean = static_cast<const float*>(mean),
            .spread = spread};
}

template <class A>
void backward(const BatchNormShape& s,
              const act* x,
              const act* y,
              const act* dy,
              const par* gamma,
              const par* mean,
              const par* rstd,
              const BatchNorm::Backward& out,
              void* scratch,
              Stream stream) {
    const Spread spread{.vector = static_cast<const float*>(rstd), .eps = 0, .is_variance = false};
    differentiate<A>(s, incoming<A>(s, x, y, dy, mean, spread), gamma, out, true, scratch, stream);
}

template <class A>
void backward_frozen(const BatchNormShape& s,
                     const act* x,
                     const act* y,
                     const act* dy,
                     const par* gamma,
                     const par* running_mean,
                     const par* running_var,
                     const BatchNorm::Backward& out,
                     void* scratch,
                     Stream stream) {
    const Spread spread{
        .vector = static_cast<const float*>(running_var), .eps = float(s.eps), .is_variance = true};
    differentiate<A>(s, incoming<A>(s, x, y, dy, running_mean, spread), gamma, out, false, scratch,
                     stream);
}

#include "kernels/cuda/batchnorm_pair.cuh"
#include "kernels/cuda/batchnorm_pool.cuh"

template <class A>
size_t bits_bytes(const BatchNormShape& s) {
    return size_t(s.x.stored()) / Pack<A>::kSize;
}

template <class A, bool kPools>  // and pairs
constexpr BatchNorm batchnorm{.scratch_bytes = scratch_bytes<A>,
                              .train = train<A>,
                              .infer = infer<A>,
                              .backward = backward<A>,
                              .backward_frozen = backward_frozen<A>,
                              .train_on_moments = train_on_moments<A>,
                              .bits_bytes = bits_bytes<A>,
                              .pools = kPools ? pools : nullptr,
                              .pool_scratch_bytes = kPools ? pool_scratch_bytes : nullptr,
                              .pool_on_moments = kPools ? pool_on_moments : nullptr,
                              .pool_backward = kPools ? pool_backward : nullptr,
                              .pair_scratch_bytes = kPools ? pair_scratch_bytes : nullptr,
                              .pair_on_moments = kPools ? pair_on_moments : nullptr,
                              .pair_backward = kPools ? pair_backward : nullptr};

}  // namespace

extern const BatchNorm batchnorm_f32{batchnorm<float, false>};
extern const BatchNorm batchnorm_bf16{batchnorm<bf16, true>};

}  // namespace fp::FP_MACHINE
