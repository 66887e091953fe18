// y = keep x / (1 - p),  dx = keep dy / (1 - p),  keep = [uniform(key, index) >= p], index in NCHW order
//
// Layout   One Philox call gives the random words of four consecutive indices, so words are drawn in runs of NCHW
//          order: the channels of an image where maps have one pixel (a classifier's features), else the pixels of a
//          channel, for all channels of a block, which are then applied pixel by pixel.
// Traffic  8 bytes per number (12 to add).
// Bound    arithmetic: 20 multiplications per Philox call, vectors of 8 calls.
#include <cmath>

#include "kernels/cpu/parallel.h"
#include "kernels/error.h"
#include "kernels/kernels.h"
#include "kernels/random.h"

namespace fp::cpu {
namespace {

constexpr int kRun = 256;
constexpr int kWidestBlock = 16;

// Draws the random words of a run of indices.
class Draw {
public:
    const uint32_t* operator()(uint64_t key, int64_t first, int count) {
        const uint64_t from = uint64_t(first) / 4, calls = (uint64_t(first) + count + 3) / 4 - from;
#pragma omp simd
        for (uint64_t i = 0; i < calls; ++i) {
            const Philox draw = philox(key, from + i);
            words_[4 * i] = draw.word[0];
            words_[4 * i + 1] = draw.word[1];
            words_[4 * i + 2] = draw.word[2];
            words_[4 * i + 3] = draw.word[3];
        }
        return words_ + first % 4;
    }

private:
    uint32_t words_[kRun + 8];
};

// uniform(word) >= p, compared as integers: uniform() uses the upper 24 bits of a word.
struct Mask {
    uint64_t key;
    uint32_t lowest;
    float scale;

    Mask(double p, uint64_t with_key)
        : key(with_key), lowest(uint32_t(std::ceil(p * 0x1p24))), scale(float(1 / (1 - p))) {}

    float operator()(uint32_t word, float x) const {
        const float scaled = x * scale;
        return word >> 8 >= lowest ? scaled : 0.0f;
    }
};

template <bool kAdd>
void put(float& slot, float value) {
    slot = kAdd ? slot + value : value;
}

// Maps of one pixel: the channels of an image are one run.
template <bool kAdd>
void mask_features(const Map& map, const Mask& mask, const float* in, float* out) {
#pragma omp parallel for schedule(dynamic) if (map.logical() > kPiece)
    for (int n = 0; n < map.n; ++n) {
        Draw draw;
        const int64_t first = map.at(n, 0, 0, 0);
        for (int c = 0; c < map.c; c += kRun) {
            const int count = std::min(kRun, map.c - c);
            const uint32_t* word = draw(mask.key, int64_t(n) * map.c + c, count);
            const float* from = in + first + c;
            float* to = out + first + c;
#pragma omp simd
            for (int i = 0; i < count; ++i) put<kAdd>(to[i], mask(word[i], from[i]));
        }
        if (!kAdd) std::fill(out + first + map.c, out + first + map.stored_c(), 0.0f);
    }
}

template <bool kAdd>
void mask_maps(const Map& map, const Mask& mask, const float* in, float* out) {
    const int64_t pixels = map.pixels();
#pragma omp parallel for collapse(2) schedule(dynamic) if (map.logical() > kPiece)
    for (int n = 0; n < map.n; ++n)
        for (int block = 0; block < map.blocks(); ++block) {
            Draw draw[kWidestBlock];
            const uint32_t* words[kWidestBlock];
            const int c = block * map.block, channels = std::min(map.block, map.c - c);
            for (int64_t p = 0; p < pixels; p += kRun) {
                const int count = int(std::min<int64_t>(kRun, pixels - p));
                for (int k = 0; k < channels; ++k)
                    words[k] = draw[k](mask.key, (int64_t(n) * map.c + c + k) * pixels + p, count);
                const int64_t first = map.at(n, c, 0, 0) + p * map.block;
                for (int i = 0; i < count; ++i) {
                    const float* from = in + first + i * map.block;
                    float* to = out + first + i * map.block;
                    for (int k = 0; k < channels; ++k) put<kAdd>(to[k], mask(words[k][i], from[k]));
                    if (!kAdd) std::fill(to + channels, to + map.block, 0.0f);
                }
            }
        }
}

void backward(const Map& map, const Dropout::Backward& args, Stream) {
    FP_CHECK(map.block <= kWidestBlock, "dropout: channels in blocks of ", map.block);
    const auto* in = as<float>(args.dy);
    auto* out = as<float>(args.dx);
    const Mask mask(args.p, args.key);
    const bool add = args.write == Write::add;
    if (map.pixels() == 1)
        (add ? mask_features<true> : mask_features<false>)(map, mask, in, out);
    else
        (add ? mask_maps<true> : mask_maps<false>)(map, mask, in, out);
}

// The same calculation: the mask, applied to x.
void forward(const Map& map, const Dropout::Forward& args, Stream stream) {
    backward(map, {.p = args.p, .key = args.key, .dy = args.x, .dx = args.y, .write = Write::replace}, stream);
}

}  // namespace

extern const Dropout dropout{.forward = forward, .backward = backward};

}  // namespace fp::cpu
