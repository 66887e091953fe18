// How batch norm on the host divides a map: units of work, tiles, batches that fit in the shared cache (batchnorm.cpp).
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/parallel.h"
#include "kernels/layout.h"

namespace fp::cpu {

constexpr int64_t kTilePixels = 128;
constexpr int64_t kUnitPixels = 2048;
constexpr int64_t kBatchBytes = 8 << 20;

// A unit of work: images [first, last) of a channel block.
struct NormUnit {
    int block, first, last;
};

struct NormUnits {
    Map map;

    int images() const { return int(std::max<int64_t>(1, kUnitPixels / map.pixels())); }
    int per_block() const { return int(ceil_div(map.n, images())); }
    int count() const { return per_block() * map.blocks(); }
    NormUnit operator[](int i) const {
        const int first = i % per_block() * images();
        return {i / per_block(), first, std::min(map.n, first + images())};
    }
    int64_t plane(int image, int block) const {  // offset of one image of a channel block
        return map.at(image, block * map.block, 0, 0);
    }
    int64_t plane_stride() const { return map.stored_c() * map.pixels(); }
};

// `images` runs of `pixels` vectors, from element `first` on.
struct NormTile {
    int64_t first, images, pixels;
    int64_t count() const { return images * pixels; }
};

template <class Body>
void for_tiles(const NormUnits& units, const NormUnit& unit, const Body& body) {
    const int64_t pixels = units.map.pixels();
    if (pixels > kTilePixels) {
        for (int n = unit.first; n < unit.last; ++n)
            for (int64_t p = 0; p < pixels; p += kTilePixels)
                body(NormTile{units.plane(n, unit.block) + p * units.map.block, 1, std::min(kTilePixels, pixels - p)});
    } else {
        const int images = int(kTilePixels / pixels);
        for (int n = unit.first; n < unit.last; n += images)
            body(NormTile{units.plane(n, unit.block), std::min(images, unit.last - n), pixels});
    }
}

// body(element index) for every vector of the tile
template <int B, class Body>
inline void for_pixels(const NormUnits& units, const NormTile& tile, const Body& body) {
    for (int64_t n = 0; n < tile.images; ++n) {
        const int64_t first = tile.first + n * units.plane_stride();
        for (int64_t p = 0; p < tile.pixels; ++p) body(first + p * B);
    }
}

// Processes channel blocks in batches whose `streams` maps fit in the shared cache. Of each batch: pass(i) of every
// unit i, then finish(block) of every block, then second(i) of every unit in reverse order, so that it begins with what
// pass read last. All threads of the team meet between the three.
template <class Pass, class Finish, class Second>
void in_batches(const NormUnits& units, int streams, const Pass& pass, const Finish& finish, const Second& second) {
    const Map& map = units.map;
    const int64_t block_bytes = streams * int64_t(sizeof(float)) * map.stored() / map.blocks();
    const int blocks = int(std::clamp<int64_t>(kBatchBytes / block_bytes, 1, map.blocks()));
    const int per_block = units.per_block();
#pragma omp parallel if (map.stored() > kPiece)
    for (int first = 0; first < map.blocks(); first += blocks) {
        const int last = std::min(map.blocks(), first + blocks);
#pragma omp for schedule(dynamic)
        for (int i = first * per_block; i < last * per_block; ++i) pass(i);
#pragma omp for
        for (int block = first; block < last; ++block) finish(block);
#pragma omp for schedule(dynamic)
        for (int i = last * per_block - 1; i >= first * per_block; --i) second(i);
    }
}

// The caller's scratch: two vectors of doubles per unit, then two numbers per channel.
struct NormScratch {
    double* partial;
    float *first, *second;

    NormScratch(const Map& map, void* scratch)
        : partial(static_cast<double*>(scratch)),
          first(reinterpret_cast<float*>(partial + 2 * partials(map))),
          second(first + map.stored_c()) {}

    static int64_t partials(const Map& map) { return int64_t(NormUnits{map}.count()) * map.block; }
    static size_t bytes(const Map& map) {
        return size_t(2 * partials(map)) * sizeof(double) + size_t(2 * map.stored_c()) * sizeof(float);
    }
    double* of(int unit, int block) const { return partial + int64_t(unit) * 2 * block; }
};

}  // namespace fp::cpu
