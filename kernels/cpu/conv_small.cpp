// Convolution as a bilinear form (bilinear.h) whose pixels, taps and outputs are vectors over images and channels. Each
// product of the form is then a matrix product: (n,c) by (c,k) forward, (n,k) by (k,c) for dx, (c,n) by (n,k) for dw.
//
// A register tile is a few images by two blocks of channels. Maps are packed plane by plane with the images adjacent:
// in the host's layout images lie a power of two apart and would compete for one cache set.
// One thread computes each result, summing in a fixed order, so bits do not depend on the number of threads.
#include "kernels/cpu/conv_small.h"

#include <omp.h>

#include <algorithm>

#include "kernels/cpu/conv_small_products.h"

namespace fp::cpu::small {
namespace {

constexpr int kSums = 1 << 17;   // sums held between two passes over the filters: half a megabyte
constexpr int kMostPixels = 16;  // of a map

// From one map into the other: forward, or backward to dx.
struct Passage {
    Map from, to;
    const std::vector<Plane>&from_planes, &to_planes;
    int filters;  // planes of filters
    Terms sums;   // a: plane of `from`, b: of the filters

    // Scratch: the packed map, then for each thread a panel of filters and the sums of a chunk.
    int64_t packed() const { return packed_size(from, from_planes); }
    int64_t panel() const { return int64_t(filters) * from.stored_c() * kColumns * to.block; }
    int64_t tile() const { return int64_t(to_planes.size()) * kTallest * kColumns * to.block; }
    int chunk() const { return int(std::max<int64_t>(1, kSums / tile())); }  // tiles
    int64_t own() const { return panel() + chunk() * tile(); }
    int64_t scratch() const { return packed() + omp_get_max_threads() * own(); }
};

Passage forward_passage(const ConvShape& s, const Bilinear& form) {
    using P = Bilinear::Product;
    return {s.x, s.y(), form.x, form.y, int(form.w.size()), terms(form, form.y.size(), &P::y, &P::x, &P::w)};
}

Passage backward_passage(const ConvShape& s, const Bilinear& form) {
    using P = Bilinear::Product;
    return {s.y(), s.x, form.y, form.x, int(form.w.size()), terms(form, form.x.size(), &P::x, &P::y, &P::w)};
}

// What is added to the sums before they are stored.
struct Finish {
    const float* bias = nullptr;
    const float* residual = nullptr;  // may be the output itself
    bool relu = false;
};

struct PassArguments {
    const float* source;
    const float* prepared;  // every packed filter, or null
    Finish finish;
    float *target, *scratch;
};

// A plane's sum is at sums + plane * step.
struct PlaneSums {
    const float* sums;
    int64_t step;
};

// target[at..] = the planes' sums of one image and block of channels, finished.
template <int kBlock>
void finish_map(const Passage& p, const PassArguments& arguments, PlaneSums planes, int channel, int64_t at) {
    const Finish& finish = arguments.finish;
    float* const target = arguments.target + at;
    Floats<kBlock> pixels[kMostPixels] = {};
    for (const Plane& plane : p.to_planes) {
        for (const Part& part : plane) pixels[part.at] += part.factor * load<kBlock>(planes.sums);
        planes.sums += planes.step;
    }
    for (int i = 0; i < p.to.pixels(); ++i) {
        if (finish.bias) pixels[i] += load<kBlock>(finish.bias + channel);
        if (finish.residual) pixels[i] += load<kBlock>(finish.residual + at + i * kBlock);
        if (finish.relu) pixels[i] = pixels[i] > 0 ? pixels[i] : Floats<kBlock>{};
        store<kBlock>(target + i * kBlock, pixels[i]);
    }
}

// pack(columns, panel) packs the filters of a few blocks where none are prepared.
template <int kBlock, class Pack>
void pass(const Passage& p, Pack pack, const PassArguments& arguments) {
    const int images = p.from.n, tiles = int(ceil_div(images, kTall<kBlock>));
    pack_map<kBlock>(p.from, arguments.source, p.from_planes, tiles, arguments.scratch);
    const float* const packed = arguments.scratch;
    const float* const prepared = arguments.prepared;
    float* const works = arguments.scratch + p.packed();

    const int groups = int(ceil_div(p.to.blocks(), kColumns));
    const int splits = std::min(int(ceil_div(omp_get_max_threads(), groups)), tiles);
    const int64_t channels = p.from.stored_c();
#pragma omp parallel for collapse(2) schedule(dynamic)
    for (int group = 0; group < groups; ++group) {
        for (int split = 0; split < splits; ++split) {
            const int first = group * kColumns, columns = std::min(kColumns, p.to.blocks() - first);
            float* const own = works + omp_get_thread_num() * p.own();
            float* const sums = own + p.panel();
            const float* panel = prepared ? prepared + group * p.panel() : own;
            if (!prepared) pack({first, columns}, own);

            const int last = first_of(split + 1, splits, tiles);
            std::vector<Factors> factors;
            for (int tile = first_of(split, splits, tiles); tile < last; tile += p.chunk()) {
                const int next = std::min(tile + p.chunk(), last);
                const int start = first_of(tile, tiles, images);
                const int rows = first_of(next, tiles, images) - start;
                const int64_t step = int64_t(rows) * columns * kBlock;  // from plane to plane
                for (size_t plane = 0; plane < p.sums.size(); ++plane) {
                    for (int t = tile; t < next; ++t) {
                        const int top = first_of(t, tiles, images);
                        const int tall = first_of(t + 1, tiles, images) - top;
                        factors.clear();
                        for (const auto [a, b] : p.sums[plane]) {
                            factors.push_back({packed + (int64_t(a) * images + top) * channels,
                                               panel + b * channels * columns * kBlock});
                        }
                        multiply_for<kBlock>(tall, columns)(
                            factors, p.from.blocks(), sums + int64_t(plane) * step + (top - start) * columns * kBlock);
                    }
                }
                for (int row = 0; row < rows; ++row) {
                    for (int j = 0; j < columns; ++j) {
                        const int channel = (first + j) * kBlock;
                        finish_map<kBlock>(p, arguments, {sums + (row * columns + j) * kBlock, step}, channel,
                                           p.to.at(start + row, channel, 0, 0));
                    }
                }
            }
        }
    }
}

// The sums of one tile of filters, c by two blocks of k, for every plane.
int64_t filter_tiles(const ConvShape& s, const Bilinear& form) {
    return int64_t(form.w.size()) * kColumns * s.y_block * s.y_block;
}

template <int kBlock>
void backward_filter_of(const ConvShape& s, const float* x, const float* dy, float* dw, float* scratch) {
    using P = Bilinear::Product;
    const Bilinear form = bilinear(s);
    const Terms sums = terms(form, form.w.size(), &P::w, &P::x, &P::y);
    const Map y = s.y();
    float* const packed_x = scratch;
    float* const packed_y = packed_x + packed_size(s.x, form.x);
    float* const works = packed_y + packed_size(y, form.y);
    pack_map<kBlock>(s.x, x, form.x, 1, packed_x);
    pack_map<kBlock>(y, dy, form.y, 1, packed_y);

    const int groups = int(ceil_div(y.blocks(), kColumns));
    const int64_t step = int64_t(s.x.n) * kBlock;  // from block to block
#pragma omp parallel for collapse(2)
    for (int group = 0; group < groups; ++group) {
        for (int cb = 0; cb < s.x.blocks(); ++cb) {
            const int first = group * kColumns, columns = std::min(kColumns, y.blocks() - first);
            float* const tiles = works + omp_get_thread_num() * filter_tiles(s, form);
            float* tile = tiles;
            std::vector<Factors> factors;
            for (const auto& plane : sums) {
                for (int c = 0; c < kBlock; c += kOuterRows<kBlock>) {
                    factors.clear();
                    for (const auto [of_x, of_y] : plane) {
                        factors.push_back({packed_x + (int64_t(of_x) * s.x.blocks() + cb) * step + c,
                                           packed_y + (int64_t(of_y) * y.blocks() + first) * step});
                    }
                    columns == kColumns ? multiply_outer<kBlock, kColumns>(factors, s.x.n, tile)
                                        : multiply_outer<kBlock, 1>(factors, s.x.n, tile);
                    tile += kOuterRows<kBlock> * columns * kBlock;
                }
            }
            for (int j = 0; j < columns; ++j) {
                float* const taps = dw + s.w.at((first + j) * kBlock, cb * kBlock, 0, 0);
                const int64_t size = int64_t(s.w.r) * s.w.s * kBlock * kBlock;
                std::fill_n(taps, size, 0.0f);
                const float* sum = tiles + j * kBlock;
                for (const Plane& plane : form.w) {
                    for (int c = 0; c < kBlock; ++c, sum += columns * kBlock) {
                        for (const Part& part : plane) {
                            float* const tap = taps + (part.at * kBlock + c) * kBlock;
                            store<kBlock>(tap, load<kBlock>(tap) + part.factor * load<kBlock>(sum));
                        }
                    }
                }
            }
        }
    }
}

}  // namespace

// Packing the filters costs the same for any number of images; prepared ones cost nothing.
bool suits(const ConvShape& s, ConvPass call) {
    const int fewest = call == ConvPass::forward ? 32 : call == ConvPass::filter_gradient ? 16 : 8;
    const int largest = s.stride == 1 ? 3 : 4;
    return s.w.c_block > 1 && s.w.r > 1 && s.w.s > 1 && s.x.n >= fewest && s.x.h <= largest && s.x.w <= largest &&
           s.p() <= 3 && s.q() <= 3;
}

size_t scratch_bytes(const ConvShape& s) {
    const Bilinear form = bilinear(s);
    const int64_t filter =
        packed_size(s.x, form.x) + packed_size(s.y(), form.y) + omp_get_max_threads() * filter_tiles(s, form);
    return sizeof(float) *
           size_t(std::max({forward_passage(s, form).scratch(), backward_passage(s, form).scratch(), filter}));
}

size_t prepared_bytes(const ConvShape& s) {
    return sizeof(float) * bilinear(s).w.size() * size_t(s.x.stored_c()) * size_t(s.y().stored_c());
}

void prepare(const ConvShape& s, const float* w, float* prepared) {
    const Bilinear form = bilinear(s);
    const Passage passage = forward_passage(s, form);
    with_block(s.y_block, [&](auto block) {
#pragma omp parallel for
        for (int first = 0; first < passage.to.blocks(); first += kColumns) {
            const int columns = std::min(kColumns, passage.to.blocks() - first);
            pack_forward<block>(s.w, w, form.w, {first, columns}, prepared + first / kColumns * passage.panel());
        }
    });
}

void forward(const ConvShape& s, const Conv::Forward& a, void* scratch) {
    const Bilinear form = bilinear(s);
    with_block(s.y_block, [&](auto block) {
        const auto pack = [&](const Columns& columns, float* panel) {
            pack_forward<block>(s.w, as<float>(a.w), form.w, columns, panel);
        };
        pass<block>(forward_passage(s, form), pack,
                    {.source = as<float>(a.x),
                     .prepared = nullptr,
                     .finish = {.bias = as<float>(a.bias)},
                     .target = as<float>(a.y),
                     .scratch = static_cast<float*>(scratch)});
    });
}

void infer(const ConvShape& s, const Conv::Infer& a, void* scratch) {
    const Bilinear form = bilinear(s);
    with_block(s.y_block, [&](auto block) {
        pass<block>(forward_passage(s, form), [](const Columns&, float*) {},
                    {.source = as<float>(a.x),
                     .prepared = static_cast<const float*>(a.prepared),
                     .finish = {.bias = as<float>(a.bias), .residual = as<float>(a.residual), .relu = a.relu},
                     .target = as<float>(a.y),
                     .scratch = static_cast<float*>(scratch)});
    });
}

void backward_data(const ConvShape& s, const Conv::BackwardData& a, void* scratch) {
    const Bilinear form = bilinear(s);
    float* const dx = as<float>(a.dx);
    with_block(s.y_block, [&](auto block) {
        const auto pack = [&](const Columns& columns, float* panel) {
            pack_backward<block>(s.w, as<float>(a.w), form.w, columns, panel);
        };
        pass<block>(backward_passage(s, form), pack,
                    {.source = as<float>(a.dy),
                     .prepared = nullptr,
                     .finish = {.residual = a.write == Write::add ? dx : nullptr},
                     .target = dx,
                     .scratch = static_cast<float*>(scratch)});
    });
}

void backward_filter(const ConvShape& s, const float* x, const float* dy, float* dw, float* scratch) {
    with_block(s.y_block, [&](auto block) { backward_filter_of<block>(s, x, dy, dw, scratch); });
}

}  // namespace fp::cpu::small
