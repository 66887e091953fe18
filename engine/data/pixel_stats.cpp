#include "engine/data/pixel_stats.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <optional>

#include "engine/data/parallel.h"
#include "kernels/error.h"

namespace fp {
namespace {

std::optional<Pixels> image(const Dataset& data, int64_t sample, const DecodeOptions& options) {
    if (data.synth) {
        const int size = data.synth->size;
        Pixels pixels{.width = size, .height = size};
        pixels.rgb.resize(size_t(size) * size_t(size) * 3);
        render(*data.synth, sample, pixels.rgb.data());
        return pixels;
    }
    try {
        return decode_file(std::filesystem::path(data.root) / data.samples[size_t(sample)].image, options);
    } catch (const Error&) {
        return std::nullopt;
    }
}

}  // namespace

PixelStats measure_pixels(const Dataset& data,
                          Split split,
                          int threads,
                          const DecodeOptions& decode,
                          const std::function<void(int64_t done)>& progress) {
    const std::vector<int64_t> samples = members(data, split);
    PixelStats stats;
    uint64_t pixels = 0;
    std::array<uint64_t, 3> sum{}, squares{};
    std::mutex mutex;  // guards all of these

    const auto add = [&](int64_t i) {
        const std::optional<Pixels> read = image(data, samples[size_t(i)], decode);
        std::array<uint64_t, 3> s{}, q{};
        if (read)
            for (size_t p = 0; p < read->rgb.size(); p += 3)
                for (size_t c = 0; c < 3; ++c) {
                    const uint64_t level = read->rgb[p + c];
                    s[c] += level;
                    q[c] += level * level;
                }
        const std::lock_guard lock(mutex);
        if (!read) {
            ++stats.bad;
            return;
        }
        const bool first = stats.images++ == 0;
        const auto widen = [&](int value, int& least, int& most) {
            least = first ? value : std::min(least, value);
            most = std::max(most, value);
        };
        widen(read->width, stats.least_width, stats.most_width);
        widen(read->height, stats.least_height, stats.most_height);
        pixels += uint64_t(read->rgb.size() / 3);
        for (size_t c = 0; c < 3; ++c) {
            sum[c] += s[c];
            squares[c] += q[c];
        }
    };
    for_each_sample(int64_t(samples.size()), threads, add, progress);

    for (size_t c = 0; pixels > 0 && c < 3; ++c) {
        const double mean = double(sum[c]) / double(pixels);
        const double variance = std::max(double(squares[c]) / double(pixels) - mean * mean, 0.0);
        stats.mean[c] = mean / 255;
        stats.std[c] = std::sqrt(variance) / 255;
    }
    return stats;
}

}  // namespace fp
