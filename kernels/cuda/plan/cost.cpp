#include "kernels/cuda/plan/cost.h"

#include <algorithm>
#include <cmath>

#include "kernels/cuda/plan/conv_plan.h"
#include "kernels/cuda/plan/halo_plan.h"

namespace fp {
namespace {

constexpr int kChunk = 64;             // channels per step
constexpr int kRowBytes = kChunk * 2;  // of a pixel or a filter per step
constexpr int kImage = 4;              // stored channels of an image

// A pass (not dw) as a convolution of `in` channels into `out`.
struct Direct {
    bool forward;
    int64_t n, p, q, r, s, in, out;  // p x q: the size of the pass's output map
    int64_t pixels, steps;
    double deep;                    // length of a sum, with each tap's channels rounded up to 16
    double read, written, weights;  // bytes

    Direct(const ConvShape& c, Pass pass) : forward(pass == Pass::forward) {
        const Map &from = forward ? c.x : c.y(), &to = forward ? c.y() : c.x;
        n = to.n, p = to.h, q = to.w, r = c.w.r, s = c.w.s;
        in = from.stored_c(), out = to.stored_c();
        pixels = n * to.pixels();
        steps = r * s * ceil_div(in, kChunk);
        deep = double(r * s * round_up(in, 16));
        const bool skips = forward && r < c.stride;
        read = 2.0 * double(from.stored()) / (skips ? c.stride * c.stride : 1);
        written = 2.0 * double(to.stored());
        weights = 2.0 * double(c.w.stored());
    }
    int64_t across(TileSize t) const { return ceil_div(out, t.n); }
    double leaving(TileSize t) const {  // mean bytes of the outputs of a tile that exist
        return 2.0 * t.m * double(out) / double(across(t));
    }
};

constexpr int kWindow = 9;         // taps of a 3x3
constexpr double kClock = 1.75e9;  // Hz, of an H200 in these kernels (Nsight Compute: 1.74)

// Fitted to h200-kernels.csv. Times are in seconds, rates in bytes per second of one multiprocessor.
constexpr double kOverlap = 3;     // exponent of the norm that combines two busy resources
constexpr double kFill = 0.97e-6;  // from the start of a block until its first stage has arrived
// The barriers of a step; in the kernels of dw.
constexpr double kStep = 65e-9, kSumsStep = 20e-9;
// The instructions of conv_wgmma.cuh's producer per step.
constexpr double kPixelsIssue = 0.39e-6;
// Epilogue of a tile: nothing hidden; what two or three alternating warpgroups do not hide, and there bias and ReLU.
constexpr double kLeave = 17.3e9, kStreamLeave[] = {36e9, 25e9}, kStreamForward = 55e9;
constexpr double kResidual = 45e9, kStreamResidual = 90e9;
// Moments of conv_wgmma.cuh and conv_stream.cuh, not measured: the machine code has 190 to 202 instructions of a warp
// per 16 rows x 64 outputs (2 KB), at best one per clock on each of four schedulers. conv_stream.cuh hides the same
// share of them as of the rest of its epilogue. In conv_mma.cuh as measured.
constexpr double kMomentsInstructions = 195, kMoments = 4 * 2048 / kMomentsInstructions * kClock;
constexpr double kTensorMoments = 24e9;
// Factor on the time of TMA copies of pixels whose size is not a multiple of 32 bytes (measured in conv_wgmma.cuh).
constexpr double kMisaligned = 2;
// Storing the float32 sums of dw; the constant time of the kernel that adds partial sums.
constexpr double kSumsLeave = 33e9, kParts = 3.2e-6;
// conv_mma.cuh: address and copy of 16 bytes (of an image: 8), and start and end of a block.
constexpr double kPiece = 0.142e-9, kTensorBlock = 0.5e-6;
// In clocks: mma.sync of 16 x 8 x 16, ldmatrix of 16 x 16.
constexpr double kFragment = 1.6, kMatrix = 4;
// conv_split.cuh, expected and not measured: of the fill, what goes on before the kernels in front are complete; both
// barriers of the cluster with the reads between them; a byte of the tile from another block and to memory.
constexpr double kSplitEarly = 0.4e-6, kSplitJoin = 0.6e-6, kSplitLeave = 17.3e9;
// conv_halo.cuh, bytes per second of one warp: loading the patch, storing the outputs.
constexpr double kHaloCopy = 2.22e9, kHaloLeave = 1.58e9;
// Clocks that conv_halo_filter.cuh waits per 16 pixels, from one measured shape.
constexpr double kGroupWait = 75;

double norm(double a, double b) { return std::pow(std::pow(a, kOverlap) + std::pow(b, kOverlap), 1 / kOverlap); }

double products_of(const Device& d, double outputs, double depth) {
    return outputs * depth * 2 / (d.bf16_matrix / d.multiprocessors);
}
double load_of(const Device& d, double bytes) { return bytes / (d.l2 / d.multiprocessors); }
double copying(int64_t channels) { return channels * 2 % 32 ? kMisaligned : 1; }
double rounds_of(const Device& d, int64_t tiles) { return double(ceil_div(tiles, d.multiprocessors)); }

void pixels(Cost& c, const Device& d, const Direct& g, TileSize t, ConvExtras extras) {
    const double rounds = rounds_of(d, ceil_div(g.pixels, t.m) * g.across(t));
    const double steps = rounds * double(g.steps), leaving = rounds * g.leaving(t);
    c.fill = rounds * kFill;
    c.products = products_of(d, rounds * t.m * t.n, g.deep);
    c.load = load_of(d, steps * (t.m * copying(g.in) + t.n) * kRowBytes);
    c.issue = steps * kPixelsIssue;
    c.step = steps * kStep;
    c.epilogue = leaving * (1 / kLeave + extras.residual / kResidual + extras.moments / kMoments);
    // Tiles of the same pixels run far apart in time: pixels that L2 cannot hold are read from HBM again.
    if (g.read > d.l2_bytes) c.memory += double(g.across(t) - 1) * g.read / d.hbm;
}

void stream(Cost& c, const Device& d, const Direct& g, ConvChoice choice, ConvExtras extras) {
    const TileSize t = choice.tile;
    const bool patch = choice.kernel == ConvKernel::patch, three = t.m == 192;
    const int64_t line = patch ? g.n * (g.p + 1) * (g.q + 1) : g.pixels;
    const int64_t across = g.across(t), tiles = ceil_div(line, t.m) * across;
    const double rounds = rounds_of(d, tiles);
    const double steps = rounds * double(g.steps), leaving = rounds * g.leaving(t);
    double lines = steps * (t.m * copying(g.in) + t.n);
    if (patch) {
        const double chunks = double(ceil_div(g.in, kChunk));
        const bool filters_stay = across == 1 && chunks == 1;
        lines = rounds * chunks * copying(g.in) * double(t.m + 2 * (g.q + 2)) + (filters_stay ? 0 : steps * t.n);
    }
    c.fill = kFill;
    c.products = products_of(d, rounds * t.m * t.n, g.deep);
    c.load = load_of(d, lines * kRowBytes);
    c.step = steps * kStep;
    c.epilogue = leaving * (1 / kStreamLeave[three] + g.forward / kStreamForward + extras.residual / kStreamResidual +
                            extras.moments / kMoments * kLeave / kStreamLeave[three]);
}

// A block's copies are on their way at once, as far as its ring reaches.
void split(Cost& c, const Device& d, const Direct& g, ConvChoice choice, ConvExtras extras) {
    const TileSize t = choice.tile;
    const int parts = choice.parts;
    const int64_t of_each = ceil_div(ceil_div(g.pixels, t.m) * g.across(t) * parts, d.multiprocessors);
    c.resident = int(std::min<int64_t>(choice.resident, of_each));
    const double rounds = double(round_up(of_each, c.resident)), steps = double(ceil_div(g.steps, parts));
    const double late = std::max(0.0, steps - split_stages(t));
    c.fill = rounds * kFill - kSplitEarly;
    c.products = products_of(d, rounds * t.m * t.n, steps * kChunk);
    c.load = load_of(d, rounds * steps * (t.m * copying(g.in) + t.n) * kRowBytes);
    c.step = rounds * (steps * kStep + late * kFill / split_stages(t));
    const double join = parts > 1 ? kSplitJoin : 0;
    c.epilogue = rounds * (join + g.leaving(t) / parts * (1 / kSplitLeave + extras.residual / kResidual));
}

// dx at stride 2: one parity class after the other, each with its own taps.
void strided(Cost& c, const Device& d, const Direct& g, ConvChoice choice, ConvExtras extras) {
    const TileSize t = choice.tile;
    const double chunks = double(ceil_div(g.in, kChunk));
    double blocks = 0, steps = 0, most = 0;
    for (int odd_h = 0; odd_h < 2; ++odd_h)
        for (int odd_w = 0; odd_w < 2; ++odd_w) {
            const int taps = g.r == 1 ? !odd_h && !odd_w : (1 + odd_h) * (1 + odd_w);
            if (taps == 0) continue;
            const int64_t pixels = g.n * ((g.p + !odd_h) / 2) * ((g.q + !odd_w) / 2);
            const double here = double(ceil_div(pixels, t.m) * g.across(t));
            blocks += here;
            steps += here * taps * chunks;
            most = std::max(most, taps * chunks);
        }
    // The last block to start may be one of the class with the most taps.
    const double mean = steps / blocks, heaviest = most / mean, each = blocks / d.multiprocessors;
    const double rounds = std::max(each + (heaviest - 1) / 2, heaviest);
    c.resident = int(std::min(double(choice.resident), std::ceil(each)));
    c.fill = rounds * kFill;
    c.products = products_of(d, rounds * t.m * t.n, mean * kChunk);
    c.load = load_of(d, rounds * mean * (t.m * copying(g.in) + t.n) * kRowBytes);
    c.step = rounds * mean * kStep;
    c.epilogue = rounds * g.leaving(t) * (1 / kLeave + extras.residual / kResidual);
    // A 1x1 adds to a quarter of the pixels and does not touch the others.
    if (g.r == 1 && extras.residual) c.memory -= 1.5 * g.written / d.hbm;
}

double adding(const Device& d, int64_t parts, const ConvShape& s) {
    return parts == 1 ? 0 : kParts + double(parts + 1) * double(s.w.stored()) * 4 / d.hbm;
}

void filters(Cost& c, const Device& d, const ConvShape& s, ConvChoice choice) {
    const TileSize t = choice.tile;
    const MatrixProduct p = wgmma_product_of(s, Pass::filter);
    const Split split = filter_split(s, choice);
    const double rounds = rounds_of(d, tiles_of(p, t) * split.parts());
    const double steps = rounds * double(split.part) / kChunk;
    c.fill = rounds * kFill;
    c.products = products_of(d, rounds * t.m * t.n, double(split.part));
    c.load = load_of(d, steps * (t.m * copying(s.x.stored_c()) + t.n * copying(s.y().stored_c())) * kRowBytes);
    c.step = steps * kSumsStep;
    c.epilogue = rounds * t.m * t.n * 4 / kSumsLeave;
    c.finish = adding(d, split.parts(), s);
}

// Kernels `taps` and `rows`: 64 filters x 64 channels of nine taps, over pixels with zeros behind each row, for `taps`
// also behind each map.
void window(Cost& c, const Device& d, const ConvShape& s, ConvChoice choice) {
    const int64_t tiles = ceil_div(s.x.stored_c(), kChunk) * ceil_div(s.w.k, kChunk);
    const Split split = filter_split(s, choice);
    const bool by_rows = choice.kernel == ConvKernel::rows;
    const double rounds = rounds_of(d, tiles * split.parts());
    const double steps = rounds * double(split.part) / kChunk, outputs = kWindow * kChunk * kChunk;
    const int x_rows = by_rows ? 3 * (kChunk + 2) : s.stride * s.stride * kChunk;
    c.fill = rounds * kFill;
    c.products = products_of(d, rounds * outputs, double(split.part));
    c.load = load_of(d, steps * (x_rows * copying(s.x.stored_c()) + kChunk * copying(s.y().stored_c())) * kRowBytes);
    c.step = steps * kSumsStep;
    c.epilogue = rounds * outputs * 4 / kSumsLeave;
    c.finish = adding(d, split.parts(), s);
}

// In conv_mma.cuh a warp's products, its loads for them and its address arithmetic run one after the other; a second
// block hides little of that.
void tensor(Cost& c, const Device& d, const ConvShape& s, Pass pass, TileSize t, ConvExtras extras) {
    constexpr int kDepth = 32, kPieces = kDepth / 8, kWarps = 8;
    const MatrixProduct p = product_of(s, pass, 2, d.bf16_matrix);
    const bool filter = pass == Pass::filter;
    const Split split = filter ? mma_split_of(p, t) : Split{p.depth, p.depth};
    const double rounds = std::max(double(tiles_of(p, t) * split.parts()) / d.multiprocessors, 1.0);
    const double steps = rounds * double(ceil_div(split.part, kDepth));
    const int warp_m = t.m * t.n == 128 * 128 ? 64 : 32, warp_n = t.m * t.n / warp_m / kWarps;
    const double fragments = t.m * t.n / 128.0, matrices = kWarps * (warp_m + warp_n) / 16.0;
    const int halves = pass != Pass::data && s.x.stored_c() == kImage ? 2 : 1;
    c.fill = rounds * kTensorBlock;
    c.products = steps * kDepth / 16 * (fragments * kFragment + matrices * kMatrix) / kClock;
    c.load = load_of(d, steps * (t.m + t.n) * kDepth * 2);
    c.step = steps * kPieces * (t.m * (filter ? 1 : halves) + t.n * halves) * kPiece;
    const double out = rounds * t.m * t.n;
    c.epilogue = filter ? out * 4 / kSumsLeave
                        : out * 2 * (1 / kLeave + extras.residual / kResidual + extras.moments / kTensorMoments);
    c.finish = adding(d, split.parts(), s);
}

void halo(Cost& c, const Device& d, const Direct& g, const HaloPlan& plan, ConvChoice choice) {
    FP_CHECK(plan.exists(), "conv: no such tile of few channels");
    const HaloTile& t = kHaloTiles[plan.tile];
    const HaloSizes& of = plan.sizes;
    const double blocks = double(of.tiles) * plan.slices / d.multiprocessors;
    const double at_once = std::min(std::ceil(blocks), double(choice.resident));
    const double rounds = std::max(blocks, at_once), steps = rounds * of.steps;
    const double warps = t.warps() * at_once;
    if (t.products == HaloProducts::wgmma) {
        // Clocks of a product: of its multiply-adds, or of reading its 64 rows and its columns from shared memory.
        const double product = std::max(t.n() / 2.0, 16 + t.n() / 4.0);
        c.products = steps * t.m() / kChunk * product / kClock;
    } else {
        const double matrices = t.warps() * (t.runs + double(ceil_div(t.pieces, 2)));
        c.products = steps * t.m() * t.n() / 128 * kFragment / kClock;
        c.load = steps * matrices * kMatrix / kClock;
    }
    c.fill = rounds * of.patch_bytes / (warps * kHaloCopy);
    c.epilogue = rounds * of.tile_pixels() * g.leaving(choice.tile) / t.m() / (warps * kHaloLeave);
}

void halo_filter(Cost& c, const Device& d, const ConvShape& s) {
    const HaloFilterPlan plan = halo_filter_plan(s);
    const double fragments = plan.runs;
    // One persistent block per part and slice, each with its share of the tiles.
    const double rounds = rounds_of(d, int64_t(plan.parts) * plan.slices_k * plan.slices_terms) *
                          double(ceil_div(plan.sizes.x.tiles, plan.parts));
    const double sixteens = rounds * plan.sizes.pixels / 16;
    const double matrices = 4 * fragments + kHaloFilterTerms / 2.0;
    c.products = sixteens * (fragments * kHaloFilterTerms * kFragment + matrices * kMatrix) / kClock;
    c.step = sixteens * kGroupWait / kClock;
    c.finish = adding(d, plan.parts, s);
}

}  // namespace

double Cost::busy() const { return std::max({products, load, issue}); }

double Cost::kernel() const {
    const double chain = (fill + busy() + step + epilogue) / resident;
    return start + norm(resident > 1 ? norm(busy(), chain) : chain, memory);
}

std::string_view Cost::limiter() const {
    const double rest = (fill + step + epilogue) / resident;
    const double most = std::max({start, memory, busy(), rest});
    return most == start      ? "start"
           : most == memory   ? "memory"
           : most == rest     ? "epilogue"
           : most == products ? "matrix"
           : most == load     ? "L2"
                              : "issue";
}

Cost cost(const Device& d, const ConvShape& s, Pass pass, ConvChoice choice, ConvExtras extras) {
    Cost c{.start = d.start};
    if (pass == Pass::filter) {
        const bool skips = s.w.r < s.stride && choice.kernel != ConvKernel::halo_filter;
        const double used = skips ? 1.0 / (s.stride * s.stride) : 1;
        c.memory = 2 * (double(s.x.stored()) * used + double(s.y().stored())) / d.hbm;
        switch (choice.kernel) {
            case ConvKernel::tensor:
                tensor(c, d, s, pass, choice.tile, extras);
                break;
            case ConvKernel::taps:
            case ConvKernel::rows:
                window(c, d, s, choice);
                break;
            case ConvKernel::halo_filter:
                halo_filter(c, d, s);
                break;
            default:
                filters(c, d, s, choice);
        }
        return c;
    }
    const Direct g(s, pass);
    c.memory = (g.read + g.written * (1 + extras.residual) + g.weights) / d.hbm;
    switch (choice.kernel) {
        case ConvKernel::tensor:
            tensor(c, d, s, pass, choice.tile, extras);
            break;
        case ConvKernel::pixels:
            pixels(c, d, g, choice.tile, extras);
            break;
        case ConvKernel::strided:
            strided(c, d, g, choice, extras);
            break;
        case ConvKernel::split:
            split(c, d, g, choice, extras);
            break;
        case ConvKernel::halo:
        case ConvKernel::halo_wgmma:
            // A patch has all pixels, also those that no tap of the layer reads.
            if (pass == Pass::forward) c.memory += (2.0 * double(s.x.stored()) - g.read) / d.hbm;
            halo(c, d, g, halo_plan(s, pass, choice, {}), choice);
            break;
        default:
            stream(c, d, g, choice, extras);
    }
    return c;
}

}  // namespace fp
