// 16 bytes of activations, computed with as float32: the unit of every memory-bound kernel.
#pragma once

#include "machine.cuh"

namespace fp::FP_MACHINE {

template <class A>
struct Pack {
    static constexpr int kSize = 16 / int(sizeof(A));
    float v[kSize];
};

// The numbers of a pack as stored.
template <class A>
__device__ Pack<A> unpacked(const uint4& raw);
template <>
__device__ inline Pack<bf16> unpacked<bf16>(const uint4& raw) {
    const unsigned pairs[4] = {raw.x, raw.y, raw.z, raw.w};
    Pack<bf16> out;
    UNROLL
    for (int i = 0; i < 4; ++i) {
        out.v[2 * i] = to_float(bf16{uint16_t(pairs[i])});
        out.v[2 * i + 1] = to_float(bf16{uint16_t(pairs[i] >> 16)});
    }
    return out;
}
template <>
__device__ inline Pack<float> unpacked<float>(const uint4& raw) {
    return {{float_of_bits(raw.x), float_of_bits(raw.y), float_of_bits(raw.z), float_of_bits(raw.w)}};
}

// Number e of a pack as stored.
template <class A>
__device__ float element_of(const uint4& raw, int e) {
    const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
    if constexpr (sizeof(A) == 4) return float_of_bits(words[e]);
    return float_of_bits(e % 2 ? words[e / 2] & 0xffff0000u : words[e / 2] << 16);
}

__device__ inline Pack<float> load_pack(const float* p) {
    const float4 four = ldg(reinterpret_cast<const float4*>(p));
    return {{four.x, four.y, four.z, four.w}};
}
__device__ inline Pack<bf16> load_pack(const bf16* p) { return unpacked<bf16>(ldg(reinterpret_cast<const uint4*>(p))); }
__device__ inline void store_pack(float* p, const Pack<float>& a) {
    stg(reinterpret_cast<float4*>(p), float4{a.v[0], a.v[1], a.v[2], a.v[3]});
}
__device__ inline void store_pack(bf16* p, const Pack<bf16>& a) {
    stg(reinterpret_cast<uint4*>(p), uint4{pack_bf16(a.v[0], a.v[1]), pack_bf16(a.v[2], a.v[3]),
                                           pack_bf16(a.v[4], a.v[5]), pack_bf16(a.v[6], a.v[7])});
}

// Stores a gradient: replaces the old values, or adds to them.
template <class A>
__device__ void store_gradient(A* p, Pack<A> g, Write write) {
    if (write == Write::add) {
        const Pack<A> before = load_pack(p);
        UNROLL
        for (int i = 0; i < Pack<A>::kSize; ++i) g.v[i] += before.v[i];
    }
    store_pack(p, g);
}

// ReLU, and whether it passes the gradient of an output. A NaN passes both ways.
__device__ inline float relu(float x) { return x <= 0 ? 0 : x; }
__device__ inline bool relu_passes(float y) { return !(y <= 0); }

// One activation.
__device__ inline float load_one(const float* p) { return ldg(p); }
__device__ inline float load_one(const bf16* p) { return to_float(ldg(p)); }
__device__ inline void store_one(float* p, float v) { stg(p, v); }
__device__ inline void store_one(bf16* p, float v) { stg(p, to_bf16(v)); }

// As many per-channel numbers as a pack has channels.
template <class A>
__device__ Pack<A> load_channels(const float* vector, int pack) {
    Pack<A> out;
    UNROLL
    for (int i = 0; i < Pack<A>::kSize; i += 4) {
        const Pack<float> four = load_pack(vector + pack * Pack<A>::kSize + i);
        UNROLL
        for (int j = 0; j < 4; ++j) out.v[i + j] = four.v[j];
    }
    return out;
}

// The position of pack i of a map with `packs` packs per pixel: pack in the pixel, column, row and sample.
struct PackPlace {
    int pack, column, row;
    int64_t sample;
    __device__ PackPlace(int64_t i, int packs, int rows, int columns) {
        pack = int(i % packs);
        i /= packs;
        column = int(i % columns);
        i /= columns;
        row = int(i % rows);
        sample = i / rows;
    }
};

// A grid with one thread per pack.
constexpr int kFlatThreads = 256;
inline Grid flat_grid(int64_t packs, const Place& at = Place::current()) {
    return {.blocks = ceil_div(packs, kFlatThreads), .threads = kFlatThreads, .at = at};
}
__device__ inline int64_t flat_index() { return int64_t(blockIdx.x) * kFlatThreads + thread_index(); }

}  // namespace fp::FP_MACHINE
