// Convolutions of few channels in bf16 through mma.sync: a patch of the input with its halo lies in shared memory, read
// once, and every tap is another offset into it. The forward convolution at strides 1 and 2, the gradient of its input
// at stride 1, and the stem.
//
//   y[n,p,q,k] = act(bias[k] + residual[n,p,q,k] + sum_rsc w[k,r,s,c] x[n,p stride+r-pad,q stride+s-pad,c])
//
// Shapes    x (N,H,W,C) w (K,R,S,C) bf16, C a multiple of 8   y (N,P,Q,K)   sums float32
// As GEMM   M = pixels of the output, N = its channels. The sum runs densely over taps and chunks of 8 channels, two
//           chunks a product: a fragment's rows are any 16 bytes of shared memory, so 24 channels cost what 24 cost.
// Tile      whole rows of the output: some of one image, a divisor of its height, or some whole images. In memory a
//           tile is one piece. Blocks stay and walk over the tiles, a block's first ones far apart.
// Patch     (rows stride + R - stride) x (Q stride + S - stride) pixels, zeros where the map ends, so that nothing is
//           masked later. A pixel takes an odd number of 16-byte chunks: eight neighbours touch every bank once. At
//           stride 2 the even columns come first, then the odd ones, for the same reason. Two patches: the next one's
//           copies fly while this one is multiplied; or one, where memory then has room for another block, and they
//           fly while this one's outputs leave.
// Filters   all of the block's in shared memory from its start, as 8 x 8 matrices: eight filters of one chunk, or for
//           the gradient (turned round) the 8 channels of its sum by 8 outputs, which ldmatrix transposes.
// Stem      4 stored channels at stride 2: two neighbours are one pixel of 8, of which an output reads R x (S+1)/2 at
//           stride 1 across; filters are moved by a pixel where the padding is odd.
// Threads   warps over kM x kN outputs, each fragments of 16 x 8
// Traffic   HBM sees the input and the output once; L2 (rows + halo)/rows of the input
// Bound     memory up to about 32 channels, then mma.sync, of which two thirds of the peak can be had
#pragma once

#include "kernels/cuda/conv.cuh"
#include "kernels/cuda/conv_epilogue.cuh"
#include "kernels/cuda/mma_tile.cuh"

namespace fp::FP_MACHINE {

constexpr int kHaloChunk = 8;        // channels of 16 bytes
constexpr int kHaloMatrix = 8 * 16;  // bytes of an 8 x 8 matrix

// What a block's filters are made of.
enum class HaloFilters { forward, turned, pairs };

struct HaloSizes {
    int n, h, w, chunks;  // input; `chunks` of 8 channels a pixel
    int p, q, y_c;        // output
    int r, s, stride_h, stride_w, pad_h, pad_w;
    int images, rows, strips;  // of a tile; so many tiles make an image's height
    int patch_rows, patch_columns, column_half;  // the last: where the odd columns of a patch begin
    // Chunks in shared memory, from a column, a row, an image and a chunk of a pixel to the next.
    int pitch, row_pitch, image_pitch, chunk_pitch;
    int steps;                                   // products, of two chunks each
    int tiles;
    // Filters as they lie: k of them, taps_c elements each; pairs: their width and what they are moved by.
    int k, taps_c, filter_c, filter_s, shift;
    bool keeps_residual;  // rows of the residual for a whole tile, not for 16 of a warp
    int buffers;          // of patches: 2, or 1 where another block hides the wait

    __host__ __device__ constexpr int row_chunks() const { return patch_columns * chunks; }
    __host__ __device__ constexpr int terms() const { return r * s * chunks; }
    __host__ __device__ constexpr int tile_pixels() const { return images * rows * q; }
    __host__ __device__ constexpr int pixels_out() const { return n * p * q; }
    __host__ __device__ constexpr int patch_bytes() const {
        return (chunk_pitch > 1 ? chunks * chunk_pitch : images * image_pitch) * 16;
    }
};

template <int kWarpsM_,
          int kWarpsN_,
          int kFragmentsM_,
          int kFragmentsN_,
          int kResident,
          int kResidentWithMoments>
struct HaloTile {
    static constexpr int kWarpsM = kWarpsM_, kWarpsN = kWarpsN_, kWarps = kWarpsM * kWarpsN;
    static constexpr int kFragmentsM = kFragmentsM_, kFragmentsN = kFragmentsN_;
    static constexpr int kThreads = kWarps * kWarp;
    // Blocks a multiprocessor that registers allow.
    static constexpr int resident(bool moments) {
        return moments ? kResidentWithMoments : kResident;
    }
    static constexpr int kWarpM = kFragmentsM * 16, kWarpN = kFragmentsN * 8;
    static constexpr int kM = kWarpsM * kWarpM, kN = kWarpsN * kWarpN, kMatrices = kN / 8;
    // Two products in one round of the loop where registers suffice to load for one while the other goes on.
    static constexpr bool kTwoSteps = kFragmentsM * (kFragmentsN * 4 + 4) < 110;
    // Of a warp's row on its way out, in chunks: an odd number, so that rows take turns at the banks.
    static constexpr int kResultPitch = kFragmentsN | 1;

