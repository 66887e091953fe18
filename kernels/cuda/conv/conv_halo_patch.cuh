// The input patch of a tile, halo included, in shared memory, for conv_halo.cuh and conv_halo_filter.cuh.
//
// Layout    (rows stride + R - stride) x (Q stride + S - stride) pixels of each image, zeros outside of the map, so
//           that nothing is masked later. A pixel takes an odd number of 16-byte chunks, so that eight neighbours touch
//           every bank once. At stride 2 the even columns come first, then the odd ones, for the same reason.
// Threads   A warp copies one row at a time; the chunks of a row are contiguous in x.
// Division  none per tile: columns are looked up in a table that the block computes once, rows are counted, and the
//           division by the strips of an image is a multiplication by a reciprocal
#pragma once

#include "kernels/cuda/plan/halo_plan.h"
#include "machine.cuh"

namespace fp::FP_MACHINE {

constexpr int kHaloChunk = 8;  // channels in 16 bytes

// The offset of a term (one chunk of one tap) from the first chunk of an output's first pixel, in chunks.
__device__ inline int halo_offset(const HaloSizes& g, int term) {
    const int tap = term / g.chunks, r = tap / g.s, s = tap % g.s;
    const int column = g.stride_w == 2 ? s % 2 * g.column_half + s / 2 : s;
    return r * g.row_pitch + column * g.pitch + term % g.chunks;
}

// The offset in the patch of the first chunk that an output pixel of the tile reads, in chunks.
__device__ inline int halo_pixel(const HaloSizes& g, int pixel) {
    const int q = pixel % g.q, p = pixel / g.q % g.rows, image = pixel / g.q / g.rows;
    return image * g.image_pitch + p * g.stride_h * g.row_pitch + q * g.pitch;
}

// Computes the table for the chunks of a patch row: the offset in the row in bytes, plus 1 where the column is on the
// map.
template <class T>
__device__ void halo_places(const HaloSizes& g, int* places) {
    for (int i = thread_index(); i < g.row_chunks(); i += T::kThreads) {
        const int column = i / g.chunks;
        const int place = g.stride_w == 2 ? column % 2 * g.column_half + column / 2 : column;
        const bool on_map = unsigned(column - g.pad_w) < unsigned(g.w);
        places[i] = (place * g.pitch + i % g.chunks) * 16 + on_map;
    }
}

template <class T>
__device__ void halo_patch(
    const HaloSizes& g, const bf16* __restrict__ x, int tile, const int* places, unsigned char* to) {
    const int group = g.group_of(tile);
    const int first_row = (tile - group * g.strips) * g.rows * g.stride_h - g.pad_h;
    for (int row = warp_index(), image = 0;; row += T::kWarps) {
        while (row >= g.patch_rows) row -= g.patch_rows, ++image;
        const int n = group * g.images + image, h = first_row + row;
        if (image >= g.images || n >= g.n) return;
        const bool on_map = unsigned(h) < unsigned(g.h);
        const bf16* from = x + ((int64_t(n) * g.h + (on_map ? h : 0)) * g.w - g.pad_w) * (g.chunks * kHaloChunk);
        unsigned char* line = to + (image * g.image_pitch + row * g.row_pitch) * 16;
        for (int i = lane_index(); i < g.row_chunks(); i += kWarp) {
            const int place = places[i];
            const bool valid = on_map && (place & 1) != 0;
            cp_async16(line + (place & ~1), valid ? from + i * kHaloChunk : x, valid);
        }
    }
}

}  // namespace fp::FP_MACHINE
