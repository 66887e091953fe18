#include "engine/data/check.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <optional>

#include "engine/data/images.h"
#include "engine/data/parallel.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {

FileScan scan_files(const Dataset& data, const ScanOptions& options) {
    if (data.synth) return {};
    const int64_t n = int64_t(data.samples.size());
    std::vector<std::string> hash(data.samples.size());  // of the bytes, empty where they could not be read
    std::vector<std::optional<BadImage>> bad(data.samples.size());
    const auto look = [&](int64_t i) {
        const std::filesystem::path path = image_file(data, data.samples[size_t(i)]);
        try {
            const std::vector<uint8_t> bytes = read_image_file(path, options.decode);
            hash[size_t(i)] = xxh3(std::as_bytes(std::span(bytes)));
            if (options.decode_images) decode(bytes, path.string(), options.decode);
        } catch (const Error& e) {
            std::error_code ignored;
            bad[size_t(i)] = {.sample = i, .missing = !std::filesystem::exists(path, ignored), .reason = e.what()};
        }
    };
    for_each_sample(n, options.threads, look, options.progress);

    FileScan scan;
    std::map<std::string, std::vector<int64_t>> same;
    for (int64_t i = 0; i < n; ++i) {
        if (bad[size_t(i)]) scan.bad.push_back(*bad[size_t(i)]);
        if (!hash[size_t(i)].empty()) same[hash[size_t(i)]].push_back(i);
    }
    for (auto& [bytes, samples] : same)
        if (samples.size() > 1) scan.duplicates.push_back(std::move(samples));
    std::sort(scan.duplicates.begin(), scan.duplicates.end());
    for (const auto& set : scan.duplicates) {
        const Sample& first = data.samples[size_t(set[0])];
        const auto any = [&](auto differs) {
            return std::any_of(set.begin(), set.end(), [&](int64_t i) { return differs(data.samples[size_t(i)]); });
        };
        if (any([&](const Sample& s) { return s.split != first.split; })) scan.parted.push_back(set);
        if (any([&](const Sample& s) { return s.label != first.label; })) scan.contradicting.push_back(set);
    }
    return scan;
}

PixelStats measure_pixels(const Dataset& data, Split split, const ScanOptions& options) {
    const std::vector<int64_t> samples = members(data, split);
    PixelStats stats;
    uint64_t pixels = 0;
    std::array<uint64_t, 3> sum{}, squares{};
    std::mutex mutex;  // guards all of these

    const auto add = [&](int64_t i) {
        Pixels image;
        try {
            image = read_image(data, samples[size_t(i)], options.decode);
        } catch (const Error&) {
            const std::lock_guard lock(mutex);
            ++stats.bad;
            return;
        }
        std::array<uint64_t, 3> s{}, q{};
        for (size_t p = 0; p < image.rgb.size(); ++p) {
            const uint64_t level = image.rgb[p];
            s[p % 3] += level;
            q[p % 3] += level * level;
        }
        const std::lock_guard lock(mutex);
        const bool first = stats.images++ == 0;
        stats.least_width = first ? image.width : std::min(stats.least_width, image.width);
        stats.least_height = first ? image.height : std::min(stats.least_height, image.height);
        stats.most_width = std::max(stats.most_width, image.width);
        stats.most_height = std::max(stats.most_height, image.height);
        pixels += image.rgb.size() / 3;
        for (size_t c = 0; c < 3; ++c) {
            sum[c] += s[c];
            squares[c] += q[c];
        }
    };
    for_each_sample(int64_t(samples.size()), options.threads, add, options.progress);

    for (size_t c = 0; pixels > 0 && c < 3; ++c) {
        const double mean = double(sum[c]) / double(pixels);
        const double variance = std::max(double(squares[c]) / double(pixels) - mean * mean, 0.0);
        stats.mean[c] = mean / 255;
        stats.std[c] = std::sqrt(variance) / 255;
    }
    return stats;
}

}  // namespace fp
