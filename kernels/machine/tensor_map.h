// The description of an array in global memory for the tensor memory accelerator (TMA). The GPU build encodes it; the
// emulated machine interprets it. Elements are bf16. In shared memory a copy writes rows of 128 bytes whose eight
// 16-byte chunks are permuted by the row's number modulo 8 ("128-byte swizzle"); elements outside of the array arrive
// as zeros. A box narrower than a row leaves the rest of each row unchanged.
#pragma once

#include <cstdint>

#include "kernels/error.h"

namespace fp {

struct TensorMapSpec {
    static constexpr int kMostRank = 4;
    static constexpr int kRow = 64;  // elements of a row in shared memory

    const void* base = nullptr;
    int rank = 0;
    int64_t size[kMostRank] = {};    // elements, the fastest dimension first
    int64_t stride[kMostRank] = {};  // elements from one index to the next; the first is 1
    // Rows may overlap (stride[1] < size[0]). cuda.h forbids it; the driver of an H200 accepted it. No kernel sets
    // this, only tests do.
    bool overlapping = false;
    // No kernel in front writes the array: it may be read before wait_for_kernels_in_front() (hopper.cuh). Only the
    // emulated machine reads this.
    bool settled = false;

    // Tiled: a copy loads box[0] x box[1] x .. elements from a corner on.
    int box[kMostRank] = {};

    // im2col, of an array (C, W, H, N): a copy loads 64 channels of `pixels` positions. The positions are every
    // `step`th of the box [lower, size + upper) of each sample, in the order w, h, n, from a given one on; each is read
    // at a given offset (that of a filter's tap).
    bool im2col = false;
    int pixels = 0;
    int lower[2] = {}, upper[2] = {};  // w, h
    int step = 1;

    constexpr int rows() const {  // of 128 bytes that a copy writes
        if (im2col) return pixels;
        int n = 1;
        for (int i = 1; i < rank; ++i) n *= box[i];
        return n;
    }
    constexpr int row() const { return im2col ? kRow : box[0]; }  // elements that arrive in each
    constexpr int bytes() const { return rows() * row() * 2; }

    // Checks the limits of TMA (cuda.h: cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col).
    void check() const {
        FP_CHECK(rank >= (im2col ? 4 : 2) && rank <= kMostRank, "tensor map: rank ", rank);
        FP_CHECK(reinterpret_cast<uintptr_t>(base) % 16 == 0, "tensor map: a misaligned array");
        for (int i = 0; i < rank; ++i) {
            FP_CHECK(size[i] > 0 && size[i] <= int64_t(1) << 32, "tensor map: size ", size[i]);
            FP_CHECK(i == 0 ? stride[i] == 1 : stride[i] > 0 && stride[i] * 2 % 16 == 0, "tensor map: stride ",
                     stride[i], " of dimension ", i, " is not a multiple of 16 bytes");
            FP_CHECK(stride[i] * 2 < int64_t(1) << 40, "tensor map: stride ", stride[i], " of dimension ", i,
                     " is not below 2^40 bytes");
            FP_CHECK(i == 0 || (i == 1 && overlapping) || stride[i] / size[i - 1] >= stride[i - 1],
                     "tensor map: ", size[i - 1], " elements ", stride[i - 1], " apart reach beyond stride ", stride[i],
                     " of dimension ", i);
            FP_CHECK(im2col || (box[i] > 0 && box[i] <= 256), "tensor map: a box of ", box[i]);
        }
        FP_CHECK(im2col || (box[0] % 8 == 0 && box[0] <= kRow), "tensor map: rows of ", box[0], " elements");
        if (!im2col) return;
        FP_CHECK(pixels > 0 && pixels <= 1024 && step >= 1 && step <= 8, "tensor map: ", pixels, " pixels at step ",
                 step);
        for (int i = 0; i < 2; ++i) {
            FP_CHECK(lower[i] >= -128 && lower[i] <= 127 && upper[i] >= -128 && upper[i] <= 127, "tensor map: corners ",
                     lower[i], " and ", upper[i]);
            FP_CHECK(lower[i] < size[i + 1] + upper[i], "tensor map: an empty box from ", lower[i], " to ",
                     size[i + 1] + upper[i]);
        }
    }
};

}  // namespace fp
