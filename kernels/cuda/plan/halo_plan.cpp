#include "kernels/cuda/plan/halo_plan.h"

#include <algorithm>
#include <limits>

namespace fp {

HaloChoice& halo_choice() {
    static HaloChoice choice;
    return choice;
}

namespace {

constexpr int kSharedOfBlock = 227 * 1024, kSharedOfProcessor = 228 * 1024, kSharedReserved = 1024;
constexpr int kProductPlaces = 64;                    // pixels of a warpgroup's product
constexpr int kMostAcross = 2;                        // such products of a row
constexpr double kClock = 1.755e9, kMemory = 4.1e12;  // Hz, bytes a second

int largest_divisor(int of, int most) {
    for (int d = std::min(of, most); d > 1; --d)
        if (of % d == 0) return d;
    return most >= 1 ? 1 : 0;
}

int wgmma_across(const HaloSizes& g) { return int(ceil_div(g.q, kProductPlaces)); }

// The sizes that no tile decides; false where the kernels cannot do it.
bool lay_shape(const ConvShape& s, Pass pass, HaloPlan& plan) {
    const int x_c = s.x.stored_c(), y_c = s.y().stored_c(), p = s.p(), q = s.q();
    constexpr int64_t kMost = std::numeric_limits<int>::max() - 1024;  // a tile may overhang
    if (p <= 0 || q <= 0 || s.stride > 2 || y_c % 8 != 0 || s.x.n * s.x.pixels() > kMost ||
        s.x.n * s.y().pixels() > kMost)
        return false;
    HaloSizes& g = plan.sizes;
    g = {.n = s.x.n, .h = s.x.h, .w = s.x.w, .chunks = x_c / 8, .p = p, .q = q, .y_c = y_c};
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

// A tile of at most so many pixels: images, or the most rows that divide an image's height.
void lay_pixels(HaloSizes& g, int most) {
    const int64_t image = int64_t(g.p) * g.q;
    g.images = image <= most ? int(std::min<int64_t>(g.n, most / image)) : 1;
    g.rows = image <= most ? g.p : largest_divisor(g.p, most / g.q);
}

// The tile's patch. False where no row fits, or shared memory does not hold it.
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
    // Over the end of a row and of an image too, pixels that follow each other are as far apart modulo the eight
    // places of a line of banks.
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

// How many blocks fit on a multiprocessor.
int fitting(size_t shared_bytes, int resident) {
    if (shared_bytes > kSharedOfBlock) return 0;
    return std::min(resident, int(kSharedOfProcessor / (shared_bytes + kSharedReserved)));
}

// Where things lie in shared memory: tables, filters, patches, and the rows of each warp on their way out.
size_t lay_shared(HaloSizes& g, const HaloTile& t, int buffers) {
    const int tables = (g.steps * 2 + g.row_chunks()) * int(sizeof(int));
    const int result_rows = g.keeps_residual ? t.runs * 16 : 16;
    g.buffers = buffers;
    g.filters_at = int(round_up(tables, 128));
    g.patches_at = g.filters_at + g.steps * 2 * t.n() * 16;
    g.results_at = g.patches_at + buffers * g.patch_bytes;
    g.result_bytes = result_rows * (t.pieces | 1) * 16;
    return size_t(g.results_at) + size_t(t.warps()) * g.result_bytes;
}

void limit_blocks(int& blocks) {
    if (const int most = halo_choice().most_blocks; most > 0) blocks = std::min(blocks, most);
}

// Clocks of a multiprocessor for one tile.
double tile_clocks(const HaloSizes& g, const HaloTile& t) {
    const double out = double(t.m()) * t.n() / 24;
    if (t.products == HaloProducts::wgmma) {
        // A product's clocks, or its 64 rows' and its columns' from shared memory.
        const double product = std::max(t.n() / 2.0, 16 + t.n() / 4.0);
        return g.steps * 2 * t.runs * product + out + double(g.patch_bytes) / 64;
    }
    // 1.5 a 16 x 8 x 16 product on each of four tensor cores, 4 a 16 x 16 matrix from shared memory.
    const double product = 1.5 * t.warps() * t.runs * t.pieces;
    const double shared = 4.0 * t.warps() * double(t.runs + ceil_div(t.pieces, 2));
    const double busy = std::max(product, shared) + 0.25 * std::min(product, shared);
    return g.steps * busy + out + double(g.patch_bytes) / 32;
}

double seconds_of(const HaloPlan& plan, const HaloTile& t) {
    const HaloSizes& g = plan.sizes;
    const bool wgmma = t.products == HaloProducts::wgmma;
    const double hidden =
        wgmma ? (plan.resident == 1 ? 0.7 : 0.9)
              : std::min(1.0, 0.4 + 0.05 * plan.resident * t.warps()) * (g.buffers == 2 ? 1 : 0.9);
    const double at_once = wgmma ? kProcessors : kProcessors * plan.resident;
    const double each = std::max(1.0, double(g.tiles) * plan.slices / at_once);
    const double clocks = each * tile_clocks(g, t) / hidden * (wgmma ? 1 : plan.resident);
    const double bytes = 16.0 * g.n * g.h * g.w * g.chunks + 2.0 * double(g.pixels_out()) * g.y_c;
    return clocks / kClock + bytes / kMemory;
}

// The plan in this tile; false where it does not fit.
bool lay_tile(HaloPlan& plan, int index, HaloExtra extra) {
    const HaloTile& t = kHaloTiles[index];
    const HaloChoice& choice = halo_choice();
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
    g.keeps_residual = extra == HaloExtra::residual;

    const int resident = extra == HaloExtra::moments ? t.resident_with_moments : t.resident;
    const int with_one = fitting(lay_shared(g, t, 1), resident);
    const int with_two = fitting(lay_shared(g, t, 2), resident);
    const int buffers = choice.buffers > 0 ? choice.buffers : with_two == with_one ? 2 : 1;
    plan.resident = buffers == 2 ? with_two : with_one;
    if (plan.resident == 0) return false;
    plan.shared_bytes = lay_shared(g, t, buffers);
    plan.tile = index;
    plan.slices = int(ceil_div(g.y_c, t.n()));
    plan.blocks = std::clamp(kProcessors * plan.resident / plan.slices, 1, g.tiles);
    limit_blocks(plan.blocks);
    plan.seconds = seconds_of(plan, t);
    return true;
}

// Warpgroup products are for the stem, and there where three of four places that they multiply are pixels: narrow layers
// took longer by them (H200, 21 > 16 channels at 56 x 56: 50 us for 43).
HaloProducts products_for(const HaloPlan& plan) {
    const int across = wgmma_across(plan.sizes);
    const bool full = across <= kMostAcross && plan.sizes.q * 4 >= across * kProductPlaces * 3;
    return plan.filters == HaloFilters::pairs && full ? HaloProducts::wgmma : HaloProducts::mma;
}

// Whether a shape is one that these kernels win, as far as that does not depend on the tile.
bool is_narrow(const HaloPlan& plan) {
    const HaloSizes& g = plan.sizes;
    // Full 64 channels by 3 x 3 are conv_stream.cuh's.
    const bool streams =
        g.stride_h == 1 && g.r == 3 && g.y_c > 48 && (g.chunks == 7 || g.chunks == 8);
    return g.r * g.s > 1 && g.chunks <= 10 && !streams;
}

bool takes_filter(const ConvShape& s) {
    const bool anywhere = halo_choice().use == HaloChoice::Use::where_it_fits;
    HaloPlan shape;
    if (!lay_shape(s, Pass::forward, shape)) return false;
    const HaloSizes& g = shape.sizes;
    const bool narrow =
        g.r * g.s > 1 && g.k <= 16 * kHaloFilterRuns && g.terms() <= 2 * kHaloFilterTerms;
    if (!anywhere && !narrow) return false;
    const HaloFilterPlan plan = halo_filter_plan(s);
    return plan.exists() && (anywhere || plan.sizes.x.tiles >= kProcessors);
}

}  // namespace

HaloPlan halo_plan(const ConvShape& s, Pass pass, HaloExtra extra) {
    const HaloChoice& choice = halo_choice();
    HaloPlan start, best;
    if (!lay_shape(s, pass, start)) return best;
    const HaloProducts products = choice.products.value_or(products_for(start));
    for (int i = 0; i < kHaloTileCount; ++i) {
        if (choice.tile ? i != *choice.tile : kHaloTiles[i].products != products) continue;
        HaloPlan plan = start;
        if (lay_tile(plan, i, extra) && (!best.exists() || plan.seconds < best.seconds))
            best = plan;
    }
    return best;
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
    for (const int most : {448, 224, 112}) {
        lay_pixels(g, most);
        if (!lay_patch(g)) continue;
        const int pixels = int(round_up(g.tile_pixels(), 16));
        g.patches_at = int(round_up((pixels + g.row_chunks()) * int(sizeof(int)), 16));
        const int gradients_at = g.patches_at + 2 * g.patch_bytes;
        const int end = gradients_at + 2 * pixels * ((2 * runs) | 1) * 16;
        // At the end the second group's sums lie there instead, 16 x 8 of every run and term.
        const int sums = g.patches_at + runs * kHaloFilterTerms * 16 * 8 * int(sizeof(float));
        if (std::max(end, sums) > kSharedOfBlock) continue;
        plan.runs = runs;
        plan.sizes.pixels = pixels;
        plan.sizes.gradients_at = gradients_at;
        plan.shared_bytes = size_t(std::max(end, sums));
        plan.parts = std::clamp(kProcessors / (plan.slices_k * plan.slices_terms), 1, g.tiles);
        limit_blocks(plan.parts);
        break;
    }
    return plan;
}

size_t halo_filter_scratch_bytes(const ConvShape& s) {
    return size_t(halo_filter_plan(s).parts) * size_t(s.w.stored()) * sizeof(float);
}

bool takes_halo(const ConvShape& s, Pass pass) {
    const HaloChoice::Use use = halo_choice().use;
    if (use == HaloChoice::Use::never) return false;
    if (pass == Pass::filter) return takes_filter(s);
    HaloPlan shape;
    if (!lay_shape(s, pass, shape)) return false;
    // No more tiles than rows: a small batch is told without a plan.
    const bool many = int64_t(shape.sizes.n) * shape.sizes.p * shape.sizes.y_c / 8 >= kProcessors;
    if (use == HaloChoice::Use::where_faster && !(many && is_narrow(shape))) return false;
    const HaloPlan plan = halo_plan(s, pass, HaloExtra::nothing);
    if (!plan.exists() || !halo_plan(s, pass, HaloExtra::residual).exists()) return false;
    return use == HaloChoice::Use::where_it_fits ||
           (plan.slices <= 3 && int64_t(plan.sizes.tiles) * plan.slices >= kProcessors);
}

int halo_moments_rows(const ConvShape& s) {
    return halo_plan(s, Pass::forward, HaloExtra::moments).sizes.tile_pixels();
}

}  // namespace fp