    static constexpr int offsets_bytes(const HaloSizes& g) {
        return int(round_up((g.steps * 2 + g.row_chunks()) * int(sizeof(int)), 16));
    }
    static constexpr int filters_bytes(const HaloSizes& g) { return g.steps * 2 * kN * 16; }
    static constexpr int result_rows(const HaloSizes& g) { return g.keeps_residual ? kWarpM : 16; }
    static constexpr int result_bytes(const HaloSizes& g) {
        const int of_moments = kWarpN * 12;
        return int(round_up(std::max(result_rows(g) * kResultPitch * 16, of_moments), 16));
    }
    static constexpr size_t shared_bytes(const HaloSizes& g) {
        return size_t(offsets_bytes(g)) + filters_bytes(g) + g.buffers * g.patch_bytes() +
               kWarps * result_bytes(g);
    }
};

// ---- what a block brings once: where each chunk of the sum lies in a patch, and the filters

// Of a term of the sum, a tap's chunk: bytes from a pixel's first.
__device__ inline int halo_offset(const HaloSizes& g, int term) {
    const int tap = term / g.chunks, r = tap / g.s, s = tap % g.s;
    const int column = g.stride_w == 2 ? s % 2 * g.column_half + s / 2 : s;
    return (r * g.row_pitch + column * g.pitch + term % g.chunks * g.chunk_pitch) * 16;
}

// The last may be half of a product alone, whose filters are zeros.
template <class T>
__device__ void halo_offsets(const HaloSizes& g, int* offsets) {
    for (int i = thread_index(); i < g.steps * 2; i += T::kThreads)
        offsets[i] = i < g.terms() ? halo_offset(g, i) : 0;
}

// The i-th term of a sum that runs over the taps of a chunk first.
__device__ inline int halo_term_by_chunk(const HaloSizes& g, int i) {
    const int taps = g.r * g.s;
    return i % taps * g.chunks + i / taps;
}

template <class T, HaloFilters kFilters, bool kByChunk = false>
__device__ void halo_filters(const HaloSizes& g,
                             const bf16* __restrict__ w,
                             int first_output,
                             unsigned char* to) {
    const int terms = g.steps * 2;
    for (int i = thread_index(); i < terms * T::kN; i += T::kThreads) {
        const int line = i % 8;  // of the matrix
        if constexpr (kFilters == HaloFilters::turned) {
            const int matrix = i / 8 % T::kMatrices, term = i / 8 / T::kMatrices;
            const int tap = term / g.chunks, k = term % g.chunks * kHaloChunk + line;
            const int c = first_output + matrix * 8;
            const bool valid = term < g.terms() && k < g.k && c < g.filter_c;
            cp_async16(
                to + (term * T::kMatrices + matrix) * kHaloMatrix + line * 16,
                w + (valid ? int64_t(k) * g.taps_c + (g.r * g.s - 1 - tap) * g.filter_c + c : 0),
                valid);
        } else {
            const int term = i / 8 % terms, matrix = i / 8 / terms;
            const int k = first_output + matrix * 8 + line;
            const bool valid = term < g.terms() && k < g.k;
            unsigned char* place = to + (term * T::kMatrices + matrix) * kHaloMatrix + line * 16;
            if constexpr (kFilters == HaloFilters::forward) {
                const int from = kByChunk ? halo_term_by_chunk(g, term) : term;
                cp_async16(place, w + (valid ? int64_t(k) * g.taps_c + from * kHaloChunk : 0),
                           valid);
            } else {
                const int r = term / g.s, s = term % g.s * 2 - g.shift;
                const bf16* row = w + (valid ? int64_t(k) * g.taps_c + r * g.filter_s * 4 : 0);
                UNROLL
                for (int half = 0; half < 2; ++half) {
                    const bool there = valid && unsigned(s + half) < unsigned(g.filter_s);
                    cp_async8(place + half * 8, row + (there ? (s + half) * 4 : 0), there);
                }
            }
        }
    }
}

// ---- what it brings for a tile. A warp takes a row of the patch at a time, whose chunks lie in one piece in x.

// Of every chunk of such a row: its place in the patch's row, bytes, twice, and 1 more where the map has its column.
template <class T>
__device__ void halo_places(const HaloSizes& g, int* places) {
    for (int i = thread_index(); i < g.row_chunks(); i += T::kThreads) {
        const int column = i / g.chunks;
        const int place = g.stride_w == 2 ? column % 2 * g.column_half + column / 2 : column;
        const bool on_map = unsigned(column - g.pad_w) < unsigned(g.w);
        places[i] = (place * g.pitch + i % g.chunks * g.chunk_pitch) * 32 + on_map;
    }
}

template <class T>
__device__ void halo_patch(const HaloSizes& g,
                           const bf16* __restrict__ x,
                           int tile,
                           const int* places,
                           unsigned char* to) {
    const int first_image = tile / g.strips * g.images;
    const int first_row = tile % g.strips * g.rows * g.stride_h - g.pad_h;
    for (int row = warp_index(); row < g.images * g.patch_rows; row += T::kWarps) {
        const int image = row / g.patch_rows, own = row % g.patch_rows;
        if (first_image + image >= g.n) return;
        const int h = first_row + own;
        const bool on_map = unsigned(h) < unsigned(g.h);
        const bf16* from = x + ((int64_t(first_image + image) * g.h + (on_map ? h : 0)) * g.w -
                                g.pad_w) *
                                   (g.chunks * kHaloChunk);
        unsigned char* line = to + (image * g.image_pitch + own * g.row_pitch) * 16;
        for (int i = lane_index(); i < g.row_chunks(); i += kWarp) {
            const int place = places[i];
            const bool valid = on_map && place % 2 != 0;
            cp_async16(line + place / 2, valid ? from + i * kHaloChunk : x, valid);
        }
    }
}

// ---- a tile's products

// first[i]: where the lane's row of fragment i begins in a patch, bytes.
template <class T>
__device__ void halo_rows(const HaloSizes& g, int (&first)[T::kFragmentsM]) {
    const int warp = warp_index() / T::kWarpsN;
    UNROLL
    for (int i = 0; i < T::kFragmentsM; ++i) {
        int pixel = (warp * T::kFragmentsM + i) * 16 + lane_index() % 16;
        if (pixel >= g.tile_pixels()) pixel = 0;  // nobody's: any will do
        const int q = pixel % g.q, p = pixel / g.q % g.rows, image = pixel / g.q / g.rows;
        first[i] = (image * g.image_pitch + p * g.stride_h * g.row_pitch + q * g.pitch) * 16;
    }
}

template <class T, bool kTransposed>
__device__ void halo_multiply(const HaloSizes& g,
                              const unsigned char* patch,
                              const unsigned char* filters,
                              const int* offsets,
                              const int (&first)[T::kFragmentsM],
                              float (&sums)[T::kFragmentsM][T::kFragmentsN][4]) {
    const int l = lane_index(), first_matrix = warp_index() % T::kWarpsN * T::kFragmentsN;
    constexpr int kPairs = (T::kFragmentsN + 1) / 2;
    // Of a pair's four matrices: two of the sum, then those of the next eight outputs; an odd last one twice.
    const unsigned char* own = filters + (l / 8 % 2 * T::kMatrices + first_matrix) * kHaloMatrix +
                               l % 8 * 16;
    const auto step = [&](int j) {
        uint32_t rows[T::kFragmentsM][4], columns[kPairs][4];
        const unsigned char* from = patch + offsets[2 * j + l / 16];
        const unsigned char* own_step = own + j * (2 * T::kMatrices * kHaloMatrix);
        UNROLL
        for (int i = 0; i < kPairs; ++i) {
            const int next = 2 * i + 1 < T::kFragmentsN ? l / 16 : 0;
            const void* matrix = own_step + (2 * i + next) * kHaloMatrix;
            if constexpr (kTransposed)
                ldmatrix_x4_trans(columns[i], matrix);
            else
                ldmatrix_x4(columns[i], matrix);
        }
        UNROLL
        for (int i = 0; i < T::kFragmentsM; ++i) ldmatrix_x4(rows[i], from + first[i]);
        UNROLL
        for (int i = 0; i < T::kFragmentsM; ++i) {
            UNROLL
            for (int k = 0; k < T::kFragmentsN; ++k) {
                const uint32_t column[2] = {columns[k / 2][k % 2 * 2], columns[k / 2][k % 2 * 2 + 1]};
                mma_bf16(sums[i][k], rows[i], column);
            }
        }
    };
    int j = 0;
    if constexpr (T::kTwoSteps)
        for (; j + 1 < g.steps; j += 2) {
            step(j);
            step(j + 1);
        }
    for (; j < g.steps; ++j) step(j);
}

// ---- a tile's way out, 16 rows of a warp at a time through its own shared memory

template <class T>
struct HaloOut {
    const HaloSizes& g;
    const Epilogue& to;
    unsigned char* result;  // the warp's
    int first_output;       // the warp's
    int warp_m = warp_index() / T::kWarpsN;

