#include "engine/data/sources/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/random.h"

namespace fp {
namespace {

constexpr uint64_t kLesion = 1, kView = 2, kDeal = 3;  // the streams of random numbers
constexpr int kLobes = 6;                              // harmonics of an outline: 1 .. kLobes

// Numbers drawn one after the other from one key.
class FloatDraws {
public:
    explicit FloatDraws(uint64_t key) : key_(key) {}
    float between(float low, float high) { return low + (high - low) * uniform(key_, next_++); }
    uint32_t word() {
        const uint64_t i = next_++;
        return philox(key_, i >> 2).word[i & 3];
    }

private:
    uint64_t key_;
    uint64_t next_ = 0;
};

// A cheap hash of 32 bits, for what is drawn per pixel.
inline uint32_t scramble(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352dU;
    x ^= x >> 15;
    x *= 0x846ca68bU;
    return x ^ (x >> 16);
}

// Value noise in [-1, 1] at size x size pixels: random numbers on a lattice of nx by ny cells, blended between.
std::vector<float> value_noise(int size, int nx, int ny, uint32_t key) {
    const auto cell_of = [&](int pixel, int cells) {
        const float at = (float(pixel) + 0.5f) * float(cells) / float(size);
        const int cell = std::min(int(at), cells - 1);
        const float t = at - float(cell);
        return std::pair(cell, t * t * (3 - 2 * t));
    };
    const auto at = [&](int i, int j) { return float(scramble(key ^ uint32_t(j * 4096 + i)) >> 8) * 0x1p-23f - 1; };
    std::vector<float> rows(size_t(ny + 1) * size_t(size)), out(size_t(size) * size_t(size));
    for (int j = 0; j <= ny; ++j)
        for (int x = 0; x < size; ++x) {
            const auto [cell, weight] = cell_of(x, nx);
            const float left = at(cell, j), right = at(cell + 1, j);
            rows[size_t(j) * size_t(size) + size_t(x)] = left + weight * (right - left);
        }
    for (int y = 0; y < size; ++y) {
        const auto [cell, weight] = cell_of(y, ny);
        const float* const above = rows.data() + size_t(cell) * size_t(size);
        const float* const below = above + size;
        float* const row = out.data() + size_t(y) * size_t(size);
        for (int x = 0; x < size; ++x) row[x] = above[x] + weight * (below[x] - above[x]);
    }
    return out;
}

// How one image looks: everything that is drawn before the first pixel. Lengths are in half images,
// colours in levels of 0 .. 255.
struct Look {
    float x, y, radius, softness;
    std::array<float, kLobes> cosine,
        sine;                           // outline: radius (1 + sum_k cosine_k cos kt + sine_k sin kt)
    std::array<float, 3> skin, lesion;  // lesion: added inside
    float light_x, light_y;             // levels across the image
    float blotch, grain, mottle, pattern, noise;
    int pattern_kind, grain_x, grain_y;
    float rings, phase;
    uint32_t blotch_key, grain_key, mottle_key, noise_key;
};

float by_difficulty(double t, float easy, float hard) { return easy + float(t) * (hard - easy); }

Look look_of(const SynthSpec& spec, int64_t index, const SynthIdentity& id) {
    constexpr std::array<std::array<int, 2>, 8> kGrain = {
        {{6, 26}, {26, 6}, {14, 14}, {6, 6}, {26, 26}, {4, 14}, {14, 4}, {40, 40}}};
    constexpr std::array<std::array<float, 3>, 4> kTint = {
        {{1, 1, 1}, {0.6f, 1.2f, 1.2f}, {1.2f, 1.2f, 0.6f}, {1.2f, 0.6f, 1.2f}}};
    const double d = spec.difficulty;
    FloatDraws lesion(key_of(spec.seed, uint64_t(id.lesion), kLesion));
    FloatDraws view(key_of(spec.seed, uint64_t(index), kView));

    Look look{};
    look.radius = lesion.between(0.4f, 0.6f);
    look.softness = lesion.between(0.05f, 0.12f);
    // The view's turn moves harmonic k by k times its angle; drawing every phase anew would lose the shape.
    const float turn = view.between(0, 2 * float(M_PI));
    const int lobes = 2 + id.label % 4;
    for (int k = 1; k <= kLobes; ++k) {
        const float depth = k == lobes ? by_difficulty(d, 0.30f, 0.15f) * lesion.between(0.8f, 1.2f)
                                       : 0.12f / float(k + 1) * lesion.between(0, 1.2f);
        const float phase = lesion.between(0, 2 * float(M_PI)) + float(k) * turn;
        look.cosine[size_t(k - 1)] = depth * std::cos(phase);
        look.sine[size_t(k - 1)] = depth * std::sin(phase);
    }
    const float darkness = by_difficulty(d, 55, 36) * lesion.between(0.8f, 1.2f);
    const auto& tint = kTint[size_t(id.label / 16 % 4)];
    const float ruddy = lesion.between(-6, 6);
    for (size_t c = 0; c < 3; ++c) look.lesion[c] = -darkness * tint[c] + (c == 0 ? ruddy : c == 2 ? -ruddy : 0);
    look.pattern_kind = id.label / 4 % 4;
    look.pattern = by_difficulty(d, 24, 14);
    look.rings = lesion.between(3, 4);
    look.phase = lesion.between(0, 1);
    look.mottle = lesion.between(4, 12);
    look.mottle_key = lesion.word();

    // Tones stand in equal steps between +26 and -26 levels; people differ by 12 within a group.
    const float place = spec.groups > 1 ? float(id.group) / float(spec.groups - 1) : 0.5f;
    const float tone = 146 + 26 * (1 - 2 * place) + lesion.between(-12, 12);
    const float warmth = lesion.between(14, 26);
    look.skin = {tone + warmth, tone, tone - 0.8f * warmth};
    look.grain_x = kGrain[size_t(id.group)][0];
    look.grain_y = kGrain[size_t(id.group)][1];
    look.grain = 7;
    look.grain_key = lesion.word();

    look.x = view.between(-0.2f, 0.2f);
    look.y = view.between(-0.2f, 0.2f);
    look.light_x = view.between(-12, 12);
    look.light_y = view.between(-12, 12);
    look.blotch = view.between(3, 10);
    look.blotch_key = view.word();
    look.noise = by_difficulty(d, 6, 24);
    look.noise_key = view.word();
    return look;
}

// The triangle wave of period 1 between -1 and 1, for t >= 0.
inline float wave(float t) {
    const float part = t - float(int(t));
    return 4 * std::abs(part - 0.5f) - 1;
}

// One row of the lesion. inside: 0 .. 1; pattern: about -1 .. 1.
void lesion_row(const Look& look, int size, float dy, float* __restrict__ inside, float* __restrict__ pattern) {
    const float step = 2 / float(size), sharp = 1 / look.softness;
    const int kind = look.pattern_kind;
    for (int x = 0; x < size; ++x) {
        const float dx = (float(x) + 0.5f) * step - 1 - look.x;
        const float r = std::sqrt(dx * dx + dy * dy + 1e-6f);
        const float c = dx / r, s = dy / r;  // cos and sin of the angle, then of its multiples
        float ck = c, sk = s, outline = 1;
        for (size_t k = 0; k < kLobes; ++k) {
            outline += look.cosine[k] * ck + look.sine[k] * sk;
            const float next = ck * c - sk * s;
            sk = sk * c + ck * s;
            ck = next;
        }
        const float depth = (look.radius * outline - r) * sharp;
        const float t = std::min(std::max(0.5f + 0.5f * depth, 0.0f), 1.0f);
        inside[x] = t * t * (3 - 2 * t);
        // ck, sk are of 7 times the angle here
        const float rings = wave(r * look.rings + look.phase);
        const float rim = 1 - std::min(std::abs(depth - 1.5f), 2.0f);
        pattern[x] = kind == 0 ? 0.0f : kind == 1 ? rings : kind == 2 ? ck : -rim;
    }
}

}  // namespace

SynthIdentity identify(const SynthSpec& spec, int64_t index) {
    SynthIdentity id{.lesion = index / spec.views, .label = 0, .group = 0, .fifth = 0};
    id.fifth = int(id.lesion % 5);
    const bool train = id.fifth % 2 == 0;
    const int64_t rank = train ? id.lesion / 5 * 3 + id.fifth / 2 : id.lesion / 5;  // in its split
    id.label = int(rank % spec.classes);
    id.group = int(rank / spec.classes % spec.groups);
    const bool tied = id.label < std::max(2, spec.classes / 2);
    if (train && tied && uniform_double(key_of(spec.seed, kDeal), uint64_t(id.lesion)) < spec.bias)
        id.group = id.label % spec.groups;
    return id;
}

void render(const SynthSpec& spec, int64_t index, uint8_t* rgb) {
    const Look look = look_of(spec, index, identify(spec, index));
    const int size = spec.size;
    const std::vector<float> blotch = value_noise(size, 5, 5, look.blotch_key);
    const std::vector<float> grain = value_noise(size, look.grain_x, look.grain_y, look.grain_key);
    const std::vector<float> mottle = value_noise(size, 12, 12, look.mottle_key);
    std::vector<float> inside(size), pattern(size);  // of a row
    const float per_byte = look.noise / 127.5f, step = 2 / float(size);

    for (int y = 0; y < size; ++y) {
        const float v = (float(y) + 0.5f) * step - 1;
        lesion_row(look, size, v - look.y, inside.data(), pattern.data());
        for (int x = 0; x < size; ++x) {
            const float u = (float(x) + 0.5f) * step - 1;
            const size_t i = size_t(y) * size + x;
            const float skin = look.light_x * u + look.light_y * v + look.blotch * blotch[i] + look.grain * grain[i];
            const float inner = look.mottle * mottle[i] + look.pattern * pattern[x];
            const uint32_t noise = scramble(look.noise_key ^ uint32_t(i));
            for (size_t c = 0; c < 3; ++c) {
                const float level = look.skin[c] + skin + inside[x] * (look.lesion[c] + inner) +
                                    per_byte * (float((noise >> (8 * c)) & 255) - 127.5f);
                rgb[3 * i + c] = uint8_t(std::min(std::max(level, 0.0f), 255.0f) + 0.5f);
            }
        }
    }
}

}  // namespace fp
