#include "tests/kernels/probe/probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/random.h"

namespace fp {
namespace {

std::string shown(const Probe& p, uint32_t word) {
    return p.floats() ? fmt::format("{:.9g}", std::bit_cast<float>(word)) : fmt::format("0x{:08x}", word);
}

// Infinities of one sign are equal, NaN equals nothing.
bool close(double got, double want, double allowed) { return got == want || std::abs(got - want) <= allowed; }

}  // namespace

std::string ProbeOutput::place(size_t word) const {
    std::string out;
    int64_t rest = int64_t(word);
    for (auto axis = shape.rbegin(); axis != shape.rend(); ++axis) {
        out = fmt::format("{} {}{}{}", axis->name, rest % axis->size, out.empty() ? "" : ", ", out);
        rest /= axis->size;
    }
    return out;
}

std::vector<float> probe_numbers(size_t count, uint64_t seed) {
    std::vector<float> out;
    for (size_t i = 0; i < count; ++i) {
        const Philox p = philox(key_of(seed), i);
        float sum = 0;
        for (const uint32_t word : p.word) sum += float(uniform(word)) - 0.5f;
        out.push_back(sum * std::sqrt(3.0f));
    }
    return out;
}

std::vector<uint32_t> probe_words(size_t count, uint64_t seed) {
    std::vector<uint32_t> out;
    for (size_t i = 0; i < count; ++i) out.push_back(philox(key_of(seed), i).word[0]);
    return out;
}

std::string difference(const Probe& p, const ProbeOutput& got, const ProbeOutput& want) {
    if (got.shape != want.shape || got.words.size() != want.words.size())
        return fmt::format("{}: {} words of another shape than {}", p.name, got.words.size(), want.words.size());
    const auto number = [](uint32_t word) { return double(std::bit_cast<float>(word)); };
    double largest = 0;
    if (p.floats())
        for (const uint32_t w : want.words) largest = std::max(largest, std::abs(number(w)));
    size_t differ = 0, first = 0;
    for (size_t i = 0; i < want.words.size(); ++i) {
        const double g = number(got.words[i]), w = number(want.words[i]);
        const double size =
            p.held == Held::to_largest ? largest : std::max<double>(std::abs(w), std::numeric_limits<float>::min());
        const bool same = p.floats() ? close(g, w, p.tolerance * size) : got.words[i] == want.words[i];
        if (!same && differ++ == 0) first = i;
    }
    if (differ == 0) return {};
    return fmt::format("{}: {} of {} elements differ, first {}: {} for {}", p.name, differ, want.words.size(),
                       want.place(first), shown(p, got.words[first]), shown(p, want.words[first]));
}

}  // namespace fp
