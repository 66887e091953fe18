// dw = G^T [ sum over tiles (A dy A^T) * (B^T d B) ] G. Tiles are taken in chunks. Of a chunk, all threads transform x
// and dy into 36 matrices each, then share out the products M_i += V_i Z_i^T, one register tile of M (outer_tile.h) at a
// time; M is transformed once at the end. One thread adds to an element of M, in the order of the tiles, so bits do not
// depend on threads.
#include <omp.h>

#include "kernels/cpu/carve.h"
#include "kernels/cpu/conv/outer_tile.h"
#include "kernels/cpu/conv/winograd.h"
#include "kernels/cpu/conv/winograd_tiles.h"

namespace fp::cpu::winograd {
namespace {

constexpr int64_t kChunkFloats = 3 << 19;  // of V and Z: 6 MB
constexpr int kFewestTiles = 64;           // of a chunk: a sum is read and written once a chunk

struct Plan {
    const ConvShape& s;
    Map y = s.y();
    Tiles tiles{y};
    int chunk = int(std::min(
        tiles.count(), std::max<int64_t>(kFewestTiles, kChunkFloats / (kProducts * (s.x.stored_c() + y.stored_c())))));
    int groups = int(ceil_div(y.blocks(), kOuterBlocks));
    // V: [product][block of inputs][tile][lane], Z the same of outputs, M: [product][kb][c][k].
    int64_t block() const { return int64_t(chunk) * kBlock; }
    int64_t v_product() const { return s.x.blocks() * block() + kBlock; }
    int64_t z_product() const { return y.blocks() * block() + kBlock; }
    int64_t m_product() const { return int64_t(s.x.stored_c()) * y.stored_c(); }
};

struct Scratch {
    Carve carve;
    float *v, *z, *m;
    Scratch(const Plan& p, void* block)
        : carve(block),
          v(carve.take<float>(kProducts * p.v_product())),
          z(carve.take<float>(kProducts * p.z_product())),
          m(carve.take<float>(kProducts * p.m_product())) {}
};

// The sums of product i over the tiles of a chunk.
void multiply(const Plan& p, const Scratch& work, int i, int group, int cb, int count, bool add) {
    const int blocks = p.y.blocks(), kb = int(first_of(group, p.groups, blocks)),
              k = int(first_of(group + 1, p.groups, blocks)) - kb;
    const OuterReach reach{.pixels = count, .pixel = kBlock, .panel = p.block()};
    const float* const z = work.z + i * p.z_product() + kb * p.block();
    const float* const v = work.v + i * p.v_product() + cb * p.block();
    const int64_t panel = int64_t(p.s.x.stored_c()) * kBlock;
    float* const m = work.m + i * p.m_product() + kb * panel + cb * kBlock * kBlock;
    for (int c = 0; c < kBlock; c += kOuterInputs)
        outer_tile_for(kOuterInputs, k)(reach, v + c, z, {m + c * kBlock, panel, add});
}

void finish(const Plan& p, const float* m, float* dw) {
    const int cbs = p.s.x.blocks();
#pragma omp for collapse(2) schedule(static)
    for (int kb = 0; kb < p.y.blocks(); ++kb)
        for (int cb = 0; cb < cbs; ++cb)
            for (int c = 0; c < kBlock; ++c) {
                const int64_t pair = int64_t(kb) * cbs + cb;
                const float* const from = m + (pair * kBlock + c) * kBlock;
                float* const to = dw + (pair * 9 * kBlock + c) * kBlock;
                transform<kPatch, 3>(
                    filter_gradient,
                    [&](int r, int q) { return load<kBlock>(from + (r * kPatch + q) * p.m_product()); },
                    [&](int r, int q, const Vector& v) { store<kBlock>(to + (r * 3 + q) * kBlock * kBlock, v); });
            }
}

}  // namespace

int64_t backward_filter_scratch(const ConvShape& s) {
    return int64_t(Scratch(Plan{s}, nullptr).carve.bytes() / sizeof(float));
}

void backward_filter(const ConvShape& s, const float* x, const float* dy, float* dw, float* scratch) {
    const Plan p{s};
    const Scratch work(p, scratch);
    const int64_t all = p.tiles.count();
#pragma omp parallel
    {
        for (int64_t first = 0; first < all; first += p.chunk) {
            const int count = int(std::min<int64_t>(p.chunk, all - first));
#pragma omp for collapse(2) schedule(static) nowait
            for (int b = 0; b < s.x.blocks(); ++b)
                for (int t = 0; t < count; ++t)
                    transform_input(s.x, s.pad, p.tiles.place(first + t), b, x, work.v + b * p.block() + t * kBlock,
                                    p.v_product());
#pragma omp for collapse(2) schedule(static)
            for (int b = 0; b < p.y.blocks(); ++b)
                for (int t = 0; t < count; ++t)
                    transform_gradient(p.y, p.tiles.place(first + t), b, dy, work.z + b * p.block() + t * kBlock,
                                       p.z_product());
#pragma omp for collapse(3) schedule(dynamic)
            for (int i = 0; i < kProducts; ++i)
                for (int group = 0; group < p.groups; ++group)
                    for (int cb = 0; cb < s.x.blocks(); ++cb) multiply(p, work, i, group, cb, count, first > 0);
        }
        finish(p, work.m, dw);
    }
}

}  // namespace fp::cpu::winograd
