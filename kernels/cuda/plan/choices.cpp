// Which kernels and tiles can do a pass, and which of them should.
#include <algorithm>

#include "kernels/cuda/plan/conv_share.h"
#include "kernels/cuda/plan/cost.h"

namespace fp {

std::vector<ConvChoice> conv_choices(const ConvShape& s, Pass pass, ConvExtras extras) {
    using enum ConvKernel;
    constexpr int kMostShared = 227 * 1024, kReserved = 1024;
    std::vector<ConvChoice> all;
    for (const TileCost& c : kTensorTiles) all.push_back({tensor, c.tile, c.resident});
    const bool eights = s.x.stored_c() % 8 == 0, three = s.w.r == 3 && s.w.s == 3 && s.pad == 1;
    const bool one = s.w.r == 1 && s.w.s == 1 && s.pad == 0;
    if (pass == Pass::filter) {
        if (fits_wgmma(s, pass))
            for (const TileCost& c : kWgmmaAcrossTiles) all.push_back({filter, c.tile});
        // How far the last tap reaches, in panels of 64 pixels: a ring holds so many more.
        const bool reaches = s.stride == 1 ? 2 * (s.q() + 1) + 2 + kChunk <= 9 * kChunk
                                           : s.q() + 2 + kChunk <= 2 * kChunk;
        if (three && eights && s.stride <= 2 && reaches) all.push_back({taps, {64, 64}});
        if (three && eights && s.stride == 1) all.push_back({rows, {64, 64}});
        if (halo_terms(s) <= 2 * kHaloTerms && s.w.k <= kHaloFilters && s.q() <= 448)
            all.push_back({halo_filter, {448, kHaloFilters}});
        return all;
    }
    const Direct g(s, pass);
    if (fits_wgmma(s, pass)) {
        for (const TileCost& c : kWgmmaAcrossTiles) all.push_back({pixels, c.tile});
        for (const TileSize t : {TileSize{256, 96}, {128, 192}, {128, 160}, {128, 96}, {128, 32}})
            if (g.forward) all.push_back({pixels, t});
        for (const TileSize t : {TileSize{256, 64}, {256, 128}, {128, 256}, {192, 256}})
            all.push_back({stream, t});
        // A patch of 256 pixels and their neighbours in one box, two of them beside a ring.
        const int rows = 256 + 2 * int(g.q + 2), t_n = g.out <= 64 ? 64 : 128;
        const int left = kMostShared - 32 * 1024 - 2 * int(round_up(rows, 8)) * kRowBytes;
        if (three && s.stride == 1 && rows <= 1024 && left >= (t_n == 64 ? 6 : 4) * t_n * kRowBytes)
            all.push_back({patch, {256, t_n}});
    }
    if (pass == Pass::data && s.stride == 2 && (three || one) && eights) {
        if (g.out <= 64)
            all.insert(all.end(), {{strided, {256, 64}, 1},
                                   {strided, {256, 64}, 2},
                                   {strided, {128, 64}, 2},
                                   {strided, {128, 64}, 3}});
        else
            all.insert(all.end(), {{strided, {256, 128}, 1}, {strided, {128, 128}, 2}});
    }
    // Blocks that registers allow, and allow with moments; shared memory may allow fewer.
    constexpr struct {
        TileSize tile;
        int resident, with_moments;
    } kHalo[] = {{{448, 8}, 4, 4},  {{448, 16}, 3, 3}, {{448, 24}, 3, 2}, {{448, 32}, 2, 2},
                 {{256, 16}, 4, 4}, {{256, 24}, 3, 3}, {{256, 32}, 3, 3}, {{256, 40}, 3, 2},
                 {{256, 48}, 3, 2}, {{224, 48}, 2, 2}, {{224, 64}, 2, 2}, {{224, 80}, 2, 2},
                 {{448, 64}, 1, 1}, {{256, 64}, 2, 1}};
    const bool image = g.forward && g.in == kImage && s.stride == 2 && s.x.w % 2 == 0;
    const bool narrow = g.in % 8 == 0 && s.stride <= (g.forward ? 2 : 1);
    if (s.w.r * s.w.s == 1 || !(image || narrow)) return all;
    for (const auto& h : kHalo) {
        const Halo of(g, s.stride, h.tile);
        const int64_t shared = of.shared_bytes(h.tile);
        if (of.tiles == 0 || shared > kMostShared || (image && h.tile.n < 24)) continue;
        const int allowed = extras.moments ? h.with_moments : h.resident;
        all.push_back({halo, h.tile,
                       std::min(allowed, int((kMostShared + kReserved) / (shared + kReserved)))});
    }
    return all;
}

ConvChoice best_choice(const ConvShape& s, Pass pass, ConvExtras extras) {
    const std::vector<ConvChoice> all = conv_choices(s, pass, extras);
    return *std::min_element(all.begin(), all.end(), [&](ConvChoice a, ConvChoice b) {
        return seconds(s, pass, a, extras) < seconds(s, pass, b, extras);
    });
}

}  // namespace fp
