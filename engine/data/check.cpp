#include "engine/data/check.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>

#include "engine/data/parallel.h"
#include "engine/io/hash.h"
#include "kernels/error.h"

namespace fp {
namespace {

struct Found {
    std::optional<std::string> hash;  // of the bytes
    std::optional<BadImage> bad;
};

Found look_at(const Dataset& data, int64_t sample, const ScanOptions& options) {
    const std::filesystem::path path = std::filesystem::path(data.root) / data.samples[size_t(sample)].image;
    Found found;
    try {
        const std::vector<uint8_t> bytes = read_image_file(path, options.decode);
        found.hash = xxh3(std::as_bytes(std::span(bytes)));
        if (options.decode_images) decode(bytes, path.string(), options.decode);
    } catch (const Error& e) {
        std::error_code ignored;
        found.bad = BadImage{.sample = sample, .missing = !std::filesystem::exists(path, ignored), .reason = e.what()};
    }
    return found;
}

template <class Key>
std::vector<std::vector<int64_t>> differing(const FileScan& scan, const Key& key) {
    std::vector<std::vector<int64_t>> sets;
    for (const auto& set : scan.duplicates)
        if (std::any_of(set.begin(), set.end(), [&](int64_t i) { return key(i) != key(set[0]); })) sets.push_back(set);
    return sets;
}

}  // namespace

FileScan scan_files(const Dataset& data, const ScanOptions& options) {
    if (data.synth) return {};
    const int64_t n = int64_t(data.samples.size());
    std::vector<Found> found(data.samples.size());
    const auto look = [&](int64_t i) { found[size_t(i)] = look_at(data, i, options); };
    for_each_sample(n, options.threads, look, options.progress);

    FileScan scan;
    std::map<std::string, std::vector<int64_t>> same;
    for (int64_t i = 0; i < n; ++i) {
        if (found[size_t(i)].bad) scan.bad.push_back(*found[size_t(i)].bad);
        if (found[size_t(i)].hash) same[*found[size_t(i)].hash].push_back(i);
    }
    for (auto& [hash, samples] : same)
        if (samples.size() > 1) scan.duplicates.push_back(std::move(samples));
    std::sort(scan.duplicates.begin(), scan.duplicates.end());
    return scan;
}

std::vector<std::pair<int64_t, int64_t>> same_side(const FileScan& scan) {
    std::vector<std::pair<int64_t, int64_t>> pairs;
    for (const auto& set : scan.duplicates)
        for (size_t i = 1; i < set.size(); ++i) pairs.emplace_back(set[0], set[i]);
    return pairs;
}

std::vector<std::vector<int64_t>> parted_duplicates(const Dataset& data, const FileScan& scan) {
    return differing(scan, [&](int64_t i) { return data.samples[size_t(i)].split; });
}

std::vector<std::vector<int64_t>> contradicting_duplicates(const Dataset& data, const FileScan& scan) {
    return differing(scan, [&](int64_t i) { return data.samples[size_t(i)].label; });
}

}  // namespace fp
