// The pieces of conv_small.cpp: maps and filters packed plane by plane, and the matrix products of a register tile.
#pragma once

#include <utility>
#include <vector>

#include "kernels/cpu/bilinear.h"
#include "kernels/cpu/lanes.h"

namespace fp::cpu::small {

constexpr int kColumns = 2;   // blocks of channels in a register tile
constexpr int kTallest = 12;  // images in one: 12 x 2 of 32 registers, or 6 x 2 of 16

template <int kBlock>
constexpr int kTall = kRegisters == 32 ? kTallest : 6;
// Channels c of a block in one tile of the filters' gradient.
template <int kBlock>
constexpr int kOuterRows = kBlock == 4 ? 4 : kBlock / 2;

template <int kBlock>
Floats<kBlock> sum_of(const Plane& plane, const float* from, int64_t step) {
    Floats<kBlock> sum{};
    for (const Part& part : plane) sum += part.factor * load<kBlock>(from + part.at * step);
    return sum;
}

// The planes of the two factors that are multiplied and summed into one plane of the result.
struct Term {
    int a, b;
};
using Terms = std::vector<std::vector<Term>>;

inline Terms terms(const Bilinear& form,
                   size_t planes,
                   int Bilinear::Product::*result,
                   int Bilinear::Product::*a,
                   int Bilinear::Product::*b) {
    Terms all(planes);
    for (const auto& p : form.products) all[size_t(p.*result)].push_back({p.*a, p.*b});
    return all;
}

// The first image of a tile, of `tiles` nearly equal ones.
inline int first_of(int tile, int tiles, int images) { return int(int64_t(tile) * images / tiles); }

inline int64_t packed_size(const Map& m, const std::vector<Plane>& planes) {
    return int64_t(planes.size()) * m.n * m.stored_c();
}

// packed[plane][tile][block][image of the tile][lane] = the plane's sum over the image's map. A tile starts
// at plane * images * channels + its first image * channels.
template <int kBlock>
void pack_map(const Map& m, const float* map, const std::vector<Plane>& planes, int tiles, float* packed) {
#pragma omp parallel for collapse(2)
    for (int tile = 0; tile < tiles; ++tile) {
        for (int b = 0; b < m.blocks(); ++b) {
            const int first = first_of(tile, tiles, m.n);
            const int tall = first_of(tile + 1, tiles, m.n) - first;
            float* const rows = packed + (int64_t(first) * m.blocks() + b * tall) * kBlock;
            for (size_t i = 0; i < planes.size(); ++i) {
                float* const plane = rows + int64_t(i) * m.n * m.stored_c();
                for (int n = 0; n < tall; ++n) {
                    const float* const pixels = map + m.at(first + n, b * kBlock, 0, 0);
                    store<kBlock>(plane + n * kBlock, sum_of<kBlock>(planes[i], pixels, kBlock));
                }
            }
        }
    }
}

// Neighbouring blocks of output channels, whose filters make one panel.
struct Columns {
    int first, count;
};

// panel[plane][c][column][lane of k]: the filters of some blocks of k.
template <int kBlock>
void pack_forward(
    const Filter& f, const float* w, const std::vector<Plane>& planes, const Columns& columns, float* panel) {
    for (const Plane& plane : planes) {
        for (int c = 0; c < f.c_blocks() * kBlock; ++c) {
            for (int j = 0; j < columns.count; ++j, panel += kBlock) {
                const float* taps = w + f.at((columns.first + j) * kBlock, c, 0, 0);
                store<kBlock>(panel, sum_of<kBlock>(plane, taps, kBlock * kBlock));
            }
        }
    }
}

// panel[plane][k][column][lane of c]: the filters of some blocks of c.
template <int kBlock>
void pack_backward(
    const Filter& f, const float* w, const std::vector<Plane>& planes, const Columns& columns, float* panel) {
    const auto [first, count] = columns;
    for (const Plane& plane : planes) {
        for (int kb = 0; kb < f.k_blocks(); ++kb, panel += kBlock * count * kBlock) {
            for (int j = 0; j < count; ++j) {
                alignas(64) float tile[kBlock][kBlock];
                for (int c = 0; c < kBlock; ++c) {
                    const float* taps = w + f.at(kb * kBlock, (first + j) * kBlock + c, 0, 0);
                    store<kBlock>(tile[c], sum_of<kBlock>(plane, taps, kBlock * kBlock));
                }
                for (int k = 0; k < kBlock; ++k) {
                    for (int c = 0; c < kBlock; ++c) {
                        panel[(k * count + j) * kBlock + c] = tile[c][k];
                    }
                }
            }
        }
    }
}

struct Factors {
    const float *a, *b;
};

template <int kBlock, int kRows, int kWide>
void store_tile(const Floats<kBlock> (&sum)[kRows][kWide], float* out) {
    for (int i = 0; i < kRows; ++i) {
        for (int j = 0; j < kWide; ++j) {
            store<kBlock>(out + (i * kWide + j) * kBlock, sum[i][j]);
        }
    }
}

// out[row][column][lane] = sum over factors and channels of a[block][row][channel] b[channel][column][lane]
template <int kBlock, int kRows, int kWide>
void multiply(const std::vector<Factors>& factors, int blocks, float* out) {
    Floats<kBlock> sum[kRows][kWide] = {};
    for (const auto [a, b] : factors) {
        for (int block = 0; block < blocks; ++block) {
            const float* const x = a + block * kRows * kBlock;
            const float* const w = b + block * kBlock * kWide * kBlock;
            for (int c = 0; c < kBlock; ++c) {
                for (int i = 0; i < kRows; ++i) {
                    for (int j = 0; j < kWide; ++j) {
                        sum[i][j] += x[i * kBlock + c] * load<kBlock>(w + (c * kWide + j) * kBlock);
                    }
                }
            }
        }
    }
    store_tile<kBlock>(sum, out);
}

// The multiply for a tile of `tall` images.
using Multiply = void (*)(const std::vector<Factors>&, int, float*);
template <int kBlock, int kWide, size_t... kLess>
Multiply multiply_for(int tall, std::index_sequence<kLess...>) {
    static constexpr Multiply calls[] = {multiply<kBlock, int(kLess) + 1, kWide>...};
    return calls[tall - 1];
}
template <int kBlock>
Multiply multiply_for(int tall, int columns) {
    const auto heights = std::make_index_sequence<kTall<kBlock>>();
    return columns == kColumns ? multiply_for<kBlock, kColumns>(tall, heights) : multiply_for<kBlock, 1>(tall, heights);
}

// out[c][column][lane] = sum over factors and images of a[image][c] b[column][image][lane], for kOuterRows channels c.
template <int kBlock, int kWide>
void multiply_outer(const std::vector<Factors>& factors, int images, float* out) {
    constexpr int kRows = kOuterRows<kBlock>;
    const int64_t b_step = int64_t(images) * kBlock;
    Floats<kBlock> sum[kRows][kWide] = {};
    for (const auto [a, b] : factors) {
        for (int n = 0; n < images; ++n) {
            for (int i = 0; i < kRows; ++i) {
                for (int j = 0; j < kWide; ++j) {
                    sum[i][j] += a[n * kBlock + i] * load<kBlock>(b + j * b_step + n * kBlock);
                }
            }
        }
    }
    store_tile<kBlock>(sum, out);
}

}  // namespace fp::cpu::small
