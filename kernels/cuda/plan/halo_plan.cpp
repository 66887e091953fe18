#include "kernels/cuda/plan/halo_plan.h"

#include <algorithm>
#include <limits>

namespace fp {

namespace {

constexpr int kSharedOfBlock = 227 * 1024, kSharedOfProcessor = 228 * 1024, kSharedReserved = 1024;
constexpr int kProductPlaces = 64;  // pixels of a warpgroup's product
constexpr int kMostAcross = 2;      // such products per row

int largest_divisor(int of, int most) {
    for (int d = std::min(of, most); d > 1; --d)
        if (of % d == 0) return d;
    return most >= 1 ? 1 : 0;
}

int wgmma_across(const HaloSizes& g) { return int(ceil_div(g.q, kProductPlaces)); }

// Sets the sizes that do not depend on the tile. False where the kernels cannot compute the pass.
bool lay_shape(const ConvShape& s, Pass pass, HaloPlan& plan) {
    const int x_c = s.x.stored_c(), y_c = s.y().stored_c(), p = s.p(), q = s.q();
    constexpr int64_t kMost = std::numeric_limits<int>::max() - 1024;  // a tile may extend past the end
    if (p <= 0 || q <= 0 || s.stride > 2 || y_c % 8 != 0 || s.x.n * s.x.pixels() > kMost ||
        s.x.n * s.y().pixels() > kMost)
        return false;
    HaloSizes& g = plan.sizes;
    g = {};
    g.n = s.x.n;
    g.h = s.x.h;
    g.w = s.x.w;
    g.chunks = x_c / 8;
    g.p = p;
    g.q = q;
    g.y_c = y_c;
    g.r = s.w.r;
    g.s = s.w.s;
    g.stride_h = g.stride_w = s.stride;
    g.pad_h = g.pad_w = s.pad;
    if (pass == Pass::data) {
        if (s.stride != 1 || x_c % 8 != 0 || s.w.r - 1 < s.pad || s.w.s - 1 < s.pad) return false;
        plan.filters = HaloFilters::turned;
        std::swap(g.h, g.p);
        std::swap(g.w, g.q);
        g.chunks = y_c / 8;
        g.y_c = x_c;
        g.pad_h = s.w.r - 1 - s.pad;
        g.pad_w = s.w.s - 1 - s.pad;
    } else if (x_c == 4) {
        if (s.stride != 2 || s.x.w % 2 != 0) return false;
        plan.filters = HaloFilters::pairs;
        g.w = s.x.w / 2;
        g.chunks = 1;
        g.stride_w = 1;
        g.pad_w = (s.pad + 1) / 2;
        g.shift = 2 * g.pad_w - s.pad;
        g.s = (s.w.s + g.shift + 1) / 2;
    } else if (x_c % 8 != 0) {
        return false;
    }
    g.k = s.w.k;
    g.taps_c = s.w.r * s.w.s * x_c;
    g.filter_c = x_c;
    g.filter_s = s.w.s;
    g.steps = int(ceil_div(g.terms(), 2));
    return true;
}

// Sets a tile of at most `most` pixels: whole images, or the largest divisor of an image's height as rows.
void lay_pixels(HaloSizes& g, int most) {
    const int64_t image = int64_t(g.p) * g.q;
    g.images = image <= most ? int(std::min<int64_t>(g.n, most / image)) : 1;
    g.rows = image <= most ? g.p : largest_divisor(g.p, most / g.q);
}

// Sets the sizes of the tile's patch. False where no row fits the tile, or the patch does not fit shared memory.
bool lay_patch(HaloSizes& g) {
    if (g.rows == 0) return false;
    g.strips = g.p / g.rows;
    g.tiles = int(ceil_div(g.n, g.images)) * g.strips;
    constexpr int64_t kWhole = int64_t(1) << 32;
    g.strip_reciprocal = uint64_t(ceil_div(kWhole, g.strips));
    if (int64_t(g.tiles) * g.strips >= kWhole) return false;
    g.patch_rows = (g.rows - 1) * g.stride_h + g.r;
    g.patch_columns = (g.q - 1) * g.stride_w + g.s;
    g.column_half = int(ceil_div(g.patch_columns, 2));
    g.pitch = g.chunks | 1;
    // Against bank conflicts, consecutive pixels have the same distance modulo 8 chunks (128 bytes: all banks) also
    // across the end of a row or an image.
    const auto in_step = [](int64_t from, int times, int64_t of) {
        for (int i = 0; i < 8; ++i)
            if (((from + i) * times - of) % 8 == 0) return from + i;
        return from;
    };
    const int columns = g.stride_w == 2 ? 2 * g.column_half : g.patch_columns;
    const int64_t row = in_step(int64_t(columns) * g.pitch, g.stride_h, int64_t(g.q) * g.pitch);
    const int64_t image = in_step(g.patch_rows * row, 1, g.rows * g.stride_h * row);
    if (g.images * image * 16 > kSharedOfBlock) return false;
    g.row_pitch = int(row);
    g.image_pitch = int(image);
    g.patch_bytes = g.images * g.image_pitch * 16;
    return true;
}

// How many blocks of at most `resident` fit the shared memory of a multiprocessor.
int fitting(size_t shared_bytes, int resident) {
    if (shared_bytes > kSharedOfBlock) return 0;
    return std::min(resident, int(kSharedOfProcessor / (shared_bytes + kSharedReserved)));
}

// Sets the layout of shared memory (tables, filters, patches, each warp's rows for the epilogue, moments) and returns
// its bytes.
size_t lay_shared(HaloSizes& g, const HaloTile& t, int buffers, bool moments) {
    const int tables = (g.steps * 2 + g.row_chunks()) * int(sizeof(int));
    const int result_rows = g.keeps_residual ? t.runs * 16 : 16;
    g.buffers = buffers;
    g.filters_at = int(round_up(tables, 128));
    g.patches_at = g.filters_at + g.steps * 2 * t.n() * 16;
    g.results_at = g.patches_at + buffers * g.patch_bytes;
    g.result_bytes = result_rows * (t.pieces | 1) * 16;
    const size_t of_moments = moments ? size_t(t.n()) * 3 * sizeof(float) : 0;  // of the block's columns
    return size_t(g.results_at) + size_t(t.warps()) * g.result_bytes + of_moments;
}

// Completes the plan for kHaloTiles[index]. False where the tile does not fit.
bool lay_tile(HaloPlan& plan, int index, ConvExtras extras) {
    const HaloTile& t = kHaloTiles[index];
    HaloSizes& g = plan.sizes;
    const bool pairs = plan.filters == HaloFilters::pairs;
    if (pairs && t.n() < kHaloStemOutputs) return false;
    if (int64_t(g.steps) * 2 * t.n() * 16 > kSharedOfBlock) return false;  // the filters alone
    if (t.products == HaloProducts::wgmma) {
        if (!pairs || wgmma_across(g) > kMostAcross) return false;
        g.images = 1;
        g.rows = largest_divisor(g.p, t.m() / kProductPlaces / wgmma_across(g));
    } else {
        lay_pixels(g, t.m());
    }
    if (!lay_patch(g)) return false;
    g.keeps_residual = extras.residual;

    const int resident = extras.moments ? t.resident_with_moments : t.resident;
    const int with_one = fitting(lay_shared(g, t, 1, extras.moments), resident);
    const int with_two = fitting(lay_shared(g, t, 2, extras.moments), resident);
    const int forced = conv_forced().buffers, best = with_two == with_one ? 2 : 1;
    const int buffers = forced > 0 ? forced : best;
    plan.resident = buffers == 2 ? with_two : with_one;
    if (plan.resident == 0) return false;
    plan.shared_bytes = lay_shared(g, t, buffers, extras.moments);
    plan.tile = index;
    plan.slices = int(ceil_div(g.y_c, t.n()));
    plan.blocks = std::clamp(kProcessors * plan.resident / plan.slices, 1, g.tiles);
    if (const int forced_blocks = conv_forced().blocks; forced_blocks > 0)
        plan.blocks = std::min(plan.blocks, forced_blocks);
    return true;
}

}  // namespace

HaloPlan halo_plan(const ConvShape& s, Pass pass, ConvChoice choice, ConvExtras extras) {
    HaloPlan plan;
    if (!lay_shape(s, pass, plan)) return {};
    for (int i = 0; i < kHaloTileCount; ++i) {
        const ConvChoice of = kHaloTiles[i].choice();
        if (of.kernel == choice.kernel && of.tile == choice.tile) return lay_tile(plan, i, extras) ? plan : HaloPlan{};
    }
    return {};
}

HaloFilterPlan halo_filter_plan(const ConvShape& s) {
    HaloPlan start;
    HaloFilterPlan plan;
    if (!lay_shape(s, Pass::forward, start)) return plan;
    HaloSizes& g = plan.sizes.x = start.sizes;
    plan.pairs = start.filters == HaloFilters::pairs;
    const int sixteens = int(ceil_div(g.k, 16));
    plan.slices_k = int(ceil_div(sixteens, kHaloFilterRuns));
    plan.slices_terms = int(ceil_div(g.terms(), kHaloFilterTerms));
    const int runs = int(ceil_div(sixteens, plan.slices_k));
    for (const int most : {kHaloFilterTile.m, 224, 112}) {
        lay_pixels(g, most);
        if (!lay_patch(g)) continue;
        const int pixels = int(round_up(g.tile_pixels(), 16));
        g.patches_at = int(round_up((pixels + g.row_chunks()) * int(sizeof(int)), 16));
        const int gradients_at = g.patches_at + 2 * g.patch_bytes;
        const int end = gradients_at + 2 * pixels * ((2 * runs) | 1) * 16;
        // At the end the same memory holds the accumulators of the second group, 16 x 8 per run and term.
        const int sums = g.patches_at + runs * kHaloFilterTerms * 16 * 8 * int(sizeof(float));
        if (std::max(end, sums) > kSharedOfBlock) continue;
        plan.runs = runs;
        plan.sizes.pixels = pixels;
        plan.sizes.gradients_at = gradients_at;
        plan.shared_bytes = size_t(std::max(end, sums));
        plan.parts = std::clamp(kProcessors / (plan.slices_k * plan.slices_terms), 1, g.tiles);
        if (const int forced = conv_forced().parts; forced > 0) plan.parts = std::min(plan.parts, forced);
        break;
    }
    return plan;
}

size_t halo_filter_scratch_bytes(const ConvShape& s) {
    return size_t(halo_filter_plan(s).parts) * size_t(s.w.stored()) * sizeof(float);
}

}  // namespace fp
