#include "bench/gpu/numbers.h"

#include <algorithm>
#include <cmath>

#include "kernels/bf16.h"
#include "kernels/random.h"

namespace fp {
namespace {

std::vector<char> encoded(const std::vector<float>& values, Type type) {
    std::vector<char> out(values.size() * size_t(bytes_of(type)));
    if (type == Type::bf16) {
        auto* to = reinterpret_cast<bf16*>(out.data());
        for (const float v : values) *to++ = to_bf16(v);
    } else {
        std::copy(values.begin(), values.end(), reinterpret_cast<float*>(out.data()));
    }
    return out;
}

// Whether memory has the logical order (n h w c; k r s c) without holes.
bool in_order(const Map& m) { return m.blocks() == 1 && m.stored() == m.logical(); }
bool in_order(const Filter& f) { return f.c_blocks() == 1 && f.k_block == 1 && f.stored() == f.logical(); }

template <class Layout, class ForEach>
Buffer upload_layout(const Kernels& k, Type type, const Layout& l, const Numbers& numbers, ForEach for_each) {
    Buffer out(k.memory, size_t(l.stored()) * size_t(bytes_of(type)));
    const std::vector<float> drawn = numbers.drawn();
    if (in_order(l)) {
        fill(k, encoded(drawn, type), out.data(), out.bytes());
        return out;
    }
    std::vector<float> values(size_t(l.stored()), 0.0f);
    size_t rank = 0;
    for_each([&](int64_t at) { values[size_t(at)] = drawn[rank++ % drawn.size()]; });
    const std::vector<char> host = encoded(values, type);
    k.memory.copy_in(out.data(), host.data(), out.bytes(), {});
    k.memory.synchronize({});
    return out;
}

}  // namespace

// One piece is copied in, the device doubles it.
void fill(const Kernels& k, const std::vector<char>& bytes, void* to, size_t count) {
    size_t done = std::min(bytes.size(), count);
    k.memory.copy_in(to, bytes.data(), done, {});
    while (done < count) {
        const size_t more = std::min(done, count - done);
        k.memory.copy(static_cast<char*>(to) + done, to, more, {});
        done += more;
    }
    k.memory.synchronize({});
}

namespace {

constexpr char kPattern = char(0xA5), kNan = char(0xFF);
constexpr size_t kPiece = size_t(1) << 16;

}  // namespace

Guarded::Guarded(const Kernels& k, size_t bytes)
    : kernels_(&k), whole_(k.memory, bytes + 2 * kGuardBytes), bytes_(bytes) {
    fill(k, std::vector<char>(kPiece, kPattern), whole_.data(), whole_.bytes());
    poison();
}

void Guarded::poison() {
    if (bytes_) fill(*kernels_, std::vector<char>(kPiece, kNan), data(), bytes_);
}

bool Guarded::intact() const {
    std::vector<char> guard(kGuardBytes);
    for (const size_t at : {size_t(0), kGuardBytes + bytes_}) {
        kernels_->memory.copy_out(guard.data(), static_cast<char*>(whole_.data()) + at, kGuardBytes, {});
        for (const char byte : guard)
            if (byte != kPattern) return false;
    }
    return true;
}

std::vector<float> Numbers::drawn() const {
    std::vector<float> out;
    for (size_t i = 0; i < kDrawn; ++i) {
        const Philox p = philox(key_of(seed), i);
        float sum = 0;
        for (const uint32_t word : p.word) sum += float(uniform(word)) - 0.5f;
        const float v = sum * std::sqrt(3.0f);
        const float kept = rectified ? std::max(v, 0.0f) : v;
        out.push_back(exact == Type::bf16 ? to_float(to_bf16(kept)) : kept);
    }
    return out;
}

Buffer upload(const Kernels& k, Type type, const Map& m, const Numbers& numbers) {
    return upload_layout(k, type, m, numbers, [&](auto put) {
        for (int n = 0; n < m.n; ++n)
            for (int h = 0; h < m.h; ++h)
                for (int w = 0; w < m.w; ++w)
                    for (int c = 0; c < m.c; ++c) put(m.at(n, c, h, w));
    });
}

Buffer upload(const Kernels& k, Type type, const Filter& f, const Numbers& numbers) {
    return upload_layout(k, type, f, numbers, [&](auto put) {
        for (int n = 0; n < f.k; ++n)
            for (int r = 0; r < f.r; ++r)
                for (int s = 0; s < f.s; ++s)
                    for (int c = 0; c < f.c; ++c) put(f.at(n, c, r, s));
    });
}

Drawn::Drawn(const Numbers& numbers, Type type) : drawn_(numbers.drawn()) {
    if (type == Type::bf16)
        for (float& v : drawn_) v = to_float(to_bf16(v));
}

}  // namespace fp