    // body(place in `result`, offset in y) for this lane's 16 bytes of fragment i that exist.
    template <class Body>
    __device__ void for_pieces(int i, int first_pixel, int pixels, Body body) const {
        constexpr int kPieces = T::kFragmentsN;
        UNROLL
        for (int e = lane_index(); e < 16 * kPieces; e += kWarp) {
            const int row = e / kPieces, piece = e % kPieces;
            const int pixel = (warp_m * T::kFragmentsM + i) * 16 + row;
            const int k = first_output + piece * 8;
            if (pixel < pixels && k < g.y_c)
                body(rows_of(i) + (row * T::kResultPitch + piece) * 16,
                     int64_t(first_pixel + pixel) * g.y_c + k);
        }
    }
    __device__ unsigned char* rows_of(int i) const {
        return result + (g.keeps_residual ? i * 16 * T::kResultPitch * 16 : 0);
    }

    __device__ void bring_residual(int first_pixel, int pixels) const {
        for (int i = 0; i < T::kFragmentsM; ++i)
            for_pieces(i, first_pixel, pixels, [&](unsigned char* place, int64_t offset) {
                cp_async16(place, to.residual + offset);
            });
    }

    // Of this lane's two columns of every fragment across.
    struct Seen {
        float base[T::kFragmentsN][2], sum[T::kFragmentsN][2], square[T::kFragmentsN][2];
    };

