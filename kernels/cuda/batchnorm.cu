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
// Threads   Sheet (kernels/tiles.h): 8 packs across, 32 rows down, a chunk of rows a block. Sums go down the
//           block in a fixed tree, chunks are joined in double and in order, by one block (statistics) or
//           one warp (gradients) a channel.
// Traffic   train: x twice, y once (+ residual), with moments given x once; backward: x, dy (and y with ReLU)
//           twice, dx once (+ dresidual); infer: x once, y once
// Bound     memory: the floor is those passes over the bandwidth. A map under 60 MB is still in L2 for
//           the second pass.
// Model     (bench/gpu/run --model: H200, bf16, batch 256) 64 channels at 56x56: train 78 us, on moments 53, infer 50,
//           the floor of each 48; backward 173, floor 96
// Accuracy  a chunk's squares are summed about its first row's value, so a mean far from 0 costs nothing
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/sheet.cuh"

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

// One block a channel joins the chunks, in double: about the first one's mean, a thread every 256th.
__global__ void finish_statistics_kernel(const float* __restrict__ moments,
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
    const double base = thread_index() < parts ? ldg(means) : 0;
    double sum = 0, square = 0;  // of x - base and of its square
    for (int i = thread_index(); i < parts; i += kFlatThreads) {
        const double count = double(min(chunks.part, chunks.length - i * chunks.part));
        const double d = ldg(means + i) - base;
        sum += count * d;
        square += count * d * d + ldg(squares + i);
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

// ---- launchers

template <class A>
Sheet sheet(const BatchNormShape& s) {
    return sheet_of(s.x, Pack<A>::kSize);
}

template <class A>
size_t scratch_bytes(const BatchNormShape& s) {  // [chunks][2][C] and the totals [2][C]
    return size_t(sheet<A>(s).chunks() + 1) * 2 * size_t(s.x.stored_c()) * sizeof(float);
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
                      par* mean_par,
                      par* rstd_par,
                      Stream stream) {
    const Sheet on = sheet<A>(s);
    auto* mean = static_cast<float*>(mean_par);
    auto* rstd = static_cast<float*>(rstd_par);
    const Running running{.eps = s.eps,
                          .momentum = s.momentum,
                          .mean = static_cast<float*>(running_mean),
                          .var = static_cast<float*>(running_var)};
    const Split chunks{.length = on.rows, .part = moments.rows};
    launch(finish_statistics_kernel, Grid{.blocks = s.x.stored_c(), .threads = kFlatThreads},
           stream, static_cast<const float*>(moments.data), chunks, s.x.c, running, mean, rstd);
    const Spread spread{.vector = rstd, .eps = 0, .is_variance = false};
    launch(normalize_kernel<A>, sheet_grid(on), stream, static_cast<const A*>(x),
           s.residual ? static_cast<const A*>(residual) : nullptr, static_cast<const float*>(gamma),
           static_cast<const float*>(beta), mean, spread, static_cast<A*>(y), s.relu, on);
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
    const Sheet on = sheet<A>(s);
    const Spread spread{
        .vector = static_cast<const float*>(running_var), .eps = float(s.eps), .is_variance = true};
    launch(normalize_kernel<A>, sheet_grid(on), stream, static_cast<const A*>(x),
           s.residual ? static_cast<const A*>(residual) : nullptr, static_cast<const float*>(gamma),
           static_cast<const float*>(beta), static_cast<const float*>(running_mean), spread,
           static_cast<A*>(y), s.relu, on);
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
    float* totals = partial + on.chunks() * 2 * stored;
    if (of_batch || out.dgamma || out.dbeta) {
        launch(gradient_sums_kernel<A>, sheet_grid(on), stream, in, on, partial);
        launch(finish_gradient_sums_kernel, channel_grid(stored), stream, partial, on, s.x.c,
               stored, totals, static_cast<float*>(out.dgamma), static_cast<float*>(out.dbeta),
               out.par_write);
    }
    const Outgoing to{.dx = out.dx,
                      .dx_write = out.dx_write,
                      .dresidual = out.dresidual,
                      .dresidual_write = out.dresidual_write};
    launch(differentiate_kernel<A>, sheet_grid(on), stream, in, static_cast<const float*>(gamma),
           of_batch ? totals : nullptr, to, on);
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

template <class A>
constexpr BatchNorm batchnorm{.scratch_bytes = scratch_bytes<A>,
                              .train = train<A>,
                              .infer = infer<A>,
                              .backward = backward<A>,
                              .backward_frozen = backward_frozen<A>,
                              .train_on_moments = train_on_moments<A>};

}  // namespace

extern const BatchNorm batchnorm_f32{batchnorm<float>};
extern const BatchNorm batchnorm_bf16{batchnorm<bf16>};

}  // namespace fp::FP_MACHINE
