#include "bench/worker/compare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "engine/core/elements.h"
#include "kernels/bf16.h"
#include "kernels/error.h"

namespace fp {
namespace {

constexpr size_t kPiece = size_t(32) << 20;  // bytes on the host at a time

// A filter is read as a map of k samples.
struct Places {
    Map map;
    std::optional<Filter> filter;

    explicit Places(const Output& o) {
        if (const auto* m = std::get_if<Map>(&o.layout)) {
            map = *m;
        } else {
            filter = std::get<Filter>(o.layout);
            map = {.n = filter->k, .c = filter->c, .h = filter->r, .w = filter->s};
        }
    }
    int64_t stored() const { return filter ? filter->stored() : map.stored(); }
    // Samples lie behind one another.
    bool in_samples() const { return !filter || filter->k_block == 1; }
    int64_t at(int n, int c, int h, int w) const { return filter ? filter->at(n, c, h, w) : map.at(n, c, h, w); }
};

// Some samples of a tensor on the host.
struct Piece {
    std::vector<char> bytes;
    Type type;
    int64_t first;  // element

    double at(int64_t place) const { return element(bytes.data(), type, place - first); }
};

Piece read(const Kernels& k, const Output& o, int64_t first, int64_t count) {
    const size_t each = size_t(bytes_of(o.type));
    Piece piece{std::vector<char>(size_t(count) * each), o.type, first};
    k.memory.copy_out(piece.bytes.data(), static_cast<const char*>(o.data) + size_t(first) * each, piece.bytes.size(),
                      {});
    return piece;
}

// Samples in groups that fit into a piece; the whole where they are interleaved.
template <class F>
void in_groups(const Places& p, Type type, F f) {
    const int64_t sample = p.stored() / p.map.n;
    const int64_t fit = int64_t(kPiece) / std::max<int64_t>(1, sample * bytes_of(type));
    const int group = p.in_samples() ? int(std::clamp<int64_t>(fit, 1, p.map.n)) : p.map.n;
    for (int n = 0; n < p.map.n; n += group) f(n, std::min(n + group, p.map.n));
}

float number(bf16 v) { return to_float(v); }
float number(float v) { return v; }

struct Sums {
    double scale = 0, squares = 0, worst = 0;  // scale: root mean square of the wanted values
    double tolerance = 0;
    int64_t elements = 0, unwritten = 0, off = 0;
    nlohmann::json first = nlohmann::json::array();
    std::map<int64_t, int64_t> channels, pixels;
    std::map<std::string, int64_t> tiles;

    // `place` gives (n, h, w, c) where the element is wrong.
    template <class Place>
    void add(double got, double want, Place place) {
        const double distance = std::abs(got - want);
        ++elements;
        if (distance <= tolerance * (scale + 0.5 * std::abs(want))) {
            squares += distance * distance;
            worst = std::max(worst, distance);
            return;
        }
        squares += distance * distance;  // NaN where either is
        if (std::isnan(distance))
            ++unwritten;
        else
            worst = std::max(worst, distance);
        ++off;
        const auto [n, h, w, c, pixel] = place();
        ++channels[c % 64];
        ++pixels[pixel % 128];
        if (tiles.size() < 4096) ++tiles[text(pixel / 128, ",", c / 64)];
        if (first.size() < 4)  // as text, since JSON has no NaN
            first.push_back({n, h, w, c, text(got), text(want)});
    }
};

struct Element {
    int n, h, w, c;
    int64_t pixel;
};
Element element_of(const Map& m, int n, int h, int w, int c) { return {n, h, w, c, (int64_t(n) * m.h + h) * m.w + w}; }

// Where both lie alike in memory, without padding: in the order of memory.
template <class T>
void add_alike(Sums& sums, const Piece& a, const Piece& b, const Places& p) {
    const auto *x = reinterpret_cast<const T*>(a.bytes.data()), *y = reinterpret_cast<const T*>(b.bytes.data());
    const int64_t count = int64_t(a.bytes.size() / sizeof(T));
    const int64_t block = p.filter ? p.filter->c_block : p.map.block;
    for (int64_t i = 0; i < count; ++i)
        sums.add(double(number(x[i])), double(number(y[i])), [&] {
            const int64_t place = a.first + i, blocks = ceil_div(p.map.c, block);
            const int64_t run = place / block, w = run % p.map.w, h = run / p.map.w % p.map.h;
            const int64_t part = run / p.map.w / p.map.h;
            return element_of(p.map, int(part / blocks), int(h), int(w), int(part % blocks * block + place % block));
        });
}

template <class Key>
nlohmann::json most(const std::map<Key, int64_t>& counts) {
    std::vector<std::pair<Key, int64_t>> sorted(counts.begin(), counts.end());
    std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    nlohmann::json out = nlohmann::json::array();
    for (size_t i = 0; i < std::min<size_t>(sorted.size(), 16); ++i) out.push_back({sorted[i].first, sorted[i].second});
    return out;
}

double scale_of(const Piece& b) {
    double squares = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < int64_t(b.bytes.size()) / bytes_of(b.type); i += 7, ++count) {
        const double v = b.at(b.first + i);
        if (std::isfinite(v)) squares += v * v;
    }
    return std::max(std::sqrt(squares / double(std::max<int64_t>(count, 1))), 1e-30);
}

}  // namespace