    template <bool kMoments>
    __device__ void store(const float (&sums)[T::kFragmentsM][T::kFragmentsN][4],
                          int first_pixel,
                          int pixels,
                          Seen& seen) const {
        const int l = lane_index();
        UNROLL
        for (int i = 0; i < T::kFragmentsM; ++i) {
            auto* words = reinterpret_cast<uint32_t*>(rows_of(i));
            UNROLL
            for (int j = 0; j < T::kFragmentsN; ++j) {
                const int column = first_output + j * 8 + l % 4 * 2;
                float2 bias{0, 0};
                if (to.bias && column < g.y_c)
                    bias = ldg(reinterpret_cast<const float2*>(to.bias + column));
                UNROLL
                for (int half = 0; half < 2; ++half) {
                    uint32_t* word =
                        words + (l / 4 + half * 8) * (T::kResultPitch * 4) + j * 4 + l % 4;
                    float2 v{sums[i][j][half * 2] + bias.x, sums[i][j][half * 2 + 1] + bias.y};
                    if (to.residual) {
                        const float2 add = halves(*word);
                        v.x += add.x;
                        v.y += add.y;
                    }
                    if (to.relu) v = {v.x <= 0 ? 0 : v.x, v.y <= 0 ? 0 : v.y};
                    const uint32_t pair = pack_bf16(v.x, v.y);
                    *word = pair;
                    if constexpr (kMoments) {
                        const float2 stored = halves(pair);
                        if (i == 0 && half == 0) {
                            seen.base[j][0] = shuffle(stored.x, l % 4);
                            seen.base[j][1] = shuffle(stored.y, l % 4);
                            for (int e = 0; e < 2; ++e) seen.sum[j][e] = seen.square[j][e] = 0;
                        }
                        const int row = (warp_m * T::kFragmentsM + i) * 16 + half * 8 + l / 4;
                        if (row < pixels) {
                            const float x = stored.x - seen.base[j][0];
                            const float y = stored.y - seen.base[j][1];
                            seen.sum[j][0] += x;
                            seen.sum[j][1] += y;
                            seen.square[j][0] += x * x;
                            seen.square[j][1] += y * y;
                        }
                    }
                }
            }
            warp_sync();
            for_pieces(i, first_pixel, pixels, [&](const unsigned char* place, int64_t offset) {
                stg(reinterpret_cast<uint4*>(to.y + offset), *reinterpret_cast<const uint4*>(place));
            });
            warp_sync();  // these rows have left
        }
    }

