#include "bench/worker/numbers.h"

#include "kernels/bf16.h"
#include "kernels/random.h"

namespace fp {
namespace {

constexpr char kPattern = char(0xA5), kNan = char(0xFF);
constexpr size_t kFilling = size_t(1) << 16;

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

Guarded::Guarded(const Kernels& k, size_t bytes)
    : kernels_(&k), whole_(k.memory, bytes + 2 * kGuardBytes), bytes_(bytes) {
    fill(k, std::vector<char>(kFilling, kPattern), whole_.data(), whole_.bytes());
    poison();
}

void Guarded::poison() {
    if (bytes_) fill(*kernels_, std::vector<char>(kFilling, kNan), data(), bytes_);
}

bool Guarded::intact() const {
    for (const size_t at : {size_t(0), kGuardBytes + bytes_}) {
        const auto guard = on_host(*kernels_, static_cast<char*>(whole_.data()) + at, kGuardBytes);
        if (std::ranges::any_of(guard, [](char byte) { return byte != kPattern; })) return false;
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
        each_pixel(m, [&](int n, int h, int w) {
            for (int c = 0; c < m.c; ++c) put(m.at(n, c, h, w));
        });
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

std::vector<int32_t> drawn_labels(int n, int classes, uint64_t seed) {
    std::vector<int32_t> labels;
    for (int i = 0; i < n; ++i) labels.push_back(int32_t(uniform_below(uint64_t(classes), key_of(seed), uint64_t(i))));
    return labels;
}

Drawn::Drawn(const Numbers& of, Type type) : numbers(of), drawn_(of.drawn()) {
    if (type == Type::bf16)
        for (float& v : drawn_) v = to_float(to_bf16(v));
}

}  // namespace fp
