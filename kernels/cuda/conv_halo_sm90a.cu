// Convolutions of few channels: what starts the kernels of conv_halo.cuh and conv_halo_filter.cuh, whose heads have
// formulas, shapes, threads, traffic and bound.
//
// Prototype   FP_HALO=0: none; 1: all that fit; unset: where it should win. FP_HALO_TILE=i: tile i of kTiles where it
//             fits. FP_HALO_BLOCKS=i: so many blocks a multiprocessor. FP_HALO_BUFFERS=1|2: patches. FP_HALO_DW: as FP_HALO, for filters' gradients.
//             FP_HALO_WGMMA=1: conv_halo_wgmma.cuh where that can.
//             FP_HALO_GRID=i: at most so many blocks a slice, so that a test sees blocks walk
#include <array>
#include <cstdlib>
#include <map>

#include "kernels/cuda/conv_halo_filter.cuh"
#include "kernels/cuda/conv_halo_wgmma.cuh"
#include "kernels/cuda/conv_halo.h"
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/parts.cuh"

namespace fp::FP_MACHINE {
namespace {

// Warps down and across, fragments of each down and across, blocks a multiprocessor that registers allow, without
// moments and with them.
struct TileOf {
    int warps_m, warps_n, fragments_m, fragments_n, resident, with_moments;
    constexpr int m() const { return warps_m * fragments_m * 16; }
    constexpr int n() const { return warps_n * fragments_n * 8; }
    constexpr int warps() const { return warps_m * warps_n; }
};
constexpr TileOf kTiles[] = {
    {4, 1, 7, 1, 4, 4},  // 0: 448 pixels, whose 28 fragments are 8 rows of 56, 16 of 28, 4 of 112
    {4, 1, 7, 2, 3, 3},  // 1
    {4, 1, 7, 3, 3, 2},  // 2
    {4, 1, 7, 4, 2, 2},  // 3
    {4, 1, 4, 2, 4, 4},  // 4: 256 pixels
    {4, 1, 4, 3, 3, 3},  // 5
    {4, 1, 4, 4, 3, 3},  // 6
    {4, 1, 4, 5, 3, 2},  // 7
    {4, 1, 4, 6, 3, 2},  // 8
    {4, 1, 4, 8, 2, 2},  // 9
    {2, 2, 7, 3, 2, 2},  // 10: 224 pixels
    {2, 2, 7, 4, 2, 2},  // 11
    {2, 2, 7, 5, 2, 2},  // 12
    {4, 2, 7, 4, 1, 1},  // 13: 448 x 64
    {4, 2, 4, 4, 2, 1},  // 14: 256 x 64
};
constexpr int kLeastOfStem = 24;  // outputs of a tile that is made for it
constexpr int kTileCount = int(std::size(kTiles));
template <int kIndex>
using Tile = HaloTile<kTiles[kIndex].warps_m,
                      kTiles[kIndex].warps_n,
                      kTiles[kIndex].fragments_m,
                      kTiles[kIndex].fragments_n,
                      kTiles[kIndex].resident,
                      kTiles[kIndex].with_moments>;
// start(Tile) of that number.
template <int kIndex = 0, class Start>
void with_tile(int index, Start start) {
    if constexpr (kIndex < kTileCount) {
        if (index == kIndex) return start(Tile<kIndex>());
        with_tile<kIndex + 1>(index, start);
    }
}

int setting(const char* name, int otherwise) {
    const char* value = std::getenv(name);
    return value ? std::atoi(value) : otherwise;
}

int most_blocks() {
    static const int most = setting("FP_HALO_GRID", 1 << 20);
    return most;
}

constexpr int kSharedOfBlock = 227 * 1024, kSharedOfProcessor = 228 * 1024, kSharedReserved = 1024;

struct Plan {
    int tile = -1;
    HaloFilters filters = HaloFilters::forward;
    HaloSizes g{};
    int slices = 0, resident = 0;
    double cycles = 0;  // of the whole, expected
    bool exists() const { return tile >= 0; }
};

int largest_divisor(int of, int most) {
    for (int d = std::min(of, most); d > 1; --d)
        if (of % d == 0) return d;
    return most >= 1 ? 1 : 0;
}

// The sizes but for what the tile decides.
bool sizes_of(const ConvShape& s, Pass pass, Plan& plan) {
    const ConvSizes c = ConvSizes::of(s);
    HaloSizes& g = plan.g;
    if (pass == Pass::data) {
        if (c.stride != 1 || c.c % 8 != 0 || c.r - 1 - c.pad < 0 || c.s - 1 - c.pad < 0)
            return false;
        plan.filters = HaloFilters::turned;
        g = {.n = c.n, .h = c.p, .w = c.q, .chunks = c.y_c / 8, .p = c.h, .q = c.w, .y_c = c.c};
        g.r = c.r;
        g.s = c.s;
        g.stride_h = g.stride_w = 1;
        g.pad_h = c.r - 1 - c.pad;
        g.pad_w = c.s - 1 - c.pad;
    } else {
        g = {.n = c.n, .h = c.h, .w = c.w, .chunks = c.c / 8, .p = c.p, .q = c.q, .y_c = c.y_c};
        g.r = c.r;
        g.s = c.s;
        g.stride_h = g.stride_w = c.stride;
        g.pad_h = g.pad_w = c.pad;
        if (c.c == 4) {  // two pixels of 4 channels as one of 8
            if (c.stride != 2 || c.w % 2 != 0) return false;
            plan.filters = HaloFilters::pairs;
            g.w = c.w / 2;
            g.chunks = 1;
            g.stride_w = 1;
            g.pad_w = (c.pad + 1) / 2;
            g.shift = 2 * g.pad_w - c.pad;
            g.s = (c.s + g.shift + 1) / 2;
        } else if (c.c % 8 != 0) {
            return false;
        }
    }
    if (g.stride_h > 2) return false;
    g.k = c.k;
    g.taps_c = c.taps_c();
    g.filter_c = c.c;
    g.filter_s = c.s;
    g.steps = int(ceil_div(g.terms(), 2));
    return true;
}

// The share of a tile of at most so many pixels, and its patch. False where not one row fits.
bool lay_pixels(HaloSizes& g, int most) {
    if (g.q > most) return false;
    if (int64_t(g.p) * g.q <= most) {
        g.rows = g.p;
        g.images = std::min(g.n, most / (g.p * g.q));
        g.strips = 1;
        g.tiles = int(ceil_div(g.n, g.images));
    } else {
        g.rows = largest_divisor(g.p, most / g.q);
        g.images = 1;
        g.strips = g.p / g.rows;
        g.tiles = g.n * g.strips;
    }
    g.patch_rows = (g.rows - 1) * g.stride_h + g.r;
    g.patch_columns = (g.q - 1) * g.stride_w + g.s;
    g.column_half = int(ceil_div(g.patch_columns, 2));
    g.pitch = g.chunks | 1;
    g.chunk_pitch = 1;
    // Pixels that follow each other in a fragment stay at the same distance modulo the banks, over the end of a row too.
    const auto in_step = [](int from, int times, int of) {
        for (int i = 0; i < 8; ++i)
            if (((from + i) * times - of) % 8 == 0) return from + i;
        return from;
    };
    const int columns = g.stride_w == 2 ? 2 * g.column_half : g.patch_columns;
    g.row_pitch = in_step(columns * g.pitch, g.stride_h, g.q * g.pitch);
    g.image_pitch = in_step(g.patch_rows * g.row_pitch, 1, g.rows * g.stride_h * g.row_pitch);
    return int64_t(g.images) * g.image_pitch * 16 <= kSharedOfBlock;
}

// What the epilogue does besides.
enum class Extra { nothing, residual, moments };

// The tile's share, whether it fits, and about how long all of it takes.
bool lay_tile(Plan& plan, int index, Extra extra) {
    const TileOf& t = kTiles[index];
    HaloSizes& g = plan.g;
    if (plan.filters == HaloFilters::pairs && t.n() < kLeastOfStem) return false;
    if (!lay_pixels(g, t.m())) return false;
    g.keeps_residual = extra == Extra::residual;
    int resident = 0;
    const auto fits = [&](int buffers) {
        g.buffers = buffers;
        size_t shared = 0;
        with_tile(index, [&](auto tile) {
            shared = decltype(tile)::shared_bytes(g);
            resident = decltype(tile)::resident(extra == Extra::moments);
        });
        return std::min(resident, int(kSharedOfProcessor / (shared + kSharedReserved)));
    };
    static const int buffers = setting("FP_HALO_BUFFERS", 0);
    const int with_one = fits(1), with_two = fits(2);
    if (with_one == 0) return false;
    const bool two = with_two > 0 && (buffers == 2 || (buffers != 1 && with_two == with_one));
    plan.resident = two ? with_two : with_one;
    g.buffers = two ? 2 : 1;
    plan.slices = int(ceil_div(g.y_c, t.n()));
    plan.tile = index;

    // Clocks a multiprocessor: of products of 16 x 8 x 16, 1.5 each on four of them; of shared memory, 4 a 16 x 16
    // matrix; of a patch and of the tile's way out.
    const double product = 1.5 * t.warps_m * t.fragments_m * t.warps_n * t.fragments_n;
    const double shared_memory = 4.0 * t.warps() * (t.fragments_m + ceil_div(t.fragments_n, 2));
    const double busy = std::max(product, shared_memory) + 0.25 * std::min(product, shared_memory);
    const double brought = double(g.patch_bytes()) / 32, out = double(t.m()) * t.n() / 24;
    const double one = g.steps * busy + brought + out;
    const double hidden = std::min(1.0, 0.4 + 0.05 * plan.resident * t.warps()) * (two ? 1 : 0.9);
    const double blocks = double(g.tiles) * plan.slices / (kProcessors * plan.resident);
    plan.cycles = std::max(blocks, 1.0) * plan.resident * one / hidden;
    return true;
}

Plan make_plan(const ConvShape& s, Pass pass, Extra extra) {
    static const int forced = setting("FP_HALO_TILE", -1);
    Plan start, best;
    if (!sizes_of(s, pass, start)) return best;
    for (int i = 0; i < kTileCount; ++i) {
        Plan plan = start;
        if (!lay_tile(plan, i, extra)) continue;
        if (i == forced) return plan;
        if (!best.exists() || plan.cycles < best.cycles) best = plan;
    }
    return best;
}

// What `make` makes of a shape, made once: a launch of 20 us has no time for it.
template <class Made, class Make>
const Made& remembered(const ConvShape& s, int pass, int extra, Make make) {
    thread_local std::map<std::array<int, 12>, Made> all;
    const std::array<int, 12> key{s.x.n, s.x.h,         s.x.w,    s.x.stored_c(), s.w.k, s.w.r,
                                  s.w.s, s.y().stored_c(), s.stride, s.pad,         pass,  extra};
    const auto found = all.find(key);
    return found != all.end() ? found->second : all.emplace(key, make()).first->second;
}
const Plan& best_plan(const ConvShape& s, Pass pass, Extra extra) {
    return remembered<Plan>(s, int(pass), int(extra), [&] { return make_plan(s, pass, extra); });
}

// ---- on warpgroup products

struct ProductsOf {
    int products, n, resident;
};
constexpr ProductsOf kProductTiles[] = {{4, 16, 2}, {4, 24, 2}, {4, 32, 2}, {2, 40, 2},
                                        {2, 48, 2}, {2, 64, 2}, {4, 64, 1}, {2, 80, 1}};
constexpr int kProductTileCount = int(std::size(kProductTiles));
template <int kIndex = 0, class Start>
void with_product_tile(int index, Start start) {
    if constexpr (kIndex < kProductTileCount) {
        constexpr ProductsOf t = kProductTiles[kIndex];
        if (index == kIndex) return start(HaloProducts<t.products, t.n, t.resident>());
        with_product_tile<kIndex + 1>(index, start);
    }
}

bool lay_products(Plan& plan, int index) {
    const ProductsOf& t = kProductTiles[index];
    HaloSizes& g = plan.g;
    if (plan.filters == HaloFilters::turned || g.stride_w != 1 ||
        (plan.filters == HaloFilters::pairs && t.n < kLeastOfStem))
        return false;
    const int most = 2 * t.products * kProductRows;  // places
    g.patch_columns = g.row_pitch = g.q - 1 + g.s;
    g.pitch = 1;
    const int row = g.stride_h * g.row_pitch;
    g.images = g.strips = 1;
    if (g.stride_h == 1) {
        if (g.q > most) return false;
        const int all = (g.p - 1) * row + g.q, image = (g.p - 1 + g.r) * g.row_pitch;
        if (all <= most) {
            g.rows = g.p;
            g.images = std::min(g.n, 1 + (most - all) / image);
        } else {
            g.rows = largest_divisor(g.p, (most - g.q) / row + 1);
        }
    } else {
        const int across = int(ceil_div(g.q, kProductRows));
        if (across * kProductRows > row || across > 2 * t.products) return false;
        g.rows = largest_divisor(g.p, 2 * t.products / across);
    }
    g.strips = g.p / g.rows;
    g.tiles = int(g.images > 1 ? ceil_div(g.n, g.images) : int64_t(g.n) * g.strips);
    g.patch_rows = (g.rows - 1) * g.stride_h + g.r;
    g.image_pitch = g.patch_rows * g.row_pitch;
    // Planes as far apart as lets the chunks of neighbouring pixels come at different banks.
    constexpr int kApart[] = {1, 1, 4, 3, 2, 5, 1, 7};
    g.chunk_pitch = g.images * g.image_pitch;
    while (g.chunk_pitch % 8 != (g.chunks < 8 ? kApart[g.chunks] : 1)) ++g.chunk_pitch;
    if (int64_t(g.chunks) * g.chunk_pitch * 16 > kSharedOfBlock || g.chunk_pitch >= 1 << 14)
        return false;
    static const int buffers = setting("FP_HALO_BUFFERS", 0);
    const auto fits = [&](int wanted) {
        g.buffers = wanted;
        size_t shared = 0;
        with_product_tile(index, [&](auto tile) { shared = decltype(tile)::shared_bytes(g); });
        return std::min(t.resident, int(kSharedOfProcessor / (shared + kSharedReserved)));
    };
    const int with_one = fits(1), with_two = fits(2);
    if (with_one == 0) return false;
    const bool two = with_two > 0 && (buffers == 2 || (buffers != 1 && with_two == with_one));
    plan.resident = two ? with_two : with_one;
    g.buffers = two ? 2 : 1;
    plan.slices = int(ceil_div(g.y_c, t.n));
    plan.tile = index;
    // Clocks: a product's, or its 64 rows' and columns' from shared memory; then the tile's way out.
    const double product = std::max(t.n / 2.0, 16 + t.n / 4.0);
    const double one = g.steps * 2 * t.products * product + most * t.n / 24.0 +
                       double(g.patch_bytes()) / 64;
    const double blocks = double(g.tiles) * plan.slices / kProcessors;
    plan.cycles = std::max(blocks, 1.0) * one / (plan.resident == 1 ? 0.7 : 0.9);
    return true;
}

const Plan& best_products(const ConvShape& s) {
    return remembered<Plan>(s, 1000, 0, [&] {
        static const int forced = setting("FP_HALO_TILE", -1);
        Plan start, best;
        if (!sizes_of(s, Pass::forward, start)) return best;
        for (int i = 0; i < kProductTileCount; ++i) {
            Plan plan = start;
            if (!lay_products(plan, i)) continue;
            if (i == forced) return plan;
            if (!best.exists() || plan.cycles < best.cycles) best = plan;
        }
        return best;
    });
}

// ---- filters' gradients: 28 terms a block, 16 to 64 filters

constexpr int kMostFragments = 4, kTermsOfBlock = 28;
template <int kFragments = 1, class Start>
void with_filter_tile(int fragments, Start start) {
    if constexpr (kFragments <= kMostFragments) {
        if (fragments == kFragments) return start(HaloFilterTile<4, 7, kFragments>());
        with_filter_tile<kFragments + 1>(fragments, start);
    }
}

struct FilterPlan {
    int fragments = 0, slices_k = 0, slices_terms = 0, parts = 0;
    bool pairs = false;
    HaloSizes g{};
    size_t shared = 0;
    bool exists() const { return fragments > 0; }
};

FilterPlan make_filter_plan(const ConvShape& s) {
    Plan start;
    FilterPlan plan;
    if (!sizes_of(s, Pass::forward, start)) return plan;
    plan.g = start.g;
    plan.pairs = start.filters == HaloFilters::pairs;
    const int sixteens = int(ceil_div(plan.g.k, 16));
    plan.slices_k = int(ceil_div(sixteens, kMostFragments));
    const int fragments = int(ceil_div(sixteens, plan.slices_k));
    plan.slices_terms = int(ceil_div(plan.g.terms(), kTermsOfBlock));
    for (const int pixels : {448, 224, 112}) {
        if (!lay_pixels(plan.g, pixels)) continue;
        with_filter_tile(fragments,
                         [&](auto tile) { plan.shared = decltype(tile)::shared_bytes(plan.g); });
        if (plan.shared > kSharedOfBlock) continue;
        plan.fragments = fragments;
        const int slices = plan.slices_k * plan.slices_terms;
        plan.parts = std::clamp(kProcessors / slices, 1, std::min(plan.g.tiles, most_blocks()));
        break;
    }
    return plan;
}

const FilterPlan& filter_plan(const ConvShape& s) {
    return remembered<FilterPlan>(s, 0, 0, [&] { return make_filter_plan(s); });
}

bool takes_halo_filter(const ConvShape& s) {
    static const int wanted = setting("FP_HALO_DW", -1);
    if (wanted == 0) return false;
    const FilterPlan& plan = filter_plan(s);
    if (!plan.exists() || wanted == 1) return plan.exists();
    return plan.g.r * plan.g.s > 1 && plan.slices_k == 1 && plan.slices_terms <= 2 &&
           plan.g.tiles >= kProcessors;
}

}  // namespace

size_t halo_filter_scratch_bytes(const ConvShape& s) {
    return size_t(filter_plan(s).parts) * size_t(s.w.stored()) * sizeof(float);
}

void halo_filter_gradient(const ConvShape& s,
                          const bf16* x,
                          const bf16* dy,
                          float* dw,
                          float* dbias,
                          Write write,
                          void* scratch,
                          Stream stream) {
    const FilterPlan& plan = filter_plan(s);
    const bool one = plan.parts == 1;
    auto* parts = static_cast<float*>(scratch);
    with_filter_tile(plan.fragments, [&](auto tile) {
        using T = decltype(tile);
        const Grid grid{.blocks = plan.parts,
                        .blocks_y = plan.slices_k,
                        .blocks_z = plan.slices_terms,
                        .threads = T::kThreads,
                        .shared_bytes = plan.shared};
        float* to = one ? dw : parts;
        const Write how = one ? write : Write::replace;
        if (plan.pairs)
            launch(halo_filter_kernel<T, true>, grid, stream, plan.g, x, dy, to, how);
        else
            launch(halo_filter_kernel<T, false>, grid, stream, plan.g, x, dy, to, how);
    });
    if (!one) add_parts(parts, plan.parts, s.w.stored(), dw, write, stream);
    if (dbias) column_sums(s.y(), dy, dbias, write, scratch, stream);
}

bool takes_halo(const ConvShape& s, Pass pass) {
    if (pass == Pass::filter) return takes_halo_filter(s);
    static const int wanted = setting("FP_HALO", -1);
    if (wanted == 0) return false;
    const Plan& plan = best_plan(s, pass, Extra::nothing);
    if (!plan.exists() || !best_plan(s, pass, Extra::residual).exists()) return false;
    if (wanted == 1) return true;
    const int64_t tiles = int64_t(plan.g.tiles) * plan.slices;
    // Full 64 channels are conv_stream.cuh's. FP_HALO_64=1: these too.
    static const bool full_too = setting("FP_HALO_64", 0) == 1;
    const int outputs = pass == Pass::data ? s.x.stored_c() : s.y().stored_c();
    if (!full_too && s.stride == 1 && s.w.r == 3 && outputs > 48 && (plan.g.chunks == 7 || plan.g.chunks == 8))
        return false;
    return plan.g.r * plan.g.s > 1 && plan.g.chunks <= 10 && plan.slices <= 3 &&
           tiles >= kProcessors;
}

int halo_moments_rows(const ConvShape& s) {
    return best_plan(s, Pass::forward, Extra::moments).g.tile_pixels();
}

namespace {

void start_products(const Plan& plan,
                    const bf16* x,
                    const bf16* w,
                    const Epilogue& to,
                    Stream stream) {
    with_product_tile(plan.tile, [&](auto tile) {
        using T = decltype(tile);
        const int64_t wanted = int64_t(kProcessors) * plan.resident / plan.slices;
        const Grid grid{.blocks = std::clamp<int64_t>(
                            wanted, 1, std::min(plan.g.tiles, most_blocks())),
                        .blocks_y = plan.slices,
                        .threads = T::kThreads,
                        .shared_bytes = T::shared_bytes(plan.g)};
        if (plan.filters == HaloFilters::forward)
            launch(halo_wgmma_kernel<T, HaloFilters::forward>, grid, stream, plan.g, x, w, to);
        else if constexpr (T::kN >= kLeastOfStem)
            launch(halo_wgmma_kernel<T, HaloFilters::pairs>, grid, stream, plan.g, x, w, to);
    });
}

}  // namespace

void halo_convolution(const ConvShape& s,
                      Pass pass,
                      const bf16* x,
                      const bf16* w,
                      const Epilogue& to,
                      Stream stream) {
    static const int blocks = setting("FP_HALO_BLOCKS", 0);
    static const bool products = setting("FP_HALO_WGMMA", 0) != 0;
    if (products && pass == Pass::forward && !to.moments.data && best_products(s).exists())
        return start_products(best_products(s), x, w, to, stream);
    const Plan& plan = best_plan(s, pass,
                                to.residual       ? Extra::residual
                                : to.moments.data ? Extra::moments
                                                  : Extra::nothing);
    FP_CHECK(plan.exists(), "conv: no tile of few channels fits");
    with_tile(plan.tile, [&](auto tile) {
        using T = decltype(tile);
        const int resident = blocks > 0 ? blocks : plan.resident;
        const int64_t wanted = int64_t(kProcessors) * resident / plan.slices;
        const Grid grid{.blocks = std::clamp<int64_t>(
                            wanted, 1, std::min(plan.g.tiles, most_blocks())),
                        .blocks_y = plan.slices,
                        .threads = T::kThreads,
                        .shared_bytes = T::shared_bytes(plan.g)};
        const auto start = [&](auto filters) {
            constexpr HaloFilters kFilters = decltype(filters)::value;
            if constexpr (kFilters != HaloFilters::turned)
                if (to.moments.data)
                    return launch(halo_kernel<T, kFilters, true>, grid, stream, plan.g, x, w, to);
            launch(halo_kernel<T, kFilters, false>, grid, stream, plan.g, x, w, to);
        };
        using enum HaloFilters;
        if (plan.filters == forward)
            start(std::integral_constant<HaloFilters, forward>());
        else if (plan.filters == turned)
            start(std::integral_constant<HaloFilters, turned>());
        else if constexpr (T::kN >= kLeastOfStem)
            start(std::integral_constant<HaloFilters, pairs>());
    });
}

}  // namespace fp::FP_MACHINE