    // The warp's moments of its columns into its own rows.
    __device__ void put_moments(Seen& seen, int pixels) const {
        const int l = lane_index();
        const int count = min(max(pixels - warp_m * T::kWarpM, 0), T::kWarpM);
        auto* moments = reinterpret_cast<ColumnMoments*>(result);
        UNROLL
        for (int j = 0; j < T::kFragmentsN; ++j) {
            UNROLL
            for (int e = 0; e < 2; ++e) {
                float sum = seen.sum[j][e], square = seen.square[j][e];
                for (int lanes = 4; lanes < kWarp; lanes *= 2) {
                    sum += shuffle_xor(sum, lanes);
                    square += shuffle_xor(square, lanes);
                }
                const float mean = count > 0 ? sum / float(count) : 0;
                if (l < 4)
                    moments[j * 8 + l * 2 + e] = {float(count), seen.base[j][e] + mean,
                                                  square - sum * mean};
            }
        }
    }
};

// `residual` may be `y` itself: a warp reads its rows before it writes them, and no other does.
template <class T, HaloFilters kFilters, bool kMoments>
__global__ void __launch_bounds__(T::kThreads, T::resident(kMoments))
    halo_kernel(const __grid_constant__ HaloSizes g,
                const bf16* __restrict__ x,
                const bf16* __restrict__ w,
                const __grid_constant__ Epilogue to) {
    DYN_SHARED(unsigned char, shared);
    int *const offsets = reinterpret_cast<int*>(shared), *const places = offsets + g.steps * 2;
    unsigned char* const filters = shared + T::offsets_bytes(g);
    unsigned char* const patches = filters + T::filters_bytes(g);
    unsigned char* const results = patches + g.buffers * g.patch_bytes();
    const int first_output = int(blockIdx.y) * T::kN;
    int tile = int(blockIdx.x);
    halo_offsets<T>(g, offsets);
    halo_places<T>(g, places);
    halo_filters<T, kFilters>(g, w, first_output, filters);
    block_sync();
    halo_patch<T>(g, x, tile, places, patches);
    cp_async_commit();
    int first[T::kFragmentsM];
    halo_rows<T>(g, first);
    const HaloOut<T> out{g, to, results + warp_index() * T::result_bytes(g),
                         first_output + warp_index() % T::kWarpsN * T::kWarpN};

    for (int round = 0; tile < g.tiles; ++round) {
        const int first_pixel = tile * g.tile_pixels();
        const int pixels = min(g.tile_pixels(), g.pixels_out() - first_pixel);
        cp_async_wait<0>();
        block_sync();  // this patch is here for all, and the one before is read by all
        if (to.residual) out.bring_residual(first_pixel, pixels);
        cp_async_commit();
        const int next = tile + int(gridDim.x), other = (round + 1) % 2 * g.patch_bytes();
        const bool two = g.buffers == 2;
        if (two && next < g.tiles) halo_patch<T>(g, x, next, places, patches + other);
        if (two) cp_async_commit();
        warp_sync();  // lanes that copied less are here too

        float sums[T::kFragmentsM][T::kFragmentsN][4] = {};
        halo_multiply<T, kFilters == HaloFilters::turned>(
            g, two ? patches + round % 2 * g.patch_bytes() : patches, filters, offsets, first, sums);

        if (!two) {
            block_sync();  // this patch is read by all
            if (next < g.tiles) halo_patch<T>(g, x, next, places, patches);
            cp_async_commit();
        }
        cp_async_wait<1>();
        warp_sync();  // the residual is here for the warp
        typename HaloOut<T>::Seen seen;
        out.template store<kMoments>(sums, first_pixel, pixels, seen);
        if constexpr (kMoments) {
            out.put_moments(seen, pixels);
            block_sync();
            for (int c = thread_index(); c < min(T::kN, g.y_c - first_output); c += T::kThreads) {
                ColumnMoments all{};
                for (int i = 0; i < T::kWarpsM; ++i) {
                    const int of_warp = i * T::kWarpsN + c / T::kWarpN;
                    all.join(reinterpret_cast<const ColumnMoments*>(
                        results + of_warp * T::result_bytes(g))[c % T::kWarpN]);
                }
                to.moments.store(first_output + c, tile, all);
            }
        }
        tile = next;
    }
}

}  // namespace fp::FP_MACHINE