nlohmann::json compare(
    const Kernels& ours, const Output& got, const Kernels& theirs, const Output& want, double tolerance) {
    const Places mine(got), other(want);
    const Map& m = mine.map;
    FP_REQUIRE(
        m.n == other.map.n && m.c == other.map.c && m.h == other.map.h && m.w == other.map.w && mine.in_samples(),
        Exit::usage, "compare: the tensors have other sizes");
    const int64_t each = mine.stored() / m.n, theirs_each = other.stored() / m.n;
    // Not where channels are padded: what lies there is nobody's.
    const bool alike = got.layout == want.layout && got.type == want.type && got.type != Type::f64 &&
                       other.in_samples() && mine.stored() == int64_t(m.n) * m.c * m.h * m.w;
    Sums sums;
    sums.tolerance = tolerance;
    in_groups(mine, got.type, [&](int from, int to) {
        const Piece a = read(ours, got, from * each, (to - from) * each);
        const Piece b = other.in_samples() ? read(theirs, want, from * theirs_each, (to - from) * theirs_each)
                                           : read(theirs, want, 0, other.stored());
        if (sums.scale == 0) sums.scale = scale_of(b);  // later groups are drawn alike
        if (alike && got.type == Type::bf16) return add_alike<bf16>(sums, a, b, mine);
        if (alike) return add_alike<float>(sums, a, b, mine);
        for (int n = from; n < to; ++n)
            for (int h = 0; h < m.h; ++h)
                for (int w = 0; w < m.w; ++w)
                    for (int c = 0; c < m.c; ++c)
                        sums.add(a.at(mine.at(n, c, h, w)), b.at(other.at(n, c, h, w)),
                                 [&] { return element_of(m, n, h, w, c); });
    });
    const double rms = std::sqrt(sums.squares / double(sums.elements)) / sums.scale;
    nlohmann::json out{{"elements", sums.elements},
                       {"rms", std::isfinite(rms) ? rms : 1e30},
                       {"worst", sums.worst / sums.scale},
                       {"wrong", sums.off},
                       {"unwritten", sums.unwritten}};
    if (sums.off)
        out.update({{"first", sums.first},
                    {"by_channel_mod_64", most(sums.channels)},
                    {"by_pixel_mod_128", most(sums.pixels)},
                    {"by_tile", most(sums.tiles)}});
    return out;
}

int64_t unwritten(const Kernels& k, const Output& o) {
    if (std::holds_alternative<std::monostate>(o.layout)) return 0;
    const Places p(o);
    const int64_t each = p.stored() / p.map.n;
    int64_t count = 0;
    in_groups(p, o.type, [&](int from, int to) {
        const Piece a = p.in_samples() ? read(k, o, from * each, (to - from) * each) : read(k, o, 0, p.stored());
        for (int64_t i = 0; i < int64_t(a.bytes.size()) / bytes_of(a.type); ++i) count += std::isnan(a.at(a.first + i));
    });
    return count;
}

}  // namespace fp
