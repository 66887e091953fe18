// Adaptive average pooling to p x q cells.
//
//   forward   y[n,i,j,c] = mean of x[n,h,w,c] over cell (i,j): rows floor(i H/p) .. ceil((i+1) H/p) - 1
//   backward  dx[n,h,w,c] = sum over the cells that contain (h,w) of dy[n,i,j,c] / cell size
//
// Shapes    x, dx (N,H,W,C)   y, dy (N,p,q,C)
// Threads   To 1 x 1 (residual networks): a block has 32 packs of one sample and 8 lanes per pack, each of which takes
//           every 8th pixel; forward adds the lanes in order. To more cells (VGG): a thread has one pack of one output,
//           a cell in forward and a pixel in backward.
// Traffic   x and y once each, except where cells overlap
// Bound     memory: to 1 x 1, bf16, batch 256, 512 channels at 7x7 are 13 MB, 3 us at 4.3 TB/s
// Measured  not measured: the time above is calculated
#include "kernels/cuda/walks/pack.cuh"

namespace fp::FP_MACHINE {
namespace {

template <class A>
__global__ void avgpool_forward_kernel(const A* __restrict__ x, A* __restrict__ y, AvgPoolShape s, int64_t packs) {
    const int64_t index = flat_index();
    if (index >= packs) return;
    constexpr int kSize = Pack<A>::kSize;
    const PackPlace at(index, s.x.stored_c() / kSize, s.p, s.q);
    const int top = s.first(at.row, s.x.h, s.p), bottom = s.last(at.row, s.x.h, s.p);
    const int left = s.first(at.column, s.x.w, s.q), right = s.last(at.column, s.x.w, s.q);
    Pack<A> sum{};
    for (int h = top; h < bottom; ++h)
        for (int w = left; w < right; ++w) {
            const int64_t pixel = (at.sample * s.x.h + h) * s.x.w + w;
            const Pack<A> v = load_pack(x + pixel * s.x.stored_c() + at.pack * kSize);
            UNROLL
            for (int e = 0; e < kSize; ++e) sum.v[e] += v.v[e];
        }
    const float share = 1.0f / float((bottom - top) * (right - left));
    UNROLL
    for (float& e : sum.v) e *= share;
    store_pack(y + index * kSize, sum);
}

template <class A>
__global__ void avgpool_backward_kernel(const A* __restrict__ dy, A* dx, AvgPoolShape s, Write write, int64_t packs) {
    const int64_t index = flat_index();
    if (index >= packs) return;
    constexpr int kSize = Pack<A>::kSize;
    const PackPlace at(index, s.x.stored_c() / kSize, s.x.h, s.x.w);
    Pack<A> sum{};
    // The cells that contain row h are those from floor(h p / H) on, as long as they begin at or above h.
    for (int i = int(int64_t(at.row) * s.p / s.x.h); i < s.p && s.first(i, s.x.h, s.p) <= at.row; ++i) {
        const int rows = s.last(i, s.x.h, s.p) - s.first(i, s.x.h, s.p);
        for (int j = int(int64_t(at.column) * s.q / s.x.w); j < s.q && s.first(j, s.x.w, s.q) <= at.column; ++j) {
            const int columns = s.last(j, s.x.w, s.q) - s.first(j, s.x.w, s.q);
            const int64_t cell = (at.sample * s.p + i) * s.q + j;
            const Pack<A> g = load_pack(dy + cell * s.x.stored_c() + at.pack * kSize);
            UNROLL
            for (int e = 0; e < kSize; ++e) sum.v[e] += g.v[e] / float(rows * columns);
        }
    }
    store_gradient(dx + index * kSize, sum, write);
}

// To 1 x 1: a block has 32 packs of one sample and 8 lanes per pack, each of which takes every 8th pixel.
constexpr int kPixelLanes = 8, kPacksAcross = 32, kPixelLoads = 4;

template <class A>
__global__ void avgpool_forward_one_kernel(const A* __restrict__ x, A* __restrict__ y, int pixels, int packs) {
    constexpr int kSize = Pack<A>::kSize;
    SHARED(float, of_lane, [kPixelLanes][kSize][kPacksAcross]);
    const int across = thread_index() % kPacksAcross, lane = thread_index() / kPacksAcross;
    const int pack = int(blockIdx.y) * kPacksAcross + across;
    const int64_t first = int64_t(blockIdx.x) * pixels * packs + pack;
    Pack<A> sum{};
    if (pack < packs)
        for (int pixel = lane; pixel < pixels; pixel += kPixelLanes * kPixelLoads) {
            uint4 raw[kPixelLoads] = {};  // all loads are issued before the first use
            UNROLL
            for (int k = 0; k < kPixelLoads; ++k)
                if (pixel + k * kPixelLanes < pixels)
                    raw[k] = ldg(reinterpret_cast<const uint4*>(x) + first + int64_t(pixel + k * kPixelLanes) * packs);
            UNROLL
            for (int k = 0; k < kPixelLoads; ++k) {
                const Pack<A> v = unpacked<A>(raw[k]);
                UNROLL
                for (int e = 0; e < kSize; ++e) sum.v[e] += v.v[e];
            }
        }
    UNROLL
    for (int e = 0; e < kSize; ++e) of_lane[lane][e][across] = sum.v[e];
    block_sync();
    if (lane != 0 || pack >= packs) return;
    UNROLL
    for (int e = 0; e < kSize; ++e) {
        for (int l = 1; l < kPixelLanes; ++l) sum.v[e] += of_lane[l][e][across];
        sum.v[e] *= 1.0f / float(pixels);
    }
    store_pack(y + (int64_t(blockIdx.x) * packs + pack) * kSize, sum);
}

template <class A>
__global__ void avgpool_backward_one_kernel(const A* __restrict__ dy, A* dx, int pixels, int packs, Write write) {
    constexpr int kSize = Pack<A>::kSize;
    const int across = thread_index() % kPacksAcross, lane = thread_index() / kPacksAcross;
    const int pack = int(blockIdx.y) * kPacksAcross + across;
    if (pack >= packs) return;
    Pack<A> g = load_pack(dy + (int64_t(blockIdx.x) * packs + pack) * kSize);
    UNROLL
    for (float& e : g.v) e /= float(pixels);
    for (int pixel = lane; pixel < pixels; pixel += kPixelLanes)
        store_gradient(dx + ((int64_t(blockIdx.x) * pixels + pixel) * packs + pack) * kSize, g, write);
}

inline bool to_one(const AvgPoolShape& s) { return s.p == 1 && s.q == 1; }
inline Grid one_grid(const AvgPoolShape& s, int packs, const Place& at = Place::current()) {
    return {
        .blocks = s.x.n, .blocks_y = ceil_div(packs, kPacksAcross), .threads = kPacksAcross * kPixelLanes, .at = at};
}

template <class A>
void forward(const AvgPoolShape& s, const AvgPool::Forward& args, Stream stream) {
    if (to_one(s)) {
        const int of_pixel = s.x.stored_c() / Pack<A>::kSize;
        return launch(avgpool_forward_one_kernel<A>, one_grid(s, of_pixel), stream, as<A>(args.x), as<A>(args.y),
                      int(s.x.pixels()), of_pixel);
    }
    const int64_t packs = s.y().stored() / Pack<A>::kSize;
    launch(avgpool_forward_kernel<A>, flat_grid(packs), stream, as<A>(args.x), as<A>(args.y), s, packs);
}

template <class A>
void backward(const AvgPoolShape& s, const AvgPool::Backward& args, Stream stream) {
    if (to_one(s)) {
        const int of_pixel = s.x.stored_c() / Pack<A>::kSize;
        return launch(avgpool_backward_one_kernel<A>, one_grid(s, of_pixel), stream, as<A>(args.dy), as<A>(args.dx),
                      int(s.x.pixels()), of_pixel, args.write);
    }
    const int64_t packs = s.x.stored() / Pack<A>::kSize;
    launch(avgpool_backward_kernel<A>, flat_grid(packs), stream, as<A>(args.dy), as<A>(args.dx), s, args.write, packs);
}

}  // namespace

extern const AvgPool avgpool_f32{.forward = forward<float>, .backward = backward<float>};
extern const AvgPool avgpool_bf16{.forward = forward<bf16>, .backward = backward<bf16>};

}  // namespace fp::FP_MACHINE
